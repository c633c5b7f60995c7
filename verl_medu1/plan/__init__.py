"""Estimates whether a run fits and which layout to use, from a model's dimensions and a cluster, without GPU or torch.

architecture.py   a model's dimensions, from config.json or architectures.yaml
experts.py        dimensions of layers with experts, from config.json
vision.py         dimensions and parameters of the part that sees, and the tokens of an image
expert_layers.py  what layers with experts add: parameters, activations, bytes of the token dispatch
settings.py       the settings that matter here, as a plain value, from a composed configuration
assumptions.py    figures that no formula gives, from assumptions.yaml
rules/            rules for layouts, one sentence per violation
parameters.py     parameters of each rank, as megatron-core builds them
adapters.py       parameters of LoRA's adapters
activations.py    activations that the forward pass keeps for the backward pass
memory.py         bytes of a rank in each phase of a step
fsdp.py           memory and communication under FSDP2; fsdp_activations.py what it keeps for the backward pass,
                  fsdp_tower.py what the part that sees takes
rollout.py        vLLM: weights, KV cache, concurrency
judge_server.py   the GPUs of a judge on the job's own nodes
communication.py  bytes that a rank sends in a step
verdict.py        whether a run fits, fits with changes, or does not
search.py         the best layouts for a number of GPUs
render.py         the plan as tables and JSON; plot.py as a picture
"""
