"""Judges an answer by a row's checklist: rules decide the items that they can, the judge the others."""

import asyncio
import hashlib
from collections.abc import Sequence

from reward_score.checklist import Item, decided_by_rule, refused, verdict_of
from reward_score.item_results import AGREED, DIFFERED, NO_VERDICT
from reward_score.judge.client import Judge
from reward_score.judge.gate import lacks_content
from reward_score.judge.reply import JudgeError
from reward_score.verdict import Verdict, wrong


async def judge_checklist(
    judge: Judge,
    question: str,
    answer: str,
    items: Sequence[Item],
    may_ask: bool = True,
    audit_share: float = 0.0,
) -> tuple[Verdict, bool]:
    """Judge an answer by a checklist (`reward_score.checklist`).

    Args:
        judge: The judge.
        question: The question.
        answer: The answer.
        items: The checklist.
        may_ask: Whether the judge may see the answer.
        audit_share: Share of the answers of which it is also asked about the items that rules decide. What it says of
            these is noted (`ItemResult.audit`), and changes nothing.

    Returns:
        The verdict, and whether it depends on the judge.

    Raises:
        JudgeError: The judge gave no verdict on an item that it decides, or may not see it.
    """
    said = " ".join(answer.split())
    if reason := "no content word" if lacks_content(answer) else refused(answer, items):
        return wrong(said[:1000], reason), False
    by_rule = await asyncio.to_thread(lambda: [decided_by_rule(item, answer) for item in items])
    if None in by_rule and not may_ask:
        raise JudgeError("not sent", "the row may not leave this machine")
    is_audited = may_ask and audited(question, answer, audit_share)

    async def decide(item: Item, decided: bool | None) -> tuple[bool, str]:
        if decided is None:
            return (await judge.holds(question, item.statement, answer)).yes, ""
        return decided, await _audit(judge, question, answer, item, decided) if is_audited else ""

    found = await asyncio.gather(*(decide(item, decided) for item, decided in zip(items, by_rule, strict=True)))
    return verdict_of(said, items, [true for true, _ in found], [audit for _, audit in found]), None in by_rule


async def _audit(judge: Judge, question: str, answer: str, item: Item, decided: bool) -> str:
    try:
        opinion = await judge.holds(question, item.statement, answer)
    except JudgeError:  # the rule's verdict stands; how many there are is a metric
        return NO_VERDICT
    return AGREED if opinion.yes == decided else DIFFERED


def audited(question: str, answer: str, share: float) -> bool:
    """Return whether an answer is one of the share whose items are audited; always the same for the same answer.

    Example:
        >>> [audited("What to give?", f"{dose} mg", 0.5) for dose in range(6)]
        [True, False, True, True, True, False]
    """
    digest = hashlib.blake2b(f"{question}\0{answer}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) < share * 2**64
