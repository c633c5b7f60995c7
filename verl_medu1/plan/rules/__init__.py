"""Rules for layouts. Each violation is a `Problem` with key, value and the nearest valid values.

layout.py      `find_violations`: checks sizes against model and machine, and applies those below
engine.py      settings of the engine that is not chosen
batches.py     batches, micro-batches and lengths
checkpoint.py  checkpoints that another layout can read
experts.py     experts: groups of ranks, router, router replay
precision.py   FP8, fused kernels and the optimizer's precision
images.py      images in the prompt, and how their model is trained
lora.py        LoRA's rank, scale and target modules
fsdp.py        FSDP2's groups
sizes.py       valid sizes, for the way out in a sentence
"""
