"""Scores a response to a question: verdict, length and distance from the budget."""

from typing import Any, NamedTuple

from reward_score import parse_response
from reward_score.must_ask import excludes_unasked
from reward_score.reader import FACTS
from reward_score.verdict import Score, Verdict
from verl_medu1.evaluate.formats import FORMATS, judge_in_format
from verl_medu1.evaluate.questions import Question
from verl_medu1.length.budget import budget_distance
from verl_medu1.rollout.components import episode_components
from verl_medu1.run_folder.evaluations import Sample


class Response(NamedTuple):
    """One generated response."""

    text: str  # without special tokens, as the scorers see it in training
    length: int  # tokens including the end token, as counted in training
    counted_tokens: int  # tokens that the question's budget counts
    truncated: bool  # ended by the token limit, not by the model
    episode: dict[str, Any] | None = None  # of several turns: `Episode.record()`; the text is then the last turn's


def opinion_on(question: Question, text: str) -> Verdict | None:
    """Judge a response to a question in another format; return None if the data source's scorer applies."""
    if question.asked_as not in FORMATS:
        return None
    return judge_in_format(question, parse_response(text).answer or "")


def call_of(question: Question, response: Response) -> dict[str, Any]:
    """Return the arguments with which `reward_score.compute_score` scores a response."""
    facts = {FACTS: response.episode["facts"]} if response.episode else {}
    return {
        "data_source": question.data_source,
        "solution_str": response.text,
        "ground_truth": question.ground_truth,
        "extra_info": question.extra_info | facts,
        "opinion": opinion_on(question, response.text),
    }


def sample_of(question: Question, response: Response, number: int, score: Score) -> Sample:
    """Return the sample of a scored response.

    Args:
        question: the question.
        response: the response to it.
        number: number of this sample among the question's samples, from 0.
        score: of the response.

    Returns:
        One row of samples.jsonl: `row_id`, `sample`, `data_source`, `asked_as`, `prompt`, `ground_truth`, `extra_info`
        (which lets `medu1 score` reproduce the verdict), `response`, all keys of the score (with a judge `judge_asked`
        and `judge_failed` too),
        `length` (tokens), `truncated` (0 or 1), `counted_tokens` (by the budget), `budget_mode`, `budget_counts`,
        `budget_tokens`, `budget_distance` (`verl_medu1.length.budget`). Of several turns `response` is the last, and
        `verl_medu1.rollout.components` has more keys.
    """
    episode: dict[str, Any] = {}
    if response.episode:
        facts = response.episode["facts"]
        right = question.ground_truth if score["acc"] else None
        unasked = excludes_unasked(question.data_source, response.text, question.extra_info, facts, right)
        episode = {**episode_components(response.episode), "unasked": float(unasked)}
    distance = budget_distance(response.counted_tokens, question.budget_mode, question.budget_tokens)
    return {
        "row_id": question.row_id,
        "sample": number,
        "data_source": question.data_source,
        "asked_as": question.asked_as,
        "prompt": question.prompt,
        "ground_truth": question.ground_truth,
        "extra_info": question.extra_info,
        "response": response.text,
        **score,
        "length": response.length,
        "truncated": float(response.truncated),
        "counted_tokens": response.counted_tokens,
        "budget_mode": question.budget_mode,
        "budget_counts": question.budget_counts,
        "budget_tokens": question.budget_tokens,
        "budget_distance": float(distance),
        **episode,
    }
