"""A mixture of sources as one training and one test file, with what was left out counted."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import compress, islice
from pathlib import Path
from typing import Any

import reward_score
from reward_score.label_overrides import Overrides, find_override, shipped_overrides
from verl_medu1 import __version__
from verl_medu1.chat_template import render_tokens
from verl_medu1.data.benchmark import read_benchmark
from verl_medu1.data.budget import Budget, BudgetRule, draw_budget
from verl_medu1.data.calculators.generate import DATA_SOURCE as GENERATED
from verl_medu1.data.calculators.generate import generate
from verl_medu1.data.counts import Counts
from verl_medu1.data.demonstrations import format_demonstrations
from verl_medu1.data.duplicates import THRESHOLD, DuplicateFinder, Sketched
from verl_medu1.data.example import Example
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS, question_row
from verl_medu1.data.screening import Contamination, drop_duplicates
from verl_medu1.data.sources import Loaded, load_source
from verl_medu1.data.storage import write_data_set
from verl_medu1.data.tracking import tracked

TEST_SHARE = 0.1  # where no other is asked for


def _load(name: str, where: Path | str, seed: int) -> Loaded:
    if name != GENERATED:
        return load_source(name, where, seed)
    if not str(where).isdecimal():
        raise ValueError(f"--source {name} is {str(where)!r}; write {name}=N with a whole number of questions.")
    examples, explanations = [], {}
    number = int(str(where))
    for worked in tracked(generate(number, seed), "generating calculations", number):
        examples.append(worked.example)
        explanations[worked.example.row_id] = worked.explanation
    return Loaded(examples, {"licence": "Apache-2.0", "generated": len(examples)}, explanations)


@dataclass(frozen=True)
class Candidate:
    """A row that may be written, and its example as it is compared with others; generated ones are not."""

    row: dict[str, Any]
    example: Example
    sketched: Sketched | None


def apply_overrides(examples: Sequence[Example], counts: Counts, overrides: Overrides) -> list[Example]:
    """The examples with their gold answers corrected, and without those that an override excludes."""
    kept = []
    for example in examples:
        own_id = example.row_id.partition("/")[2]
        override = find_override(overrides, example.data_source, own_id, example.gold)
        if override is None:
            kept.append(example)
        elif override.corrected:
            counts.corrected.append(f"{example.row_id}: {override.note}")
            # The published limits stand around the wrong gold answer.
            kept.append(
                replace(example, gold=override.corrected, override=override.note, lower_limit=None, upper_limit=None)
            )
        else:
            counts.excluded.append(f"{example.row_id}: {override.note}")
    return kept


def _scorable(examples: Sequence[Example], counts: Counts) -> list[Example]:
    """The examples whose gold answer is right through its own scorer."""
    kept = []
    for example in tracked(examples, "scoring gold answers"):
        row = question_row(example, [], Budget(), "", 0)
        if reason := reward_score.check_gold(example.data_source, example.gold, row["extra_info"]):
            counts.unscorable.append(f"{example.row_id}: {reason}")
        else:
            kept.append(example)
    return kept


def _candidates(
    examples: Sequence[Example], sketched: Sequence[Sketched | None], counts: Counts, prompts: Prompts,
    rules: Sequence[BudgetRule], rng: random.Random, tokenizer: Any, max_prompt_tokens: int | None,
    template_arguments: Mapping[str, Any],
) -> list[Candidate]:  # fmt: skip
    candidates = []
    both = zip(examples, sketched, strict=True)
    for example, sketch in tracked(both, "writing prompts", len(examples)):
        budget = draw_budget(rules, rng)
        messages = prompts.messages(example, budget)
        tokens = len(render_tokens(tokenizer, messages, template_arguments)) if tokenizer is not None else 0
        if max_prompt_tokens and tokens > max_prompt_tokens:
            counts.too_long += 1
        else:
            candidates.append(Candidate(question_row(example, messages, budget, "", 0), example, sketch))
    return candidates


def _split(candidates: Sequence[Candidate], test_share: float) -> tuple[list[Candidate], list[Candidate]]:
    """Training and test rows: whole groups go to the test rows until they are `test_share` of all, or just over."""
    wanted = round(test_share * len(candidates))
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.example.group or candidate.example.row_id, []).append(candidate)
    train: list[Candidate] = []
    test: list[Candidate] = []
    for members in groups.values():
        (test if len(test) < wanted else train).extend(members)
    return train, test


def _check_numbers(caps: Mapping[str, int], names: Sequence[str], test_share: float) -> None:
    if unknown := set(caps) - set(names):
        raise ValueError(f"--cap names {', '.join(sorted(unknown))}, which no --source reads.")
    for name, cap in caps.items():
        if cap < 1:
            raise ValueError(f"--cap {name} is {cap}; it must be at least 1.")
    if repeated := [name for name, number in Counter(names).items() if number > 1]:
        raise ValueError(f"--source {repeated[0]} is given twice; join its files, or leave one out.")
    if not 0 <= test_share < 1:
        raise ValueError(f"--test-share is {test_share}; it must be at least 0 and below 1.")


def prepare_mixture(
    out: Path,
    files: Sequence[tuple[str, Path | str]],
    prompts: Prompts,
    rules: Sequence[BudgetRule],
    caps: Mapping[str, int],
    test_share: float,
    seed: int,
    tokenizer: Any = None,
    max_prompt_tokens: int | None = None,
    num_warmup: int = 0,
    overrides: Overrides | None = None,
    benchmarks: Sequence[str] = (),
    keep_contaminated: bool = False,
    duplicate_threshold: float = THRESHOLD,
    template_arguments: Mapping[str, Any] | None = None,
) -> dict[str, Counts]:
    """Read sources and write train.parquet, test.parquet, manifest.json and, where asked for, warmup.parquet.

    Args:
        out: folder to write.
        files: (source, file) pairs; "hub" or "hub:SPLIT" in place of a file reads from the hub, and the generated
            calculations have their number there.
        prompts: texts of the prompts.
        rules: how length budgets are drawn.
        caps: at most so many rows of a source.
        test_share: share of each source's rows that is held out; rows about one patient note stay together.
        seed: of order, split and budgets; the same inputs and seed give the same bytes.
        tokenizer: with `max_prompt_tokens`, rows whose rendered prompt is longer are counted and left out.
        num_warmup: so many training rows as demonstrations: generated calculations worked, others of the format.
        overrides: corrections of gold answers, in place of those that come with `reward_score`.
        benchmarks: what no training row may stand in, each as `verl_medu1.data.benchmark.read_benchmark` takes it.
        keep_contaminated: training rows that stand in a benchmark or among the test rows are counted and kept.
        duplicate_threshold: least Jaccard similarity of near duplicates.
        template_arguments: of the chat template, for counting.

    Returns:
        For each source what became of its records.

    Raises:
        ValueError: a file that can't be read, a broken record, a cap for a source that is not read.
    """
    _check_numbers(caps, [name for name, _ in files], test_share)
    rng = random.Random(seed)
    finder = DuplicateFinder(duplicate_threshold, seed)
    counts: dict[str, Counts] = {}
    provenance: dict[str, dict[str, Any]] = {}
    sources: dict[str, list[Example]] = {}
    explanations: dict[str, str] = {}
    for name, where in files:
        loaded = _load(name, where, seed)
        provenance[name] = loaded.provenance
        explanations |= loaded.explanations
        counts[name] = Counts(read=len(loaded.examples))
        corrected = apply_overrides(
            loaded.examples, counts[name], shipped_overrides() if overrides is None else overrides
        )
        sources[name] = _scorable(corrected, counts[name])
    checked = [read_benchmark(given) for given in benchmarks]
    known = finder.sketch([example for benchmark in checked for example in benchmark.examples])
    contamination = Contamination(finder, keep_contaminated)
    # Each generated question is drawn anew, and stands in no benchmark but one that was generated with the same seed.
    generated = {row.question for benchmark in checked for row in benchmark.examples if row.data_source == GENERATED}
    from_files = {name: examples for name, examples in sources.items() if name != GENERATED}
    screened = drop_duplicates(from_files, counts, finder)
    training: dict[str, list[Candidate]] = {}
    test: list[Candidate] = []
    for name, examples in sources.items():
        count = counts[name]
        if name == GENERATED:
            new = [example for example in examples if example.question not in generated]
            count.contaminated = len(examples) - len(new)
            examples = examples if keep_contaminated else new
        sketched: list[Sketched | None] = [None] * len(examples)
        if name in screened:
            clean = list(compress(screened[name], contamination.may_train(screened[name], known, count)))
            examples, sketched = [row.example for row in clean], list(clean)
        found = _candidates(
            examples, sketched, count, prompts, rules, rng, tokenizer, max_prompt_tokens, template_arguments or {}
        )
        rng.shuffle(found)
        kept = found[: caps.get(name, len(found))]
        training[name], held_out = _split(kept, test_share)
        count.over_cap, count.test = len(found) - len(kept), len(held_out)
        test += held_out
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "test": [candidate.row for candidate in test]}
    test_rows = [candidate.sketched for candidate in test if candidate.sketched]
    for name, candidates in training.items():
        if name in screened:
            # The same vignette with another question, or the same note in another source.
            rows = [candidate.sketched for candidate in candidates if candidate.sketched]
            candidates = list(compress(candidates, contamination.may_train(rows, test_rows, counts[name])))
        counts[name].train = len(candidates)
        splits["train"] += [candidate.row for candidate in candidates]
    for split, split_rows in splits.items():
        rng.shuffle(split_rows)
        for index, row in enumerate(split_rows):
            row["extra_info"].update(split=split, index=index)
    manifest = {
        "version": __version__,
        "seed": seed,
        "test_share": test_share,
        "max_prompt_tokens": max_prompt_tokens,
        "template_arguments": dict(template_arguments or {}),
        "budgets": [asdict(rule) for rule in rules],
        "duplicate_threshold": duplicate_threshold,
        "keep_contaminated": keep_contaminated,
        "benchmarks": [benchmark.provenance | {"read": len(benchmark.examples)} for benchmark in checked],
        "sources": {name: provenance[name] | asdict(count) for name, count in counts.items()},
        "rows": {
            split: dict(sorted(Counter(r["data_source"] for r in rows).items())) for split, rows in splits.items()
        },
    }
    tables = {f"{split}.parquet": (QUESTIONS, rows) for split, rows in splits.items()}
    if num_warmup:
        demonstrations = list(islice(format_demonstrations(splits["train"], explanations), num_warmup))
        if len(demonstrations) < num_warmup:
            raise ValueError(f"--warmup is {num_warmup}; {len(demonstrations)} training rows have a short gold answer.")
        tables["warmup.parquet"] = (DEMONSTRATIONS, demonstrations)
    elif out.is_dir():
        # One of an earlier preparation may hold what is a test row now.
        (out / "warmup.parquet").unlink(missing_ok=True)
    write_data_set(out, tables, manifest)
    return counts
