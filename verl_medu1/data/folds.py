"""Official folds: which rows of a source belong to its benchmark's test set.

These rows are held out, unless training on them is requested (`medu1 prepare --keep-test-rows`).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_medu1.data.example import Example
from verl_medu1.data.storage import MANIFEST

TRAIN, TEST = "train", "test"
# The package datasets accepts this name for every split, "train+test" for several, and "test[:10%]" for a part.
_ALL = "all"
_PART = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True)
class OfficialTest:
    """The rows of a source on which results on its benchmark are reported.

    For a file, whose split is unknown, only `ids` and `every_row` identify them.

    Attributes:
        title: description of these rows.
        splits: splits on the hub that contain only such rows; results are mostly reported on the first.
        ids: returns the benchmark's own ids of these rows, which identify them in any file. They divide the hub's only
            split into the folds "train" and "test".
        every_row: the benchmark publishes no training rows, so all its rows belong to the test set.
    """

    title: str
    splits: tuple[str, ...] = ()
    ids: Callable[[], frozenset[str]] | None = None
    every_row: bool = False

    def holds(self, own_id: object, split: str | None = None) -> bool:
        """Return whether a row belongs to the test set.

        Args:
            own_id: the benchmark's id of the row; may be a float, if the column has gaps.
            split: the split on the hub, a part of one, or several, all of whose rows then count. None for a file.

        Example:
            >>> OfficialTest("the test split of MedQA", splits=("test",)).holds(7, "test[:10%]")
            True
        """
        if self.ids is not None:
            return str(own_id).removesuffix(".0") in self.ids()
        names = {name.strip() for name in _PART.sub("", split or "").split("+")}
        return self.every_row or not names.isdisjoint({*self.splits, *([_ALL] if self.splits else ())})


def asked_fold(name: str, test: OfficialTest | None, split: str) -> str | None:
    """Return the fold that NAME=hub or NAME=hub:SPLIT asks for; None if the source has splits instead of folds.

    Raises:
        ValueError: there is no such fold.

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
    """Return the `row_id` of each example that belongs to the test set.

    Args:
        test: the source's test set; None if it states none.
        examples: examples of the source, with the source's name, a slash and the row's own id as `row_id`.
        split: the split on the hub; None for a file.
    """
    if test is None:
        return frozenset()
    return frozenset(row.row_id for row in examples if test.holds(row.row_id.partition("/")[2], split))


def set_apart(examples: Sequence[Example], official: frozenset[str], keep: bool) -> tuple[list[Example], list[Example]]:
    """Split examples into those that may be trained on (all of them with `keep`) and those of the test set.

    Example:
        >>> rows = [Example("PubMedQA", f"pubmedqa/{number}", "multiple_choice", "?", "A") for number in (1, 2)]
        >>> [len(part) for part in set_apart(rows, frozenset({"pubmedqa/2"}), keep=False)]
        [1, 1]
    """
    held = set() if keep else official
    return [row for row in examples if row.row_id not in held], [row for row in examples if row.row_id in held]


def official_rows_in(file: Path) -> dict[str, int]:
    """Return test set -> number of its rows in a prepared file, from the manifest in the file's folder.

    Empty if the manifest states none.

    Raises:
        ValueError: the manifest is not JSON.

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
    # Every other file counts as training data: warm-up rows are taken from the training rows.
    key = "official_test" if file.stem == TEST else "official_train"
    return {counts["test_set"]: counts[key] for counts in sources.values() if counts.get(key)}


def official_violations(files: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each training file that is a test file with rows of a benchmark's test set."""
    for name in files:
        path = Path(name).expanduser()
        for title, rows in official_rows_in(path).items() if path.stem == TEST else ():
            yield (
                f"data.train_files is {name!r}, which holds {rows} rows of {title}; take the train.parquet beside it, "
                "or prepare the data with --keep-test-rows."
            )
