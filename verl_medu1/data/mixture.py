"""A mixture of sources as one training and one test file, with what was left out counted."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import reward_score
from verl_medu1.data.budget import BudgetRule, draw_budget
from verl_medu1.data.example import Example
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import QUESTIONS, question_row
from verl_medu1.data.sources import read_source
from verl_medu1.data.storage import sha256, write_data_set


@dataclass
class Counts:
    """What became of a source's records."""

    read: int = 0
    too_long: int = 0
    train: int = 0
    test: int = 0
    unscorable: list[str] = field(default_factory=list)


def _prompt_tokens(tokenizer: Any, messages: Sequence[dict[str, str]]) -> int:
    return len(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)["input_ids"])


def _rows(
    examples: Sequence[Example], counts: Counts, prompts: Prompts, rules: Sequence[BudgetRule], rng: random.Random,
    tokenizer: Any, max_prompt_tokens: int | None,
) -> list[dict[str, Any]]:  # fmt: skip
    rows = []
    for example in examples:
        counts.read += 1
        budget = draw_budget(rules, rng)
        messages = prompts.messages(example, budget)
        row = question_row(example, messages, budget, "", 0)
        gold = row["reward_model"]["ground_truth"]
        if reason := reward_score.check_gold(example.data_source, gold, row["extra_info"]):
            counts.unscorable.append(f"{example.row_id}: {reason}")
        elif tokenizer is not None and max_prompt_tokens and _prompt_tokens(tokenizer, messages) > max_prompt_tokens:
            counts.too_long += 1
        else:
            rows.append(row)
    return rows


def prepare_mixture(
    out: Path,
    files: Sequence[tuple[str, Path]],
    prompts: Prompts,
    rules: Sequence[BudgetRule],
    caps: Mapping[str, int],
    test_share: float,
    seed: int,
    tokenizer: Any = None,
    max_prompt_tokens: int | None = None,
) -> dict[str, Counts]:
    """Read sources and write train.parquet, test.parquet and manifest.json.

    Args:
        out: folder to write.
        files: (source, file) pairs.
        prompts: texts of the prompts.
        rules: how length budgets are drawn.
        caps: at most so many rows of a source.
        test_share: share of each source's rows that is held out.
        seed: of order, split and budgets; the same inputs and seed give the same bytes.
        tokenizer: with `max_prompt_tokens`, rows whose rendered prompt is longer are counted and left out.

    Returns:
        For each source what became of its records.

    Raises:
        ValueError: a file that can't be read, a broken record, a cap for a source that is not read.
    """
    if unknown := set(caps) - {name for name, _ in files}:
        raise ValueError(f"--cap names {', '.join(sorted(unknown))}, which no --source reads.")
    rng = random.Random(seed)
    counts: dict[str, Counts] = {}
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for name, path in files:
        counts[name] = Counts()
        rows = _rows(read_source(name, path), counts[name], prompts, rules, rng, tokenizer, max_prompt_tokens)
        rng.shuffle(rows)
        rows = rows[: caps.get(name, len(rows))]
        held_out = round(test_share * len(rows))
        counts[name].test, counts[name].train = held_out, len(rows) - held_out
        splits["test"] += rows[:held_out]
        splits["train"] += rows[held_out:]
    for split, rows in splits.items():
        rng.shuffle(rows)
        for index, row in enumerate(rows):
            row["extra_info"].update(split=split, index=index)
    manifest = {
        "seed": seed,
        "sources": {
            name: {
                "file": path.name,
                "sha256": sha256(path),
                "read": counts[name].read,
                "too_long": counts[name].too_long,
                "unscorable": counts[name].unscorable,
                "train": counts[name].train,
                "test": counts[name].test,
            }
            for name, path in files
        },
        "rows": {
            split: dict(sorted(Counter(r["data_source"] for r in rows).items())) for split, rows in splits.items()
        },
    }
    write_data_set(out, {f"{split}.parquet": (QUESTIONS, rows) for split, rows in splits.items()}, manifest)
    return counts
