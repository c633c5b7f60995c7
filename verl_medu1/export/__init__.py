"""From a checkpoint of a training to a folder that any program reads which knows Hugging Face's format.

checkpoint.py  which checkpoint is meant, what holds its weights, and whether all of it is there
shards.py      weights out of the shards of Megatron or FSDP, without unpickling anything
merge.py       weights -> folder, by verl's mergers
compare.py     log-probabilities of the exported model, against those that the training recorded
card.py        the model card
export.py      the steps of `medu1 export`, in order
"""
