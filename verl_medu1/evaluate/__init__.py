"""Evaluate a model on prepared questions, compare two evaluations, and report on a run.

Evaluation:

    questions.py    prepared parquet -> questions
    generation.py   questions -> responses, by vLLM; the only file that starts an engine
    scoring.py      question and response -> sample (verdict, length, distance from the budget)
    summary.py      samples -> figures per answer type and data source
    statistics.py   means and their intervals
    storage.py      JSONL and JSON files
    evaluation.py   the steps of `medu1 eval`, in order
    tables.py       tables for the terminal

Report of a run folder:

    run_folder.py   what a run has written so far
    curves.py       TensorBoard scalars -> figures
    excerpts.py     which samples are shown, and how
    report.py       the page
"""
