"""Prepares a mixture of sources as one training and one test file, and counts the rows that were dropped."""

import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import compress, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

import reward_score
from reward_score.calculation import has_no_tolerance
from reward_score.label_overrides import Overrides
from verl_medu1 import __version__
from verl_medu1.data.benchmark import read_benchmark
from verl_medu1.data.budget import Budget, BudgetRule, draw_budget
from verl_medu1.data.calculators.generate import DATA_SOURCE as GENERATED
from verl_medu1.data.calculators.generate import generate
from verl_medu1.data.candidates import Candidate, hold_out
from verl_medu1.data.corrections import corrected, unmatched
from verl_medu1.data.counts import Counts
from verl_medu1.data.demonstrations import format_demonstrations, passage_demonstration
from verl_medu1.data.duplicates import THRESHOLD, DuplicateFinder, Sketched
from verl_medu1.data.example import KEY, OPTION, PASSAGE, VALUE, Example
from verl_medu1.data.folds import set_apart
from verl_medu1.data.images.column import NO_SETTINGS, ImageSettings
from verl_medu1.data.prompts import Prompts
from verl_medu1.data.schema import DEMONSTRATIONS, IMAGES, QUESTIONS, question_row, with_images
from verl_medu1.data.screening import Contamination, drop_duplicates
from verl_medu1.data.sources import Loaded, load_source, source_title
from verl_medu1.data.sources.usable import MAX_UNUSABLE
from verl_medu1.data.storage import write_data_set
from verl_medu1.data.tracking import tracked
from verl_medu1.models.chat_template import render_tokens

TEST_SHARE = 0.1  # default
Chosen = tuple[Example, Budget]  # a question that is written


@dataclass(frozen=True)
class Mixture:
    """The sources of a data set, and how they become rows.

    Attributes:
        files: (source, file) pairs; "hub" or "hub:SPLIT" instead of a file reads from the hub, and generated
            calculations have their number instead of a file, or their number and formulas.
        prompts: texts of the prompts.
        rules: how length budgets are drawn.
        caps: source -> maximum number of its rows.
        test_share: share of each source's rows to hold out; rows about the same patient note stay together. A source
            with rows of its benchmark's test set holds out exactly those.
        seed: seed of order, split and budgets; the same inputs and seed give the same bytes.
        tokenizer: used with `max_prompt_tokens`: rows whose rendered prompt is longer are counted and dropped.
        template_arguments: arguments of the tokenizer's chat template, for counting.
        max_prompt_tokens: maximum length of a prompt in tokens.
        num_warmup: number of training rows that are also written as demonstrations: worked answers for generated
            calculations, and only the format for others.
        overrides: corrections of gold answers, instead of those that follow from the question by arithmetic.
        benchmarks: benchmarks to keep out of training, each as `verl_medu1.data.benchmark.read_benchmark` takes it.
        keep_contaminated: count training rows that occur in a benchmark or among the test rows, but keep them.
        duplicate_threshold: minimum Jaccard similarity of near duplicates.
        max_unusable: largest share of a source's records that may be unusable.
        keep_test_rows: treat rows of a benchmark's test set like others; the manifest says how many are trained on.
        images: where sources' image files are, and how large images may become.
    """

    files: Sequence[tuple[str, Path | str]]
    prompts: Prompts
    rules: Sequence[BudgetRule]
    caps: Mapping[str, int]
    test_share: float = TEST_SHARE
    seed: int = 0
    tokenizer: Any = None
    template_arguments: Mapping[str, Any] = field(default_factory=dict)
    max_prompt_tokens: int | None = None
    num_warmup: int = 0
    overrides: Overrides | None = None
    benchmarks: Sequence[str] = ()
    keep_contaminated: bool = False
    duplicate_threshold: float = THRESHOLD
    max_unusable: float = MAX_UNUSABLE
    keep_test_rows: bool = False
    images: ImageSettings = NO_SETTINGS

    def check(self) -> None:
        """Check the settings before anything is read.

        Raises:
            ValueError: a number is out of range, a source is given twice, or a cap names a source that is not read.
        """
        titles = [source_title(name, where) for name, where in self.files]
        if unknown := set(self.caps) - set(titles):
            raise ValueError(f"--cap names {', '.join(sorted(unknown))}, which no --source reads.")
        for title, cap in self.caps.items():
            if cap < 1:
                raise ValueError(f"--cap {title} is {cap}; it must be at least 1.")
        if repeated := [title for title, number in Counter(titles).items() if number > 1]:
            raise ValueError(f"--source {repeated[0]} is given twice; join its files, or leave one out.")
        if not 0 <= self.test_share < 1:
            raise ValueError(f"--test-share is {self.test_share}; it must be at least 0 and below 1.")
        if not 0 <= self.max_unusable <= 1:
            raise ValueError(f"--max-unusable is {self.max_unusable}; it must be from 0 to 1.")
        self.images.check({*dict(self.files), *(given.partition("=")[0] for given in self.benchmarks)})


