"""Functions that the YAML files of this folder name: published records to questions, and responses to scores.

lm-evaluation-harness loads this file by its place; the package verl_medu1 must be installed beside it.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from reward_score import compute_score
from verl_medu1.data.budget import Budget
from verl_medu1.data.prompts import load_prompts
from verl_medu1.data.schema import question_row
from verl_medu1.data.sources import READERS


def prepare(source: str, records: Any) -> Any:
    """The records of a source (a `datasets.Dataset`) as questions: `question`, `gold`, `data_source`, `extra_info`.

    Where ids tell the test set from the other records of the split, it is taken alone.

    Raises:
        ValueError: other columns than the published ones, or a broken record.
    """
    from datasets import Dataset

    reader = READERS[source]
    kept = [record for record in records if reader.keep(record)]
    shape = reader.shape_of(kept)
    if reader.official_test and reader.official_test.ids:
        kept = [record for record in kept if reader.official_test.holds(record[shape.record_id])]
    rows = [_question(shape.read(record, f"{source}/{number}")) for number, record in enumerate(kept)]
    return Dataset.from_list(rows)


def _question(example: Any) -> dict[str, Any]:
    row = question_row(example, load_prompts().messages(example, Budget()), Budget(), "test", 0)
    return {
        "question": row["prompt"][-1]["content"],
        "gold": example.gold,
        "data_source": example.data_source,
        "extra_info": row["extra_info"],
    }


def doc_to_text(doc: Mapping[str, Any]) -> str:
    """The user's message, as `medu1 prepare` writes it."""
    return doc["question"]


def process_results(doc: Mapping[str, Any], results: list[str]) -> dict[str, float]:
    """`acc` and `format` of one response."""
    score = compute_score(doc["data_source"], results[0], doc["gold"], doc["extra_info"])
    return {"acc": score["acc"], "format": score["format"]}


medqa = partial(prepare, "medqa")
medmcqa = partial(prepare, "medmcqa")
pubmedqa = partial(prepare, "pubmedqa")
mmlu_pro_health = partial(prepare, "mmlu-pro")
medxpertqa = partial(prepare, "medxpertqa")
medcalc = partial(prepare, "medcalc")
medical_o1 = partial(prepare, "medical-o1-verifiable")
