"""Checks before a run starts. Each violation is one sentence, and all of them are raised together.

run.py         the checks of `medu1 train`, `medu1 sft` and a submission, in order
stack.py       the installed packages
files.py       data files
model.py       the model, and the layout for it
machine.py     disk, port and checkpoints of the machine that trains
settings.py    values that would make a run fail late, and settings without effect
episodes.py    agent loops of several turns
evidence.py    documents that rows name and no search finds
rewards.py     reward, advantage and length penalty
constraints.py `algorithm.constraints`
mismatch.py    correction for the difference between rollout and trainer, and its alarm
metrics.py     trackers, and the port for Prometheus
judge.py       `scoring.judge`
checklist.py   rows with a checklist, and `scoring.checklist`
mixture.py     `data.mixture` and the training rows it needs
batches.py     training rows and batches
perception.py  `scoring.perception`
reasoning.py   `scoring.reasoning`
reward_terms.py components that the trainer adds to rewards
images.py      images, and the processor that shows them
prompts.py     prompts and demonstrations, rendered with the run's own chat template
"""
