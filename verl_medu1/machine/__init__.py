"""What the machine at hand has.

accelerator.py  whether verl finds an accelerator
machine.py      GPU, CUDA, Transformer Engine, Apex: what a layout depends on
processors.py   how many processors Ray gets, and how many a run asks for
gpus.py         figures of known GPUs, from gpus.yaml
facts.py        what a node of a job has, without torch
doctor.py       what is installed, and the command that mends it
"""
