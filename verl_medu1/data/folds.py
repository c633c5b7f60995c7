"""Official folds: which rows of a source are its benchmark's test set, and what becomes of them.

They are held out: nobody trains on them who has not asked for it (`medu1 prepare --keep-test-rows`).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_medu1.data.example import Example
from verl_medu1.data.storage import MANIFEST

TRAIN, TEST = "train", "test"
# The package datasets takes every split by this name, several as "train+test", and a part as "test[:10%]".
_ALL = "all"
_PART = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True)
class OfficialTest:
    """The rows of a source that results on its benchmark are reported on.

    Of a file whose split can't be known nothing is claimed.

    Attributes:
        title: which rows they are, in words.
        splits: splits of the hub that hold nothing else; the first is the one that results are mostly reported on.
        ids: reads the own ids of these rows, which tell them in any file. They cut the hub's one split into the folds
            "train" and "test".
        every_row: the benchmark publishes nothing to train on.
    """

    title: str
    splits: tuple[str, ...] = ()
    ids: Callable[[], frozenset[str]] | None = None
    every_row: bool = False

    def holds(self, own_id: object, split: str | None = None) -> bool:
        """Whether a row is one of them.

        Args:
            own_id: the id that the benchmark gives it; a column with gaps may hold it as a float.
            split: that of the hub, or a part of it, or several: then all their rows count. None for a file.

        Example:
            >>> OfficialTest("the test split of MedQA", splits=("test",)).holds(7, "test[:10%]")
            True
        """
        if self.ids is not None:
            return str(own_id).removesuffix(".0") in self.ids()
        names = {name.strip() for name in _PART.sub("", split or "").split("+")}
        return self.every_row or not names.isdisjoint({*self.splits, *([_ALL] if self.splits else ())})


def asked_fold(name: str, test: OfficialTest | None, split: str) -> str | None:
    """The fold that NAME=hub or NAME=hub:SPLIT asks for, where a source has folds; None where it has splits.

    Raises:
        ValueError: a fold that there is not.

    Example:
        >>> asked_fold("pubmedqa", OfficialTest("500 questions", ids=frozenset), "")
        'train'
    """
    if test is None or test.ids is None:
        return None
    if split not in ("", TRAIN, TEST):
        raise ValueError(f"{name}=hub:{split} names no fold; choose hub:{TRAIN} (which hub alone means) or hub:{TEST}.")
    return split or TRAIN


def official_rows(test: OfficialTest | None, examples: Iterable[Example], split: str | None) -> frozenset[str]:
    """The `row_id` of each example that is a row of the test set.

    Args:
        test: what the source states; None where it states nothing.
        examples: of the source, `row_id` being its name, a slash and the row's own id.
        split: that of the hub; None for a file.
    """
    if test is None:
        return frozenset()
    return frozenset(row.row_id for row in examples if test.holds(row.row_id.partition("/")[2], split))


def set_apart(examples: Sequence[Example], official: frozenset[str], keep: bool) -> tuple[list[Example], list[Example]]:
    """The examples that may be trained on, and those of the test set; with `keep` all may be.

    Example:
        >>> rows = [Example("PubMedQA", f"pubmedqa/{number}", "multiple_choice", "?", "A") for number in (1, 2)]
        >>> [len(part) for part in set_apart(rows, frozenset({"pubmedqa/2"}), keep=False)]
        [1, 1]
    """
    held = set() if keep else official
    return [row for row in examples if row.row_id not in held], [row for row in examples if row.row_id in held]


def official_rows_in(file: Path) -> dict[str, int]:
    """Test set -> how many of its rows a prepared file holds, by the manifest beside it; empty where it says nothing.

    Raises:
        ValueError: the manifest is no JSON.

    Example:
        >>> official_rows_in(Path("no such folder/train.parquet"))
        {}
    """
    path = file.parent / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(f"{path} is cut off or no JSON ({error}); prepare the data again.") from None
    sources = manifest.get("sources") if isinstance(manifest, dict) else None
    if not isinstance(sources, dict):
        return {}
    # Warm-up rows are taken from the training rows.
    key = "official_test" if file.stem == TEST else "official_train"
    return {counts["test_set"]: counts[key] for counts in sources.values() if counts.get(key)}


def official_violations(files: Iterable[str]) -> Iterator[str]:
    """Sentences on files that are to be trained on, and hold a benchmark's test set to test with."""
    for name in files:
        path = Path(name).expanduser()
        for title, rows in official_rows_in(path).items() if path.stem == TEST else ():
            yield (
                f"data.train_files is {name!r}, which holds {rows} rows of {title}; take the train.parquet beside it, "
                "or prepare the data with --keep-test-rows."
            )
