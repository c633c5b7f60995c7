"""The life of a run, from its start until its last process has ended.

start.py           how a training command starts: under a keeper, or directly if it only prints its configuration
train.py, sft.py   the driver: checks, then verl's trainer
pipeline.py        the stages of a pipeline, each as a command of its own
keeper.py          the process that starts the driver, shows progress, and outlives it
channel.py         what the driver tells its keeper
supervise.py       ends a run that stalls, has lost a part (parts.py) or has filled its disk (full_disk.py)
tidy.py            cleans up after a run: processes, shared memory, temporary folder
console.py         what the user sees; steps.py formats one line per step, relevant.py finds the log lines that say why
prometheus.py      serves the metrics as Prometheus text; tail.py reads what is added to a file
foreign_output.py  sends what other packages print to a log
"""
