"""Maps data sources to answer types; other packages add theirs through the entry-point group `medu1.scorers`.

An entry point of that group refers to a `Source`, an `AnswerType`, or a list of them::

    [project.entry-points."medu1.scorers"]
    law = "law_rewards:SCORERS"
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from reward_score.calculation import judge_calculation
from reward_score.multiple_choice import judge_multiple_choice
from reward_score.open_ended import judge_open_ended
from reward_score.verdict import Verdict

ENTRY_POINT_GROUP = "medu1.scorers"

# (answer, gold, spec) -> verdict. Raises ValueError if the gold answer is invalid. `spec` is the row's extra_info,
# with missing keys filled in from the source's spec. Called from several threads at once.
Judge = Callable[[str, str, Mapping[str, Any]], Verdict]


@dataclass(frozen=True, slots=True)
class AnswerType:
    """A kind of answer and its scorer."""

    name: str
    judge: Judge


@dataclass(frozen=True, slots=True)
class Source:
    """A data source: its answer type, and defaults for the `extra_info` of its rows.

    Attributes:
        name: The `data_source` of its rows.
        answer_type: A name in `ANSWER_TYPES`, or of another package's answer type.
        spec: Defaults for the `extra_info` of its rows.
        credentialed: Its rows are under a data use agreement: their text is never sent to another machine.
    """

    name: str
    answer_type: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    credentialed: bool = False


ANSWER_TYPES = {
    item.name: item
    for item in (
        AnswerType("multiple_choice", judge_multiple_choice),
        AnswerType("calculation", judge_calculation),
        AnswerType("open_ended", judge_open_ended),
    )
}

# docs/scorers.md has the sweep: at 0.4 half of a passage passes too often; from 0.7 on paraphrases fail.
_FREE_TEXT = {"threshold": 0.5}
SOURCES = {
    item.name: item
    for item in (
        Source("MedXpertQA", "multiple_choice"),
        Source("MedIQ", "multiple_choice"),
        Source("EHRNoteQA", "multiple_choice", credentialed=True),
        Source("MMLU-Pro", "multiple_choice"),
        Source("MedQA", "multiple_choice"),
        Source("MedMCQA", "multiple_choice"),
        Source("PubMedQA", "multiple_choice", {"options": {"A": "yes", "B": "no", "C": "maybe"}}),
        Source("MedCalc-Bench", "calculation"),
        Source("medical-o1-reasoning-SFT", "open_ended", _FREE_TEXT),
        Source("medical-o1-verifiable-problem", "open_ended", _FREE_TEXT),
        Source("medical-o1-multiple_choice", "multiple_choice"),
        Source("medical-o1-calculation", "calculation"),
        *(Source(f"{name}-multiple_choice", "multiple_choice") for name in ("VQA-RAD", "SLAKE", "PathVQA")),
        *(Source(f"{name}-open_ended", "open_ended", _FREE_TEXT) for name in ("VQA-RAD", "SLAKE", "PathVQA")),
        Source("PMC-VQA", "multiple_choice"),
        Source("MedXpertQA-MM", "multiple_choice"),
        Source("OmniMedVQA", "multiple_choice"),
        Source("quickstart-mcq", "multiple_choice"),
        Source("quickstart-calc", "calculation"),
        Source("quickstart-open", "open_ended", _FREE_TEXT),
        Source("quickstart-dosing", "calculation"),
        Source("quickstart-advice", "open_ended"),
        Source("quickstart-lookup", "calculation"),
        Source("quickstart-searcher", "calculation"),
        Source("quickstart-consultation", "open_ended"),
        Source("quickstart-examinations", "open_ended"),
        Source("quickstart-images", "multiple_choice"),
        Source("quickstart-images-open", "open_ended"),
        Source("synthetic-calc", "calculation"),
        Source("own-multiple_choice", "multiple_choice"),
        Source("own-calculation", "calculation"),
        Source("own-open_ended", "open_ended", _FREE_TEXT),
    )
}


@dataclass(frozen=True, slots=True)
class Plugins:
    """Scorers from other packages, and one sentence for each entry point that could not be loaded."""

    sources: Mapping[str, Source]
    answer_types: Mapping[str, AnswerType]
    failures: tuple[str, ...]


def find_source(data_source: str) -> tuple[Source, AnswerType]:
    """Look up a data source and its answer type.

    Raises:
        ValueError: The data source is not registered; the message lists the known ones.
    """
    if not isinstance(data_source, str):
        raise ValueError(f"data_source must be a text, not {type(data_source).__name__}")
    source = SOURCES.get(data_source) or plugins().sources.get(data_source)
    if source is None:
        failures = "".join(f"; {failure}" for failure in plugins().failures)
        known = ", ".join(sorted({*SOURCES, *plugins().sources}))
        raise ValueError(f"data_source {data_source[:80]!r} is unknown: use one of {known}{failures}")
    return source, ANSWER_TYPES.get(source.answer_type) or plugins().answer_types[source.answer_type]


def credentialed_sources(data_sources: Iterable[str]) -> list[str]:
    """Return the data sources whose rows may not leave this machine, sorted.

    Raises:
        ValueError: One of the data sources is not registered, so this can't be known.

    Example:
        >>> credentialed_sources(["MedQA", "EHRNoteQA"])
        ['EHRNoteQA']
    """
    return sorted(name for name in set(data_sources) if find_source(name)[0].credentialed)


def known_sources() -> list[str]:
    """Return the names of all data sources, sorted.

    Raises:
        ValueError: An entry point of the group `medu1.scorers` could not be loaded.
    """
    if plugins().failures:
        raise ValueError("; ".join(plugins().failures))
    return sorted({*SOURCES, *plugins().sources})


def plugins() -> Plugins:
    """Return the scorers of other packages; loaded once per process, when a name is not one of ours."""
    with _PLUGIN_LOCK:
        return _load_plugins()


_PLUGIN_LOCK = threading.Lock()


@lru_cache(maxsize=1)
def _load_plugins() -> Plugins:
    from importlib.metadata import entry_points

    sources: dict[str, Source] = {}
    answer_types: dict[str, AnswerType] = {}
    failures = []
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            loaded = entry_point.load()
            items = [loaded] if isinstance(loaded, (Source, AnswerType)) else list(loaded)
            for item in items:
                _add(item, sources, answer_types)
        except Exception as error:  # another package's module may raise anything; known_sources() reports it
            failures.append(f"entry point {entry_point.name!r} of {ENTRY_POINT_GROUP} ({entry_point.value}): {error}")
    for source in list(sources.values()):
        if source.answer_type not in ANSWER_TYPES and source.answer_type not in answer_types:
            failures.append(f"data source {source.name!r} has the unknown answer type {source.answer_type!r}")
            del sources[source.name]
    return Plugins(sources, answer_types, tuple(failures))


def _add(item: object, sources: dict[str, Source], answer_types: dict[str, AnswerType]) -> None:
    if isinstance(item, Source):
        _add_new(item.name, item, SOURCES, sources)
    elif isinstance(item, AnswerType):
        _add_new(item.name, item, ANSWER_TYPES, answer_types)
    else:
        raise ValueError(f"{type(item).__name__} is neither a Source nor an AnswerType")


def _add_new(name: str, item: Any, ours: Iterable[str], added: dict[str, Any]) -> None:
    if name in ours or name in added:
        raise ValueError(f"the name {name!r} is taken: choose another")
    added[name] = item
