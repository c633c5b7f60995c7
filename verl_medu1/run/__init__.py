"""A run's life, from its start to the last of its processes.

start.py           how a training command begins: with a keeper, or alone where it only shows its configuration
train.py, sft.py   the driver: checks, then verl's trainer
keeper.py          the process that starts the driver, shows progress, and outlives it
channel.py         what the driver tells its keeper
supervise.py       ends a run that hangs (stall), has lost a part (parts.py) or fills its disk (full_disk.py)
tidy.py            ends what a run has left
console.py         what the user sees; steps.py a line a step, relevant.py the lines of a log that say why
foreign_output.py  what other packages print goes to a log
"""
