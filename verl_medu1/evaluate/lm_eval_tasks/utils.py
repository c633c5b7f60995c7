"""Functions for the YAML files in this folder: published records -> questions, responses -> scores.

lm-evaluation-harness loads this file by its path; verl_medu1 must be installed in the same environment.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from reward_score import compute_score
from verl_medu1.data.budget import Budget
from verl_medu1.data.folds import official_rows
from verl_medu1.data.prompts import load_prompts
from verl_medu1.data.schema import question_row
from verl_medu1.data.sources import READERS
from verl_medu1.data.sources.usable import read_usable


def prepare(source: str, records: Any) -> Any:
    """Convert a source's records (a `datasets.Dataset`) to `question`, `gold`, `data_source` and `extra_info`.

    Unusable records are skipped and reported on stderr, as in `medu1 prepare`. If ids separate the official test set
    from the other records of the split, only the test set is kept.

    Raises:
        ValueError: the columns are not the published ones, or too many records are unusable.
    """
    from datasets import Dataset

    placed = [(f"row {number}", record) for number, record in enumerate(records)]
    examples = read_usable(source, source, READERS[source], placed).examples
    test = READERS[source].official_test
    if test is not None and test.ids:
        official = official_rows(test, examples, None)
        examples = [row for row in examples if row.row_id in official]
    return Dataset.from_list([_question(row) for row in examples])


def _question(example: Any) -> dict[str, Any]:
    row = question_row(example, load_prompts().messages(example, Budget()), Budget(), "test", 0)
    return {
        "question": row["prompt"][-1]["content"],
        "gold": example.gold,
        "data_source": example.data_source,
        "extra_info": row["extra_info"],
    }


def doc_to_text(doc: Mapping[str, Any]) -> str:
    """Return the user's message, as `medu1 prepare` writes it."""
    return doc["question"]


def process_results(doc: Mapping[str, Any], results: list[str]) -> dict[str, float]:
    """Return `acc` and `format` of one response."""
    score = compute_score(doc["data_source"], results[0], doc["gold"], doc["extra_info"])
    return {"acc": score["acc"], "format": score["format"]}


medqa = partial(prepare, "medqa")
medmcqa = partial(prepare, "medmcqa")
pubmedqa = partial(prepare, "pubmedqa")
mmlu_pro_health = partial(prepare, "mmlu-pro")
medxpertqa = partial(prepare, "medxpertqa")
medcalc = partial(prepare, "medcalc")
medical_o1 = partial(prepare, "medical-o1-verifiable")
