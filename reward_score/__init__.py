"""Scores responses of the form `<think>...</think><answer>...</answer>`; plain Python, for any training framework.

Example:
    >>> from reward_score import compute_score
    >>> compute_score("MedQA", "<think>Two of four.</think><answer>(b)</answer>", "B")["score"]
    1.0
"""

from reward_score.registry import AnswerType, Source, known_sources
from reward_score.response import Response, parse_response
from reward_score.score import answer_type, check_gold, compute_score, compute_scores, error_counts
from reward_score.verdict import Score, Verdict

__all__ = [
    "AnswerType",
    "Response",
    "Score",
    "Source",
    "Verdict",
    "answer_type",
    "check_gold",
    "compute_score",
    "compute_scores",
    "error_counts",
    "known_sources",
    "parse_response",
]
