"""Judges an answer by a row's checklist: rules decide the items that they can, the judge the others."""

import asyncio
from collections.abc import Sequence

from reward_score.checklist import Item, decided_by_rule, refused, verdict_of
from reward_score.judge.client import Judge
from reward_score.judge.gate import lacks_content
from reward_score.judge.reply import JudgeError
from reward_score.verdict import Verdict, wrong


async def judge_checklist(
    judge: Judge, question: str, answer: str, items: Sequence[Item], may_ask: bool = True
) -> tuple[Verdict, bool]:
    """Judge an answer by a checklist (`reward_score.checklist`).

    Args:
        judge: The judge.
        question: The question.
        answer: The answer.
        items: The checklist.
        may_ask: Whether the judge may see the answer.

    Returns:
        The verdict, and whether the judge was asked.

    Raises:
        JudgeError: The judge gave no verdict on an item, or may not see it.
    """
    said = " ".join(answer.split())
    if reason := "no content word" if lacks_content(answer) else refused(answer, items):
        return wrong(said[:1000], reason), False
    by_rule = await asyncio.to_thread(lambda: [decided_by_rule(item, answer) for item in items])
    if None in by_rule and not may_ask:
        raise JudgeError("not sent", "the row may not leave this machine")

    async def is_true(item: Item, decided: bool | None) -> bool:
        return (await judge.holds(question, item.statement, answer)).yes if decided is None else decided

    true = await asyncio.gather(*(is_true(item, decided) for item, decided in zip(items, by_rule, strict=True)))
    return verdict_of(said, items, true), None in by_rule
