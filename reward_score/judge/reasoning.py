"""Judges the reasoning of a right answer: whether it leads to that answer, and what a rubric asks of it.

The first is the decision consistency of CAPO (arXiv 2506.12849), the second the reasoning reward of RARL (arXiv
2506.06600). Both are for right answers in well-formed responses alone: a wrong answer earns nothing for its reasoning.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reward_score.judge.client import Judge
from reward_score.judge.reply import JudgeError
from reward_score.judge.score import JudgedScore
from reward_score.multiple_choice import read_options
from reward_score.reasoning import CONSISTENT, REASONING
from reward_score.response import parse_response


@dataclass(frozen=True, slots=True)
class ReasoningSettings:
    """What is asked about reasoning.

    Attributes:
        consistency: Whether the judge is to come to the answer by the reasoning.
        rubric: Statements about the reasoning.
    """

    consistency: bool
    rubric: Sequence[str] = ()

    @property
    def is_on(self) -> bool:
        """Whether anything is asked."""
        return self.consistency or bool(self.rubric)


async def judge_reasoning(
    judge: Judge,
    settings: ReasoningSettings,
    data_source: str,
    question: str,
    solution_str: str,
    extra_info: Mapping[str, Any] | None,
    scored: JudgedScore,
) -> dict[str, Any]:
    """Return a scored response with what its reasoning is worth.

    For the consistency the judge sees the options and the reasoning, and neither question nor answer. It is not asked
    where there are no options; all responses to such a question have 0.

    Args:
        judge: The judge.
        settings: What it is asked.
        data_source: Of the row.
        question: As the model has read it; the judge sees no images.
        solution_str: The response.
        extra_info: Of the row, of which `options` are used.
        scored: The response's score.

    Returns:
        `scored` with `consistent` and `reasoning` where they are asked for, from 0 to 1. If the judge gives no verdict,
        `judge_failed` is 1.0, and the score has no meaning, as in `compute_judged_score`.
    """
    worth = {CONSISTENT: 0.0} if settings.consistency else {}
    if settings.rubric:
        worth[REASONING] = 0.0
    is_right = scored["acc"] == 1.0 and scored["format"] == 1.0 and not scored["judge_failed"]
    options = read_options((extra_info or {}).get("options")) if settings.consistency else {}
    if not is_right or not (options or settings.rubric):
        return {**scored, **worth}
    reasoning = parse_response(solution_str).reasoning
    try:
        if not judge.may_see(data_source):
            raise JudgeError("not sent", "the row may not leave this machine")
        opinions = asyncio.gather(*(judge.holds(question, statement, reasoning) for statement in settings.rubric))
        if options:
            letter, decided = await asyncio.gather(judge.comes_to(options, reasoning), opinions)
            worth[CONSISTENT] = float(letter == scored["pred"])
        else:
            decided = await opinions
    except JudgeError as error:
        nothing = {"score": 0.0, "acc": 0.0, "similarity": 0.0, "error": 1.0, "judge_asked": 1.0, "judge_failed": 1.0}
        return {**scored, **nothing, **worth, "reason": str(error)[:300]}
    if settings.rubric:
        worth[REASONING] = sum(opinion.yes for opinion in decided) / len(settings.rubric)
    return {**scored, **worth, "judge_asked": 1.0}
