"""Scores a response with a judge."""

import asyncio
from collections.abc import Mapping
from typing import Any

from reward_score.checklist import read_checklist
from reward_score.evidence import RETRIEVE
from reward_score.judge.checklist import judge_checklist
from reward_score.judge.client import Judge
from reward_score.judge.gate import decided_by_rule
from reward_score.judge.reply import JudgeError
from reward_score.open_ended import read_aliases
from reward_score.reader import reading_of
from reward_score.response import parse_response
from reward_score.score import compute_score, count_error
from reward_score.verdict import Score, Verdict, right, wrong


class JudgedScore(Score):
    """A scored response, with what became of the judge.

    judge_asked: 1.0 if the verdict depends on the judge. judge_failed: 1.0 if it gave none; `score` and `acc` are then
    0.0 and have no meaning: the trainer leaves such a response out of its group (docs/judge.md).
    """

    judge_asked: float
    judge_failed: float


async def compute_judged_score(
    judge: Judge,
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    opinion: Verdict | None = None,
    audit_share: float = 0.0,
    **kwargs: Any,
) -> JudgedScore:
    """Score as `compute_score` does, with a judge for what rules can't decide about open-ended answers.

    The judge sees only answers in well-formed responses of open-ended sources: those that the scorer refuses, and those
    that it accepts for anything but equality; with `JudgeSettings.when` "always" also equal ones. Rules refuse some
    answers before that (`reward_score.judge.gate`). If the row has a `checklist` in its `extra_info`, its items decide
    in place of the reference. Rows of a credentialed source are sent only to a judge on this machine; with any other
    judge the rules' verdict stands. An `opinion` that is given stands, too. Never raises.

    Args:
        judge: The judge; the other arguments are those of `compute_score`.
        audit_share: Share of the answers of which the judge is also asked about the items of a checklist that rules
            decide (`reward_score.judge.checklist`).

    Returns:
        The keys of `compute_score`, `judge_asked` and `judge_failed`. If the judge gives no verdict, `judge_failed` and
        `error` are 1.0, and `error_counts` counts the row.
    """
    # Rules run in a thread: one that takes long would keep the loop from all other questions.
    by_rules = await asyncio.to_thread(
        compute_score, data_source, solution_str, ground_truth, extra_info, opinion=opinion, **kwargs
    )
    if opinion is not None or by_rules["error"] or by_rules["answer_type"] != "open_ended" or by_rules["format"] != 1.0:
        return _unasked(by_rules)
    if reading_of(extra_info):  # rules alone score a reader's replies
        return _unasked(by_rules)
    info = extra_info or {}
    if kwargs.get("scheme") == "staged" and info.get("stage") == RETRIEVE:  # what searches find is the reward
        return _unasked(by_rules)
    answer, gold = parse_response(solution_str).answer or "", str(ground_truth).strip()
    question = str(info.get("question") or "")
    try:
        more_aliases, items = read_aliases(info.get("aliases")), read_checklist(info.get("checklist"))
        if items:
            may_ask = judge.may_see(data_source)
            verdict, is_asked = await judge_checklist(judge, question, answer, items, may_ask, audit_share)
        elif not judge.may_see(data_source):
            return _unasked(by_rules)
        elif decided := await asyncio.to_thread(
            decided_by_rule, answer, gold, more_aliases, by_rules["acc"] == 1.0, judge.settings.when
        ):
            is_right, reason = decided
            if is_right == (by_rules["acc"] == 1.0):
                return _unasked(by_rules)
            verdict, is_asked = wrong(by_rules["pred"], reason), False
        else:
            said = await judge.says_the_same(question, gold, answer)
            if said.yes == (by_rules["acc"] == 1.0):
                return {**by_rules, "judge_asked": 1.0, "judge_failed": 0.0}
            verdict, is_asked = (right if said.yes else wrong)(by_rules["pred"], f"the judge: {said}"), True
    except (JudgeError, ValueError) as error:  # ValueError: the checklist
        count_error(data_source, error, expected=(JudgeError, ValueError))
        failed = float(isinstance(error, JudgeError))
        nothing: Score = {**by_rules, "score": 0.0, "acc": 0.0, "similarity": 0.0, "error": 1.0, "checklist_items": ""}
        return {**nothing, "reason": str(error)[:300], "judge_asked": failed, "judge_failed": failed}
    judged = await asyncio.to_thread(
        compute_score, data_source, solution_str, ground_truth, extra_info, opinion=verdict, **kwargs
    )
    return {**judged, "judge_asked": float(is_asked), "judge_failed": 0.0}


def _unasked(score: Score) -> JudgedScore:
    return {**score, "judge_asked": 0.0, "judge_failed": 0.0}
