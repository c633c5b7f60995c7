"""Names of files and folders in a run's folder that have no module of their own here.

medu1.yaml and sft.yaml write some of them out, too; tests/run_folder/test_names.py compares.
"""

from pathlib import Path

# The configuration, with all interpolations resolved.
CONFIG = "config.yaml"

# Written by verl.
CHECKPOINTS, TENSORBOARD, ROLLOUTS, VALIDATION = "checkpoints", "tensorboard", "rollouts", "validation"

LOGS = "logs"
CONSOLE_LOG = Path(LOGS, "console.log")
# verl's file logger writes here (VERL_FILE_LOGGER_PATH): one line of JSON per step, for the latest start only.
METRICS = Path(LOGS, "metrics.jsonl")
# Logs of Ray's processes, kept after a failure.
RAY_LOGS = "ray_logs"

# The job file, and what its job prints; Slurm writes the job's number for %j.
JOB_FILE, JOB_OUTPUT = "job.sbatch", "slurm-%j.out"

# Evaluations of the model before and after the training.
EVALUATIONS = "eval"
BEFORE, AFTER = Path(EVALUATIONS, "before"), Path(EVALUATIONS, "after")

REPORT = "report.html"
