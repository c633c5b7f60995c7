"""`medu1 prepare`: questions of one or several sources as parquet."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from verl_medu1.data.counts import Counts


# Sources that are made up here, with demonstrations of their own (verl_medu1/data/generated).
GENERATED = (
    "quickstart",
    "quickstart-dosing",
    "quickstart-advice",
    "quickstart-lookup",
    "quickstart-searcher",
    "quickstart-consultation",
    "quickstart-examinations",
    "quickstart-images",
)


def _pairs(option: str, values: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for value in values:
        name, separator, content = value.partition("=")
        if not separator or not content:
            raise ValueError(f"{option} is {value!r}; write NAME=VALUE.")
        pairs.append((name, content))
    return pairs


def _folders_of(values: list[str]) -> dict[str, Path]:
    """Read `--images NAME=FOLDER`."""
    pairs = _pairs("--images", values)
    folders = {name: Path(folder) for name, folder in pairs}
    if len(folders) < len(pairs):
        raise ValueError(f"--images is {values}; name each source once.")
    return folders


def caps_of(values: list[str]) -> dict[str, int]:
    """Read `--cap NAME=N`."""
    try:
        numbers = [(name, int(number)) for name, number in _pairs("--cap", values)]
    except ValueError:
        raise ValueError(f"--cap is {values}; write NAME=N with a whole number.") from None
    if len(caps := dict(numbers)) < len(numbers):
        raise ValueError(f"--cap is {values}; give each source one cap.")
    return caps


def prepare(
    source: Annotated[
        list[str],
        typer.Option(
            help="quickstart, quickstart-dosing or quickstart-advice, or NAME=FILE, NAME=hub, own=FILE:TYPE, "
            "medical-o1=FILE,KEYS and synthetic-calc=N[:FORMULA,...], repeated.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Seed for questions, order, split and budgets.")] = 0,
    train: Annotated[
        int | None, typer.Option(min=1, help="Number of training rows of the quickstart; default 2000.")
    ] = None,
    warmup: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Demonstrations: the quickstart's (default 6000) and synthetic-calc's are worked, others teach the "
            "format alone.",
        ),
    ] = None,
    cap: Annotated[list[str] | None, typer.Option(help="Limit for one source, NAME=N: at most N rows.")] = None,
    test_share: Annotated[
        float | None,
        typer.Option(
            help="Share of each source's rows that is held out; default 0.1. A source with its benchmark's test set "
            "holds out that alone."
        ),
    ] = None,
    budget: Annotated[
        list[str] | None, typer.Option(help="Length budgets, such as max:uniform:100:2000; default: none.")
    ] = None,
    budget_counts: Annotated[
        str, typer.Option(help="What a budget limits: the whole response, or the reasoning up to </think>.")
    ] = "response",
    prompts: Annotated[Path | None, typer.Option(help="YAML file with the texts of the prompts.")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Model folder or hub name whose tokenizer counts the prompt tokens.")
    ] = None,
    max_prompt_tokens: Annotated[
        int | None, typer.Option(help="Leave out longer prompts, and report how many.")
    ] = None,
    template_argument: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Chat-template setting, such as enable_thinking=false, as in data.apply_chat_template_kwargs.",
        ),
    ] = None,
    overrides: Annotated[
        Path | None,
        typer.Option(help="CSV file with corrections of gold answers; default: due dates wrong by arithmetic."),
    ] = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(help="Prepared file, NAME=FILE or NAME=hub:SPLIT: training rows that stand there are left out."),
    ] = None,
    keep_contaminated: Annotated[
        bool, typer.Option("--keep-contaminated", help="Keep such rows, and only report how many.")
    ] = False,
    keep_test_rows: Annotated[
        bool,
        typer.Option(
            "--keep-test-rows", help="Also train on rows of a benchmark's test set; the dataset card will say so."
        ),
    ] = False,
    duplicate_threshold: Annotated[
        float | None,
        typer.Option(help="Jaccard similarity from which rows are near duplicates, 0.5 to 1; default 0.8."),
    ] = None,
    max_unusable: Annotated[
        float | None, typer.Option(help="Largest share of a source's records that may be unusable; default 0.05.")
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FOLDER: where a source's image files are, if not beside its file."),
    ] = None,
    image_side: Annotated[
        int | None, typer.Option(help="Pixels of an image's longer side; larger images are scaled down; default 672.")
    ] = None,
) -> None:
    """Prepare questions for training and evaluation: chat messages, gold answers, options, limits and budgets."""
    from reward_score.label_overrides import read_overrides
    from verl_medu1.data.budget import parse_budget_rule
    from verl_medu1.data.prompts import DEFAULT_FILE, load_prompts
    from verl_medu1.data.storage import earlier_files
    from verl_medu1.models.chat_template import parse_arguments

    if len(source) == 1 and source[0] in GENERATED:
        fixed = {
            "--cap": cap,
            "--test-share": test_share is not None,
            "--tokenizer": tokenizer,
            "--max-prompt-tokens": max_prompt_tokens,
            "--template-argument": template_argument,
            "--overrides": overrides,
            "--budget-counts": budget_counts != "response",
            "--benchmark": benchmark,
            "--keep-contaminated": keep_contaminated,
            "--keep-test-rows": keep_test_rows,
            "--duplicate-threshold": duplicate_threshold is not None,
            "--max-unusable": max_unusable is not None,
            "--images": images,
            "--image-side": image_side is not None,
        }
        if given := [name for name, value in fixed.items() if value]:
            raise ValueError(f"{', '.join(given)} can't be set for --source {source[0]}; leave it out.")
        _prepare_generated(source[0], out, prompts, train, warmup, seed, budget)
        return
    if generated := [name for name in GENERATED if name in source]:
        raise ValueError(
            f"--source {generated[0]} stands alone; its files have a tokenizer and a warm-up of their own."
        )
    from verl_medu1.data.duplicates import THRESHOLD
    from verl_medu1.data.images.column import ImageSettings
    from verl_medu1.data.images.encode import SIDE
    from verl_medu1.data.mixture import TEST_SHARE, Mixture, prepare_mixture
    from verl_medu1.data.sources.usable import MAX_UNUSABLE

    if train is not None:
        raise ValueError(
            f"--train is {train}, and is for --source {', '.join(GENERATED)} alone; give --cap NAME=N instead."
        )
    if (tokenizer is None) != (max_prompt_tokens is None):
        raise ValueError("--tokenizer and --max-prompt-tokens belong together; give both or neither.")
    if max_prompt_tokens is not None and max_prompt_tokens < 1:
        raise ValueError(f"--max-prompt-tokens is {max_prompt_tokens}; it must be at least 1.")
    if template_argument and tokenizer is None:
        raise ValueError("--template-argument is for --tokenizer; give that, or leave it out.")
    arguments = parse_arguments(template_argument or [])
    rules = [parse_budget_rule(text, budget_counts) for text in budget or ["none"]]
    if budget_counts != "response" and all(rule.mode == "none" for rule in rules):
        raise ValueError(f"--budget-counts is {budget_counts}, and there is no --budget for it; give one.")
    mixture = Mixture(
        files=_pairs("--source", source),
        prompts=load_prompts(prompts or DEFAULT_FILE),
        rules=rules,
        caps=caps_of(cap or []),
        test_share=TEST_SHARE if test_share is None else test_share,
        seed=seed,
        tokenizer=_load_tokenizer(tokenizer, arguments, bool(warmup)),
        template_arguments=arguments,
        max_prompt_tokens=max_prompt_tokens,
        num_warmup=warmup or 0,
        overrides=read_overrides(overrides) if overrides else None,
        benchmarks=benchmark or (),
        keep_contaminated=keep_contaminated,
        duplicate_threshold=THRESHOLD if duplicate_threshold is None else duplicate_threshold,
        max_unusable=MAX_UNUSABLE if max_unusable is None else max_unusable,
        keep_test_rows=keep_test_rows,
        images=ImageSettings(
            _folders_of(images or []),
            SIDE if image_side is None else image_side,
        ),
    )
    mixture.check()
    earlier = earlier_files(out)
    counts = prepare_mixture(out, mixture)
    _show(counts)
    _tell_passages(counts)
    _tell_test_sets(counts, out)
    _tell_what_was_replaced(out, earlier)


def _prepare_generated(
    source: str,
    out: Path,
    prompts: Path | None,
    train: int | None,
    warmup: int | None,
    seed: int,
    budget: list[str] | None,
) -> None:
    from verl_medu1.data.generated import consultation, examinations, images, lookup, searcher
    from verl_medu1.data.generated.consultation_files import prepare_consultation
    from verl_medu1.data.generated.flawed import prepare_flawed
    from verl_medu1.data.generated.images_files import prepare_images
    from verl_medu1.data.generated.lookup_files import prepare_lookup
    from verl_medu1.data.generated.prepare import (
        PROMPTS_FILE,
        QUICKSTART_DEMONSTRATIONS,
        QUICKSTART_TRAIN,
        prepare_quickstart,
    )
    from verl_medu1.data.generated.searcher_files import prepare_searcher
    from verl_medu1.data.prompts import load_prompts
    from verl_medu1.data.storage import earlier_files

    number = QUICKSTART_DEMONSTRATIONS if warmup is None else warmup
    rows = QUICKSTART_TRAIN if train is None else train
    texts, earlier = load_prompts(prompts or PROMPTS_FILE), earlier_files(out)
    if source == "quickstart":
        manifest = prepare_quickstart(out, texts, rows, number, seed, _quickstart_mode(budget))
    elif budget:
        raise ValueError(f"--budget is {' '.join(budget)}, and can't be set for --source {source}; leave it out.")
    elif source == lookup.SOURCE:
        manifest = prepare_lookup(out, texts, rows, number, seed)
    elif source == searcher.SOURCE:
        manifest = prepare_searcher(out, texts, rows, number, seed)
    elif source == consultation.SOURCE:
        manifest = prepare_consultation(out, texts, rows, number, seed)
    elif source == examinations.SOURCE:
        manifest = examinations.prepare_examinations(out, texts, rows, number, seed)
    elif source == images.SOURCE:
        manifest = prepare_images(out, texts, rows, number, seed)
    else:
        manifest = prepare_flawed(out, source, texts, rows, number, seed)
    typer.echo(f"{out}: {manifest['rows']}, {number} demonstrations")
    _tell_what_was_replaced(out, earlier)


def _tell_what_was_replaced(out: Path, files: list[str]) -> None:
    if files:
        typer.echo(f"{out}: an earlier data set was replaced ({', '.join(files)})", err=True)


def _quickstart_mode(budgets: list[str] | None) -> str:
    """The mode of the quickstart's budgets; their tokens are the lengths that its demonstrations have."""
    from verl_medu1.data.generated.prepare import BUDGETS

    rules = {f"{mode}:fixed:{','.join(map(str, BUDGETS))}": mode for mode in ("exact", "max")}
    if not budgets:
        return "exact"
    if len(budgets) > 1 or budgets[0] not in rules:
        raise ValueError(f"--budget is {' '.join(budgets)} with --source quickstart; give {' or '.join(rules)}.")
    return rules[budgets[0]]


