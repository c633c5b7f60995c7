"""megatron-core 0.18.2 (local layer spec) and Megatron-Bridge 0.5.1 on gloo.

cuda.py        replaces calls of torch.cuda and device="cuda" literals in megatron-core
layers.py      the two layers that the local spec lacks
bridge.py      Megatron-Bridge's Qwen2, Qwen3, Qwen3-MoE and Llama bridges on the local spec
optimizer.py   restoring torch's Adam from a distributed-optimizer checkpoint
engine.py      verl's Megatron engine, which makes each call with the above in place
"""
