"""Evaluate a model on prepared questions, and compare two evaluations.

questions.py     prepared parquet -> questions
formats.py       questions with options -> the same ones for a short answer and a ranked list, and their verdicts
sampling.py      how responses are sampled
models.py        which model is meant, and what tells it from another
generation.py    questions -> responses, by vLLM; the only file that starts an engine
endpoint.py      questions -> responses, by a server in OpenAI's format
cache.py         responses that are there already
scoring.py       question and response -> sample (verdict, length, distance from the budget)
summary.py       samples -> figures per answer type and data source
statistics.py    intervals, pass@k, paired test; votes.py, budget_curve.py, robustness.py one figure each
evaluation.py    the steps of `medu1 eval`, in order
tables.py        tables for the terminal
lm_eval_tasks/   our prompts and scorers as tasks of lm-evaluation-harness; lm_eval_ids.py names them
"""
