"""The Hydra configuration, `pkg://verl_medu1.config`, and how a recipe is composed on top of it.

compose.py      a recipe and overrides -> configuration, composed as `medu1 train` does
recipes.py      recipes as the config group `recipe`
keys.py         refuses keys that nothing reads, and suggests similar ones
constraints.py  the constraints of a configuration
model_path.py   a run's folder as the model to train: its newest one
inputs.py       what a stage of a pipeline reads
pipeline.py     the stages of a recipe's pipeline.yaml
scorers.py      whether our scorers are used, and with which judge
needs.py        the kernels that a configuration trains with, for `medu1 doctor`
arguments.py    says in one sentence what is wrong with a command's arguments
"""
