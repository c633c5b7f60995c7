"""Rules for layouts. Each violation is one sentence with key, value and the nearest valid values.

layout.py      `find_violations`: checks sizes against model and machine, and applies the three below
batches.py     batches, micro-batches and lengths
checkpoint.py  checkpoints that another layout can read
precision.py   FP8, fused kernels and the optimizer's precision
violation.py   a violation, and helpers for its sentence
"""