@dataclass(frozen=True)
class _Sources:
    """Everything read, by the title of the source.

    Attributes:
        held: examples of a benchmark's test set, which are never trained on; `examples` has the others.
        official: row_id of each row of such a test set, held out or not.
    """

    examples: dict[str, list[Example]] = field(default_factory=dict)
    held: dict[str, list[Example]] = field(default_factory=dict)
    official: set[str] = field(default_factory=set)
    counts: dict[str, Counts] = field(default_factory=dict)
    provenance: dict[str, dict[str, Any]] = field(default_factory=dict)
    explanations: dict[str, str] = field(default_factory=dict)


def prepare_mixture(out: Path, mixture: Mixture) -> dict[str, Counts]:
    """Read sources and write train.parquet, test.parquet, manifest.json and, if requested, warmup.parquet.

    Rows whose gold answer is a passage are in none of them. Those with reasoning are in supervised.parquet.

    A file without rows is not written: there is no test.parquet if no rows are held out, and no train.parquet if the
    sources have only rows of a benchmark's test set. Those rows go only to test.parquet, except the ones that can't be
    scored, are too long or over the cap. Duplicates of them are not trained on.

    Args:
        out: folder to write.
        mixture: the sources and settings.

    Returns:
        The counts of each source.

    Raises:
        ValueError: a file can't be read, too many records are unusable, or no row is left to train on or to test with.
    """
    mixture.check()
    finder = DuplicateFinder(mixture.duplicate_threshold, mixture.seed)
    rng = random.Random(mixture.seed)
    sources = _read(mixture)
    checked = [read_benchmark(given, mixture.max_unusable, images=mixture.images) for given in mixture.benchmarks]
    if mixture.tokenizer is not None and any(row.images for rows in sources.examples.values() for row in rows):
        print("--max-prompt-tokens counts the tokens of texts, and not those of images.", file=sys.stderr)
    train, test, supervised = _select(mixture, sources, checked, finder, rng)
    splits = {"train": train, "test": test}
    _check_rows(splits, sources, mixture.test_share)
    for chosen in splits.values():
        rng.shuffle(chosen)
    tables: dict[str, tuple[pa.Schema, Iterable[dict[str, Any]]]] = {
        f"{split}.parquet": (_questions(chosen), _rows(mixture.prompts, chosen, split))
        for split, chosen in splits.items()
        if chosen
    }
    if mixture.num_warmup:
        rows = _rows(mixture.prompts, train, "train")
        worked = _demonstrations(rows, sources.explanations, mixture.num_warmup)
        tables["warmup.parquet"] = (_demonstrated(worked), worked)
    if supervised:
        tables["supervised.parquet"] = (_demonstrated(supervised), supervised)
    write_data_set(out, tables, _manifest(mixture, sources, checked, splits))
    return sources.counts


def _read(mixture: Mixture) -> _Sources:
    """Read the sources' examples whose gold answers their own scorers accept."""
    sources = _Sources()
    read_rows: list[Example] = []
    for name, where in mixture.files:
        loaded, title = _load(name, where, mixture), source_title(name, where)
        sources.provenance[title] = loaded.provenance
        if name == GENERATED:  # published reasoning is too long for a warm-up
            sources.explanations.update({row.row_id: row.reasoning for row in loaded.examples})
        others, unusable = dict(loaded.others), dict(loaded.unusable)
        read = len(loaded.examples) + sum(others.values()) + sum(unusable.values())
        sources.counts[title] = counts = Counts(read, others, unusable, test_set=loaded.test_set)
        graded = Counter(row.graded for row in loaded.examples)
        counts.by_option, counts.by_value, counts.by_key = graded[OPTION], graded[VALUE], graded[KEY]
        scorable = _scorable(corrected(loaded.examples, counts, mixture.overrides), counts)
        sources.examples[title], sources.held[title] = set_apart(scorable, loaded.official, mixture.keep_test_rows)
        sources.official.update(loaded.official)
        read_rows += loaded.examples
    for row in unmatched(read_rows, mixture.overrides or {}):
        print(f"--overrides: no row read has this id and published answer: {row}", file=sys.stderr)
    return sources


