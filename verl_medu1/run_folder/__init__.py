"""The files of a run folder: each name is defined once, together with the code that writes and reads the file.

claim.py         run.lock and fingerprint.json: one folder, one run
progress.py      progress.json: the current step and phase
stop_request.py  stop_requested: end after this step
checkpoints.py   checkpoints/global_step_N, what is in one, and which of them are complete
pipeline.py      pipeline.json: the stages of a pipeline, and how each stands
attempts.py      attempts/N and jobs.jsonl of a job
configuration.py config.yaml, read
evaluations.py   responses.jsonl, samples.jsonl, summary.json and engine.log of an evaluation
names.py         names of the other files and folders
whole_file.py    replaces a text file atomically
reader.py        everything that a report shows of a run
"""
