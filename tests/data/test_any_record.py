"""Whatever stands in a record of a published form: it is read, counted or refused, and no prompt shows Python's own."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.test_sources import FORMS, MEDMCQA
from verl_medu1.cli.prepare import prepare
from verl_medu1.data.budget import Budget
from verl_medu1.data.prompts import load_prompts
from verl_medu1.data.sources import READERS, load_source

OWN = {"question": "Which?", "context": ["One."], "id": 1}
# (source, what stands behind its file's name, a record as it is published)
PUBLISHED = [
    *((name, "", record) for name, record, _ in FORMS),
    ("medmcqa", ":from-0", {**MEDMCQA, "cop": 1}),
    ("pubmedqa", "", {"QUESTION": "Does rest help?", "CONTEXTS": ["All rested."], "final_decision": "yes"}),
    ("own", ":multiple_choice", {**OWN, "options": {"A": "x", "B": "y"}, "answer": "A"}),
    ("own", ":multiple_choice", {**OWN, "A": "x", "B": "y", "answer": "A"}),
    ("own", ":calculation", {**OWN, "answer": "2", "lower_limit": 1, "upper_limit": 3, "unit": "mg"}),
    ("own", ":open_ended", {**OWN, "answer": "rest"}),
]
IDS = {"id", "Row Number", "pubid", "question_id"}
# No brace, bracket or quotation mark: what stands in a prompt of these is Python's.
TEXT = st.text(st.sampled_from("abcABC 012.,/éß\n"), max_size=8)
SCALAR = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | TEXT | st.sampled_from("ABCD")
FIELDS = ("key", "value", "letter", "content", "text", "option", "contexts", "A", "B", "C", "D")
ANYTHING = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | TEXT, inner, max_size=4),
    max_leaves=8,
)
PYTHONS_OWN = re.compile(r"[][{}'\"]|\bNone\b|\bTrue\b|\bFalse\b|\bnan\b|\binf\b")


@st.composite
def files(draw: st.DrawFn) -> tuple[str, str, list[dict[str, Any]]]:
    name, form, record = draw(st.sampled_from(PUBLISHED))
    broken = st.dictionaries(st.sampled_from(sorted(record)), ANYTHING, min_size=1).map(lambda new: {**record, **new})
    records = [record, *draw(st.lists(broken, min_size=1, max_size=4))]
    # An id of its own for each, where that is not what is broken.
    for number, new in enumerate(records):
        records[number] = {**new, **{key: number for key in IDS & new.keys() if new[key] == record[key]}}
    return name, form, records


@settings(max_examples=200)
@given(file=files())
def test_no_prompt_shows_what_python_would_print(tmp_path_factory: pytest.TempPathFactory, file) -> None:
    name, form, records = file
    path = tmp_path_factory.mktemp("any") / "a.json"
    path.write_text(json.dumps(records))
    try:
        loaded = load_source(name, f"{path}{form}", max_unusable=1.0)
    except ValueError as error:
        assert "\n" not in str(error) and str(error).startswith(f"{name}={path}")
        return
    assert len(loaded.examples) + sum(loaded.unusable.values()) == sum(map(READERS[name].keep, records))
    for example in loaded.examples:
        [_, asked] = load_prompts().messages(example, Budget())
        assert not PYTHONS_OWN.search(asked["content"].replace("kg/m²", ""))
        assert not PYTHONS_OWN.search(example.gold.replace("('", "").replace("')", ""))
    # What is counted says which field and what it needs, not what it holds.
    assert not any(re.search(r"['\"\[\]]|holds", reason) for reason in loaded.unusable)


@settings(max_examples=40)
@given(file=files())
def test_prepare_gives_files_or_one_sentence(tmp_path_factory: pytest.TempPathFactory, file) -> None:
    name, form, records = file
    folder = tmp_path_factory.mktemp("any")
    (folder / "a.json").write_text(json.dumps(records))
    try:
        prepare([f"{name}={folder / 'a.json'}{form}"], folder / "out", max_unusable=0.9)
    except ValueError as error:
        assert "\n" not in str(error)
        assert not (folder / "out").exists()
    else:
        # Of a benchmark that publishes nothing to train on there are test rows alone.
        files = {path.name: path.stat().st_size for path in (folder / "out").glob("*.parquet")}
        only_test = READERS[name].official_test is not None and files.keys() == {"test.parquet"}
        assert (only_test or files.keys() == {"train.parquet", "test.parquet"}) and all(files.values())