def _load(name: str, where: Path | str, mixture: Mixture) -> Loaded:
    if name != GENERATED:
        return load_source(name, where, mixture.seed, mixture.max_unusable, mixture.images)
    asked, _, formulas = str(where).partition(":")
    if not asked.isdecimal():
        raise ValueError(
            f"--source {name} is {str(where)!r}; write {name}=N or {name}=N:FORMULA,FORMULA with a whole number N of "
            "questions."
        )
    number, chosen = int(asked), formulas.split(",") if formulas else []
    drawn = tracked(generate(number, mixture.seed, chosen), "generating calculations", number)
    examples = [replace(worked.example, reasoning=worked.explanation) for worked in drawn]
    provenance = {"licence": "Apache-2.0", "generated": len(examples)}
    return Loaded(examples, provenance | ({"formulas": chosen} if chosen else {}))


def _scorable(examples: Sequence[Example], counts: Counts) -> list[Example]:
    """Keep the examples whose gold answer its own scorer accepts."""
    kept = []
    for example in tracked(examples, "scoring gold answers"):
        row = question_row(example, [], Budget(), "", 0)
        if reason := reward_score.check_gold(example.data_source, example.gold, row["extra_info"]):
            counts.unscorable.append(f"{example.row_id}: {reason}")
        else:
            kept.append(example)
            is_calculation = example.answer_type == "calculation"
            counts.widened += is_calculation and has_no_tolerance(example.gold, row["extra_info"])
    return kept


def _select(
    mixture: Mixture, sources: _Sources, checked: Sequence[Loaded], finder: DuplicateFinder, rng: random.Random
) -> tuple[list[Chosen], list[Chosen], list[dict[str, Any]]]:
    """Return training and test questions and demonstrations, without duplicates and contaminated training questions."""
    counts = sources.counts
    known = finder.sketch([example for benchmark in checked for example in benchmark.examples])
    contamination = Contamination(finder, mixture.keep_contaminated)
    # Generated questions are random: only a benchmark generated with the same seed can contain them.
    generated = {row.question for benchmark in checked for row in benchmark.examples if row.data_source == GENERATED}
    from_files = {name: examples for name, examples in sources.examples.items() if name != GENERATED}
    screened = drop_duplicates(from_files, counts, finder)
    training: dict[str, list[Candidate]] = {}
    passages: dict[str, list[Sketched]] = {}
    test: list[Candidate] = []
    for name, examples in sources.examples.items():
        count = counts[name]
        if name == GENERATED:
            new = [example for example in examples if example.question not in generated]
            count.contaminated = len(examples) - len(new)
            examples = examples if mixture.keep_contaminated else new
        sketched: list[Sketched | None] = [None] * len(examples)
        if name in screened:
            clean = list(compress(screened[name], contamination.may_train(screened[name], known, count)))
            passages[name] = [row for row in clean if row.example.graded == PASSAGE]
            clean = [row for row in clean if row.example.graded != PASSAGE]
            examples, sketched = [row.example for row in clean], list(clean)
        held = sources.held[name]
        examples, sketched = [*examples, *held], [*sketched, *finder.sketch(held)]
        found = _candidates(mixture, examples, sketched, count, rng)
        rng.shuffle(found)
        kept = found[: mixture.caps.get(name, len(found))]
        training[name], held_out = hold_out(kept, mixture.test_share, {row.row_id for row in held})
        count.over_cap, count.test = len(found) - len(kept), len(held_out)
        count.official_test = sum(candidate.example.row_id in sources.official for candidate in held_out)
        test += held_out
    train: list[Chosen] = []
    supervised: list[dict[str, Any]] = []
    test_rows = [candidate.sketched for candidate in test if candidate.sketched]
    for name, candidates in training.items():
        if name in screened:
            # Drop the same vignette with another question, or the same note in another source.
            rows = [candidate.sketched for candidate in candidates if candidate.sketched]
            candidates = list(compress(candidates, contamination.may_train(rows, test_rows, counts[name])))
            kept_passages = compress(passages[name], contamination.may_train(passages[name], test_rows, counts[name]))
            left = [row.example for row in kept_passages]
            worked = [
                passage_demonstration(row, mixture.prompts.messages(row, Budget())) for row in left if row.reasoning
            ]
            counts[name].passages, counts[name].supervised = len(left), len(worked)
            supervised += worked
        counts[name].train = len(candidates)
        counts[name].official_train = sum(candidate.example.row_id in sources.official for candidate in candidates)
        train += [(candidate.example, candidate.budget) for candidate in candidates]
    return train, [(candidate.example, candidate.budget) for candidate in test], supervised


