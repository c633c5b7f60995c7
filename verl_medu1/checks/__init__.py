"""What must hold before a run starts; each violation is one sentence, and all are raised at once.

run.py       the checks of `medu1 train`, `medu1 sft` and a submission, in order
settings.py  values that would end a run late, and settings without effect
rewards.py   reward, advantage and penalty
mixture.py   what `data.mixture` needs of the training rows
batches.py   training rows and batches
prompts.py   prompts and demonstrations through the run's own chat template
"""
