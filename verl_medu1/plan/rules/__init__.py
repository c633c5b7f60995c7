"""What a layout must fulfil; one sentence for each violation, with key, value and the nearest valid values.

layout.py      `find_violations`: sizes against model and machine, then the three below
batches.py     batches, micro-batches and lengths
checkpoint.py  checkpoints that another layout can read
precision.py   FP8, fused kernels and the optimizer's precision
violation.py   one thing that is wrong
"""