def _questions(chosen: Sequence[Chosen]) -> pa.Schema:
    return with_images(QUESTIONS) if any(example.images for example, _ in chosen) else QUESTIONS


def _demonstrated(rows: Sequence[dict[str, Any]]) -> pa.Schema:
    return with_images(DEMONSTRATIONS) if any(row[IMAGES] for row in rows) else DEMONSTRATIONS


def _rows(prompts: Prompts, chosen: Sequence[Chosen], split: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, each made when it is written: together they would be a copy of every text."""
    for index, (example, budget) in enumerate(chosen):
        yield question_row(example, prompts.messages(example, budget), budget, split, index)


def _candidates(
    mixture: Mixture,
    examples: Sequence[Example],
    sketched: Sequence[Sketched | None],
    counts: Counts,
    rng: random.Random,
) -> list[Candidate]:
    tokenizer, longest = mixture.tokenizer, mixture.max_prompt_tokens
    candidates = []
    both = zip(examples, sketched, strict=True)
    for example, sketch in tracked(both, "writing prompts", len(examples)):
        budget = draw_budget(mixture.rules, rng)
        messages = mixture.prompts.messages(example, budget)
        tokens = len(render_tokens(tokenizer, messages, mixture.template_arguments)) if tokenizer is not None else 0
        if longest and tokens > longest:
            counts.too_long += 1
        else:
            candidates.append(Candidate(example, budget, sketch))
    return candidates


def _check_rows(splits: Mapping[str, Sequence[Chosen]], sources: _Sources, test_share: float) -> None:
    """Refuse a data set without training rows, or without the requested test rows.

    If every source has only rows of a test set, this is a data set for evaluation and needs no training rows.
    """
    only_tests = all(sources.held[title] and not examples for title, examples in sources.examples.items())
    if not splits["train"] and not (only_tests and splits["test"]):
        became = "; ".join(f"{title}: {count.in_words()}" for title, count in sources.counts.items())
        raise ValueError(f"no row is left to train on ({became}); give more, or let fewer be left out.")
    if test_share and not splits["test"]:
        raise ValueError(
            f"--test-share is {test_share:g}, and no row could be held out: all are about one patient note or there is "
            "one alone; give more, or --test-share 0."
        )


def _demonstrations(
    rows: Iterable[dict[str, Any]], explanations: Mapping[str, str], number: int
) -> list[dict[str, Any]]:
    demonstrations = list(islice(format_demonstrations(rows, explanations), number))
    if len(demonstrations) < number:
        raise ValueError(f"--warmup is {number}; {len(demonstrations)} training rows have a short gold answer.")
    return demonstrations


def _manifest(
    mixture: Mixture, sources: _Sources, checked: Sequence[Loaded], splits: Mapping[str, Sequence[Chosen]]
) -> dict[str, Any]:
    return {
        "version": __version__,
        "seed": mixture.seed,
        "test_share": mixture.test_share,
        "max_prompt_tokens": mixture.max_prompt_tokens,
        "template_arguments": dict(mixture.template_arguments),
        "max_unusable": mixture.max_unusable,
        "budgets": [asdict(rule) for rule in mixture.rules],
        "duplicate_threshold": mixture.duplicate_threshold,
        "keep_contaminated": mixture.keep_contaminated,
        "keep_test_rows": mixture.keep_test_rows,
        "benchmarks": [
            benchmark.provenance
            | {"read": len(benchmark.examples), "others": dict(benchmark.others), "unusable": dict(benchmark.unusable)}
            for benchmark in checked
        ],
        "sources": {title: sources.provenance[title] | asdict(count) for title, count in sources.counts.items()},
        "rows": {
            split: dict(sorted(Counter(example.data_source for example, _ in chosen).items()))
            for split, chosen in splits.items()
        },
    }
