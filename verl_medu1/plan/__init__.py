"""Will it fit, and how to lay it out: figures from a model's dimensions and a cluster, with no GPU and no torch.

architecture.py   a model's dimensions, from config.json or architectures.yaml
settings.py       the settings that matter here, as a plain value, from a composed configuration
assumptions.py    figures that no formula gives, from assumptions.yaml
rules/            what is wrong with a layout, one sentence each
parameters.py     parameters of each rank, as megatron-core builds them
activations.py    what forward keeps for backward
memory.py         bytes of a rank in each phase of a step
rollout.py        vLLM: weights, key-value cache, concurrency
communication.py  bytes that a rank sends in a step
verdict.py        fits, fits with these changes, or does not
search.py         the best layout for a number of GPUs
render.py         the plan as tables and JSON; plot.py as a picture
"""