def _load_tokenizer(name: str | None, arguments: dict[str, Any], with_demonstrations: bool) -> object:
    """The tokenizer that counts, once a right answer to a prompt of ours can be scored with it."""
    if name is None:
        return None
    from transformers import AutoTokenizer

    from verl_medu1.models.chat_template import DEMONSTRATION, demonstration_fault, prompt_fault

    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ValueError(f"--tokenizer {name!r} can't be loaded ({str(error).splitlines()[0]}).") from None
    fault = prompt_fault(tokenizer, arguments)
    if fault is None and with_demonstrations:
        fault = demonstration_fault(tokenizer, arguments, DEMONSTRATION)
    if fault:
        raise ValueError(f"--tokenizer {name}: {fault}")
    return tokenizer


def _show(counts: "dict[str, Counts]") -> None:
    from rich.console import Console
    from rich.table import Table

    from verl_medu1.data.counts import TITLES

    table = Table("rows", *counts)
    for step, title in TITLES.items():
        table.add_row(title, *(str(count.number(step)) for count in counts.values()))
    Console().print(table)
    for name, count in counts.items():
        for what, number in count.others.items():
            typer.echo(f"left out: {name}: {number} records ({what})", err=True)
        for line in count.corrected:
            typer.echo(f"gold corrected: {line}", err=True)
        for line in [*count.excluded, *count.unscorable]:
            typer.echo(f"left out: {line}", err=True)


def _tell_passages(counts: "dict[str, Counts]") -> None:
    for name, count in counts.items():
        if count.passages:
            what = f"the answers to {count.passages} questions are passages, which no reward can judge"
            typer.echo(f"{name}: {what}; {count.supervised} are demonstrations in supervised.parquet.", err=True)


def _tell_test_sets(counts: "dict[str, Counts]", out: Path) -> None:
    for name, count in counts.items():
        if count.official_train:
            what = f"{count.official_train} training rows are of {count.test_set}; report no accuracy there."
            typer.echo(f"{name}: {what}", err=True)
        elif count.official_test:
            what = f"{count.official_test} rows are of {count.test_set}, and stand in test.parquet alone"
            typer.echo(f"{name}: {what} (--keep-test-rows trains on them).", err=True)
    if not any(count.train for count in counts.values()):
        typer.echo(f"There is no row to train on: {out} has a test.parquet and no train.parquet.", err=True)
