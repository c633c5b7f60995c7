"""`medu1 select`: training questions by difficulty, measured by how often a model answers them right."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table


def select(
    data: Annotated[Path, typer.Option(help="Parquet file of training questions (from `medu1 prepare`).")],
    out: Annotated[Path, typer.Option(help="Folder to write to: train.parquet, manifest.json and the reports.")],
    evaluation: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Take pass rates from this evaluation of --data (the --out of `medu1 eval`)."),
    ] = None,
    rollouts: Annotated[
        Path | None,
        typer.Option(metavar="RUN_DIR", help="Take pass rates from the responses that this training has sampled."),
    ] = None,
    last_steps: Annotated[
        int | None, typer.Option(min=1, help="With --rollouts: only the last N steps.", metavar="N", show_default=False)
    ] = None,
    band: Annotated[
        str,
        typer.Option(metavar="LOW:HIGH", help="Leave out questions whose pass rate is surely below LOW or above HIGH."),
    ] = "0:1",
    confidence: Annotated[
        float, typer.Option(help="How sure: the level of Wilson's interval; 0 takes the share of samples as it is.")
    ] = 0.95,
    longest: Annotated[
        float, typer.Option(help="Keep this share of each data source's questions, those with the most words.")
    ] = 1.0,
    levels: Annotated[
        int, typer.Option(metavar="N", help="Divide the questions into N levels of the same size; L1 is the easiest.")
    ] = 0,
    edges: Annotated[
        str | None,
        typer.Option(metavar="P,P,...", help="Divide the levels at these pass rates instead.", show_default=False),
    ] = None,
    cap: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=N", help="Keep at most N questions of a data source, at random; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the caps.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Select training questions by difficulty: pass rates with intervals, a band, levels and caps.

    The levels are families of the mixture: data.mixture.by=level. Questions with the same wrong answer in all samples
    are listed in label_candidates.csv, because their gold answer may be wrong.
    """
    import json as json_format

    from rich.console import Console

    from verl_medu1.cli.prepare import caps_of
    from verl_medu1.data.selection import Selection
    from verl_medu1.data.storage import earlier_files
    from verl_medu1.evaluate.selecting import run_selection

    if (evaluation is None) == (rollouts is None):
        raise ValueError("Give --evaluation or --rollouts, one of them: where pass rates come from.")
    if last_steps is not None and rollouts is None:
        raise ValueError(f"--last-steps is {last_steps}, and is for --rollouts; add that, or leave it out.")
    rules = Selection(
        band=_band(band),
        confidence=confidence,
        longest=longest,
        levels=levels,
        edges=_edges(edges),
        caps=caps_of(cap or []),
        seed=seed,
    )
    rules.check()
    if out.resolve() == data.resolve().parent:
        raise ValueError(f"--out {out} is the folder of --data, whose files would be replaced; give another folder.")
    earlier = earlier_files(out)
    if others := sorted(set(earlier) - {"train.parquet"}):
        raise ValueError(f"--out {out} holds a data set with {others[0]}, which would be removed; give another folder.")
    report = run_selection(data, out, rules, evaluation, rollouts, last_steps)
    if json:
        typer.echo(json_format.dumps(report, ensure_ascii=False, indent=2))
    else:
        for table in _tables(report):
            Console().print(table)
    for line in _notes(report, out):
        typer.echo(line, err=True)
    if earlier:
        typer.echo(f"{out}: an earlier data set was replaced ({', '.join(earlier)})", err=True)


def _band(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        raise ValueError(f"--band is {text!r}; write LOW:HIGH with two pass rates, such as 0.1:0.9.") from None
    return low, high


def _edges(text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise ValueError(f"--edges is {text!r}; write pass rates with commas, such as 0.25,0.75.") from None


def _tables(report: dict[str, Any]) -> "list[Table]":
    """How many questions of each data source were left out and why, and how many are on each level."""
    from rich.table import Table

    sources = report["sources"]
    reasons = Table("questions", *sources)
    for name in next(iter(sources.values()))["questions"]:
        reasons.add_row(name, *(str(source["questions"][name]) for source in sources.values()))
    tables = [reasons]
    if report["levels"]:
        levels = Table("level", "pass rate", *sources)
        for level, bounds in report["levels"].items():
            cells = (str(source["levels"].get(level, 0)) for source in sources.values())
            levels.add_row(level, f"{bounds['from']:.2f} to {bounds['to']:.2f}", *cells)
        tables.append(levels)
    return tables


def _notes(report: dict[str, Any], out: Path) -> list[str]:
    from verl_medu1.data.selection import counted_reasons

    origin, notes = report["origin"], []
    where = f"steps {origin['first_step']} to {origin['last_step']} of " if "first_step" in origin else ""
    notes.append(f"Pass rates are of {where}{origin['model']}; they say little about another model.")
    if report["band_without_effect"]:
        low, high = report["rules"]["band"]
        notes.append(
            f"--band {low:g}:{high:g} can't leave a question out: with {report['most_samples']} samples and "
            f"--confidence {report['rules']['confidence']:g} every interval meets it. Take more samples, or less "
            "confidence."
        )
    for source, counts in report["sources"].items():
        if not counts["questions"]["selected"]:
            notes.append(f"Data source {source} has no question left: {counted_reasons(counts['questions'])}.")
    for level, reasons in report["empty_levels"].items():
        bounds = report["levels"][level]
        name = f"Level {level} (pass rates {bounds['from']:.2f} to {bounds['to']:.2f})"
        if reasons:
            notes.append(f"{name} has no question left: {counted_reasons(reasons)}.")
        else:
            notes.append(f"{name} has no question: none was measured to have such a pass rate; give other --edges.")
    if report["left_out_samples"]:
        notes.append(f"{report['left_out_samples']} samples without a verdict count neither way.")
    if report["unknown_questions"]:
        notes.append(f"{report['unknown_questions']} questions that were answered are not in --data.")
    if report["label_candidates"]:
        notes.append(
            f"{report['label_candidates']} questions are always wrong, and mostly with the same answer: look at "
            f"{out}/label_candidates.csv."
        )
    return notes
