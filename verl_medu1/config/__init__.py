"""The Hydra configuration, `pkg://verl_medu1.config`, and how a recipe is composed over it.

compose.py    a recipe and overrides -> configuration, as `medu1 train` composes it
recipes.py    recipes as the config group `recipe`
keys.py       every key is read, or refused with the nearest
arguments.py  what is wrong with a command's arguments, in a sentence
"""
