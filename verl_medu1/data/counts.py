"""Counts of a source's records, step by step."""

from dataclasses import dataclass, field

# Step -> its name in tables and messages.
TITLES = {
    "read": "read",
    "others": "other records",
    "unusable": "unusable",
    "by_option": "free text, graded by option",
    "by_value": "free text, graded by value",
    "by_key": "free text, graded by short key",
    "corrected": "gold corrected",
    "excluded": "excluded",
    "unscorable": "can't be scored",
    "widened": "limits of no width, 5 % instead",
    "exact_duplicates": "exact duplicates",
    "near_duplicates": "near duplicates",
    "contaminated": "contaminated",
    "by_image": "contaminated: by an image",
    "too_long": "too long",
    "passages": "passages, not graded",
    "over_cap": "over cap",
    "train": "train",
    "test": "test",
    "supervised": "passages: in supervised.parquet",
    "official_test": "test: of a benchmark's test set",
    "official_train": "train: of a benchmark's test set",
}


@dataclass
class Counts:
    """The steps in order; those from `others` to `over_cap`, except `by_...`, `corrected` and `widened`, drop rows.

    Attributes:
        read: records of its files.
        others: records of its files that the source does not have -> their number.
        unusable: reason why records are unusable -> number of records.
        by_option: rows published as free text that show their options, and so became multiple choice.
        by_value: rows published as free text whose answer is a value, and so became calculations.
        by_key: open-ended rows that took the short answer to their question from another file.
        corrected: rows whose gold answer an override replaced, with its note.
        excluded: rows that an override dropped, with its note.
        unscorable: rows whose gold answer their own scorer does not accept, with the reason.
        widened: decimals whose limits both equal them, so that the official 5 % to either side count instead.
        exact_duplicates: rows that repeat an earlier one word for word.
        near_duplicates: rows that are nearly the same as an earlier one.
        contaminated: training rows that also occur in a benchmark or among the test rows; with --keep-contaminated
            they are counted and kept.
        by_image: those of `contaminated` that have an image of a benchmark or test row.
        too_long: rows whose prompt has too many tokens.
        passages: rows whose gold answer is a passage, which no reward can judge.
        over_cap: rows beyond the cap.
        train: rows written for training.
        test: rows held out.
        supervised: those of `passages` that have reasoning, written as demonstrations for supervised training.
        test_set: name of the benchmark test set to which some of the rows belong; "" if none is known to.
        official_test: rows of `test` that belong to it.
        official_train: rows of `train` that belong to it, because of --keep-test-rows.
    """

    read: int = 0
    others: dict[str, int] = field(default_factory=dict)
    unusable: dict[str, int] = field(default_factory=dict)
    by_option: int = 0
    by_value: int = 0
    by_key: int = 0
    corrected: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    unscorable: list[str] = field(default_factory=list)
    widened: int = 0
    exact_duplicates: int = 0
    near_duplicates: int = 0
    contaminated: int = 0
    by_image: int = 0
    too_long: int = 0
    passages: int = 0
    over_cap: int = 0
    train: int = 0
    test: int = 0
    supervised: int = 0
    test_set: str = ""
    official_test: int = 0
    official_train: int = 0

    def number(self, step: str) -> int:
        """Return the number of rows that a step affected.

        Example:
            >>> Counts(unusable={"field answer: it must hold text": 3}).number("unusable")
            3
        """
        value = getattr(self, step)
        return len(value) if isinstance(value, list) else sum(value.values()) if isinstance(value, dict) else value

    def in_words(self) -> str:
        """List the steps that affected any rows, with the first reason where there are reasons.

        Example:
            >>> Counts(read=2, unscorable=["medqa/0: no letter", "medqa/1: no letter"]).in_words()
            "2 read, 2 can't be scored (medqa/0: no letter)"
        """
        parts = []
        for step, title in TITLES.items():
            if number := self.number(step):
                value = getattr(self, step)
                parts.append(f"{number} {title}" + (f" ({next(iter(value))})" if not isinstance(value, int) else ""))
        return ", ".join(parts)
