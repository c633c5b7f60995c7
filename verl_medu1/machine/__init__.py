"""What the machine has.

accelerator.py  whether verl finds an accelerator
machine.py      GPU, CUDA, Transformer Engine, Apex, flash-attn: what a layout depends on
imports.py      which modules can't be imported, tried in another process
processors.py   how many processors Ray gets, and how many a run needs
gpus.py         figures of known GPUs, from gpus.yaml
facts.py        what a node of a job has, found without torch
doctor.py       what is installed, and the commands that fix it
"""
