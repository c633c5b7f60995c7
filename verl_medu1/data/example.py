"""A question before it becomes a row, as every source gives it, whether read or generated."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pydantic, which no start of a run needs
    from reward_score.checklist import Item

# How a row is graded whose published answer is free text (`Example.graded`).
OPTION, VALUE, KEY, PASSAGE = "option", "value", "key", "passage"


@dataclass(frozen=True)
class Example:
    """One question with its gold answer.

    Attributes:
        data_source: name in the registry of `reward_score`.
        row_id: unique within a data set.
        answer_type: "multiple_choice", "calculation", "open_ended", or one that another package adds.
        question: the question, without options and instructions.
        gold: the right answer; the letter for multiple choice.
        options: (letter, text) pairs in the order shown; empty unless multiple choice.
        lower_limit: smallest right value of a calculation, inclusive; None for dates, durations and other types.
        upper_limit: largest right value, inclusive.
        unit: unit of the gold answer; None if it has none or the source does not state it.
        override: how and why the gold answer differs from the published one; "" if it does not.
        group: examples of one group (the same patient note) are never on both sides of a split.
        aliases: other wordings of an open-ended gold that are right too.
        checklist: statements about an open-ended answer, which a judge decides in place of the gold.
        graded: what is graded instead of a published free text: `OPTION`, `VALUE` or `KEY` (the short answer of another
            file); `PASSAGE` if nothing can be, so that the row serves supervised training alone. "" for other rows.
        reasoning: published reasoning that comes to `gold`; "" if there is none.
        published: the row as published, where something else of it is graded; None for other rows.
        safe_lower: smallest safe value of a calculation; None: no limit.
        safe_upper: largest safe value.
        environment: what an environment must know of the question, as JSON; "" without one (docs/episodes.md).
        stage: one of `reward_score.evidence.STAGES`; "" for the last of them.
        images: encoded images (PNG or JPEG), in the order of the placeholders `<image>` in `question`; if it has none,
            they stand before it.
    """

    data_source: str
    row_id: str
    answer_type: str
    question: str
    gold: str
    options: tuple[tuple[str, str], ...] = ()
    lower_limit: float | None = None
    upper_limit: float | None = None
    unit: str | None = None
    override: str = ""
    group: str = ""
    aliases: tuple[str, ...] = ()
    checklist: "tuple[Item, ...]" = ()
    graded: str = ""
    reasoning: str = ""
    published: "Example | None" = None
    safe_lower: float | None = None
    safe_upper: float | None = None
    environment: str = ""
    stage: str = ""
    images: tuple[bytes, ...] = ()
