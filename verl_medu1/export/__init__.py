"""From a training checkpoint to a folder in Hugging Face format.

checkpoint.py  finds the checkpoint, the format of its weights, and missing or truncated files
shards.py      reads weights from Megatron or FSDP shards, unpickling only plain data
merge.py       weights -> folder, with verl's mergers
adapter.py     LoRA: the adapters, and their sum with the base model
compare.py     compares the exported model's log-probs with those recorded in training
card.py        the model card
export.py      the steps of `medu1 export`, in order
"""
