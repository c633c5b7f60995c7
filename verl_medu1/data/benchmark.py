"""Benchmarks that a training set must not contain: prepared files, or any source."""

from pathlib import Path

from verl_medu1.data.example import Example
from verl_medu1.data.folds import TEST
from verl_medu1.data.images.column import NO_SETTINGS, ImageSettings
from verl_medu1.data.images.prepared import prepared_images
from verl_medu1.data.records import Record, read_records
from verl_medu1.data.schema import IMAGES
from verl_medu1.data.sources import HUB, READERS, Loaded, find_source, load_source
from verl_medu1.data.sources.reader import Reader
from verl_medu1.data.sources.usable import MAX_UNUSABLE
from verl_medu1.data.storage import sha256
from verl_medu1.extensions import SOURCES, added


def read_benchmark(
    given: str,
    max_unusable: float = MAX_UNUSABLE,
    option: str = "--benchmark",
    images: ImageSettings = NO_SETTINGS,
) -> Loaded:
    """Read a benchmark.

    Args:
        given: a file that `medu1 prepare` wrote, or NAME=FILE (or NAME=hub:SPLIT) for a source.
        max_unusable: the largest share of a source's records that may be unusable.
        option: the option that it is given by, for messages.
        images: where a source's image files are, and how large images may become.

    Returns:
        Its questions and their provenance.

    Raises:
        ValueError: the file can't be read, is empty or has other columns; or NAME=hub reads training rows.

    Example:
        >>> read_benchmark("data/test.parquet")  # doctest: +SKIP
    """
    name, _, where = given.partition("=")
    if where and (name in READERS or name in added(SOURCES)):
        _check_split(name, where, option)
        return load_source(name, where, max_unusable=max_unusable, images=images)
    path = Path(given)
    return Loaded(_read_prepared(path, option), {"file": path.name, "sha256": sha256(path)})


def _check_split(name: str, where: str, option: str) -> None:
    """Refuse NAME=hub without a split if that reads the source's training rows."""
    source = find_source(name)
    if where != HUB or not isinstance(source, Reader) or source.hub is None or source.official_test is None:
        return
    test = source.official_test
    if not test.holds("", source.hub.split):
        raise ValueError(
            f"{option} {name}=hub reads rows to train on; write {name}=hub:{(*test.splits, TEST)[0]} for {test.title}."
        )


def _read_prepared(path: Path, option: str) -> list[Example]:
    """Read the questions of a prepared file; they have no groups, which are not stored."""
    try:
        examples = [_example(row, f"{option} {path}, {place}") for place, row in read_records(path)]
    except (AttributeError, IndexError, KeyError, TypeError):
        raise ValueError(
            f"{option} {path} has not the columns of a prepared file; give one of medu1 prepare, "
            f"or NAME=FILE with NAME one of {', '.join(READERS)}."
        ) from None
    if not examples:
        raise ValueError(f"{option} {path} has no rows; give a file of medu1 prepare.")
    return examples


def _example(row: Record, place: str) -> Example:
    """Recover a question from its prompt: the message's last lines are the options and the instruction."""
    info = row["extra_info"]
    options = tuple((option["letter"], option["text"]) for option in info["options"] or ())
    question = info["question"] or row["prompt"][-1]["content"].rsplit("\n", len(options) + 1)[0]
    gold = row["reward_model"]["ground_truth"]
    try:
        images = tuple(prepared_images(row, whole=True)) if IMAGES in row else ()
    except ValueError as error:
        raise ValueError(f"{place}: {error}; prepare it again with medu1 prepare.") from None
    return Example(row["data_source"], info["row_id"], row["ability"], question, gold, options, images=images)
