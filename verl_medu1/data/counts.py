"""What became of a source's records, step by step."""

from dataclasses import dataclass, field


@dataclass
class Counts:
    """The steps in their order; each but `corrected`, `train` and `test` leaves rows out.

    Attributes:
        read: records of the source.
        corrected: rows whose gold answer an override replaced, with its note.
        excluded: rows that an override left out, with its note.
        unscorable: rows whose gold answer is not right through its own scorer, with the reason.
        exact_duplicates: rows that repeat an earlier one word for word.
        near_duplicates: rows that hardly differ from an earlier one.
        contaminated: training rows that stand in a benchmark or among the test rows; with --keep-contaminated they are
            counted and kept.
        too_long: rows whose prompt has too many tokens.
        over_cap: rows beyond the cap.
        train: rows written for training.
        test: rows held out.
        test_set: the test set of a benchmark that some of the rows are of, in words; "" where none is known to be.
        official_test: those of `test` that are of it.
        official_train: those of `train` that are, by --keep-test-rows.
    """

    read: int = 0
    corrected: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    unscorable: list[str] = field(default_factory=list)
    exact_duplicates: int = 0
    near_duplicates: int = 0
    contaminated: int = 0
    too_long: int = 0
    over_cap: int = 0
    train: int = 0
    test: int = 0
    test_set: str = ""
    official_test: int = 0
    official_train: int = 0
