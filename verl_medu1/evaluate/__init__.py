"""Evaluate a model on prepared questions, and compare two evaluations.

questions.py     prepared parquet -> questions
formats.py       asks multiple-choice questions as short answers and ranked lists, and judges the answers
orders.py        asks multiple-choice questions with their options in other orders
sampling.py      sampling settings and requests
models.py        finds, checks and fingerprints the model
generation.py    questions -> responses, with vLLM; the only file that starts an engine
episodes.py      responses of several turns, with an environment
endpoint.py      questions -> responses, from an OpenAI-compatible server
cache.py         responses of an earlier start
scoring.py       question and response -> sample (verdict, length, distance from the budget)
judging.py       verdicts with a judge, where the model's run or an option names one
summary.py       samples -> metrics per answer type and data source
statistics.py    intervals, pass@k, paired test; votes.py, budget_curve.py, robustness.py have one metric each
checklists.py    how many answers have each item of their checklist
evaluation.py    the steps of `medu1 eval`, in order
pass_rates.py    how often each question was answered right, in an evaluation or in rollouts
selecting.py     the steps of `medu1 select`, in order
tables.py        tables for the terminal
judge_check.py   measures a judge on labelled answers
lm_eval_tasks/   our prompts and scorers as tasks of lm-evaluation-harness; lm_eval_ids.py lists the names
"""
