"""The files of a run's folder: every name once, with how it is written and read.

claim.py         run.lock and fingerprint.json: one folder, one run
progress.py      progress.json: the last sign of life
stop_request.py  stop_requested: end after this step
checkpoints.py   checkpoints/global_step_N and which is whole
attempts.py      attempts/N and jobs.jsonl of a job
evaluations.py   samples.jsonl and summary.json of an evaluation
whole_file.py    how a file is replaced while others read it
reader.py        all that a report shows of a run
"""
