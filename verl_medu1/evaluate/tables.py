"""Tables of evaluations for the terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from verl_medu1.evaluate.statistics import Estimate
from verl_medu1.evaluate.summary import Figures

MISSING = "–"


def percent(value: float | int | None) -> str:
    """A share in percent, one decimal.

    Example:
        >>> percent(0.125), percent(None)
        ('12.5', '–')
    """
    return MISSING if value is None else f"{100 * value:.1f}"


def number(value: float | int | None, digits: int = 1) -> str:
    """A number with fixed decimals.

    Example:
        >>> number(3.14159), number(0.5, 2), number(None)
        ('3.1', '0.50', '–')
    """
    return MISSING if value is None else f"{value:.{digits}f}"


def accuracy_text(figures: Figures) -> str:
    """Accuracy in percent with its interval.

    Example:
        >>> accuracy_text({"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6})
        '50.0 [40.0, 60.0]'
    """
    return f"{percent(figures['accuracy'])} [{percent(figures['accuracy_low'])}, {percent(figures['accuracy_high'])}]"


def difference_text(difference: Estimate | None) -> str:
    """A difference of accuracies in percentage points with its interval, if it has one.

    Example:
        >>> difference_text(Estimate(0.1, 0.05, 0.15))
        '+10.0 [+5.0, +15.0]'
    """
    if difference is None:
        return MISSING
    value, low, high = (100 * part for part in difference)
    return f"{value:+.1f}" if low != low else f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


COLUMNS: dict[str, Callable[[Figures], str]] = {
    "accuracy %\n[95 %]": accuracy_text,
    "format\n%": lambda figures: percent(figures["format"]),
    "reward": lambda figures: number(figures["reward"], 2),
    "tokens": lambda figures: number(figures["length"]),
    "p95": lambda figures: number(figures["length_p95"], 0),
    "from\nbudget": lambda figures: number(figures["budget_distance"]),
    "cut\noff %": lambda figures: percent(figures["truncated"]),
}


def _table(title: str, labels: Sequence[str], columns: Iterable[str], caption: str) -> Table:
    # No frame, little padding and short heads: the table has to fit into 80 columns.
    caption = f"Tokens: mean length. From budget: mean distance in tokens. {caption}"
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for label in labels:
        table.add_column(label, overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def summary_table(summary: Mapping[str, Any]) -> Table:
    """One line per data source, and one over all."""
    columns = {name: column for name, column in COLUMNS.items() if name != "cut\noff %"}
    caption = f"{percent(summary['overall']['truncated'])} % of the responses were cut off by --max-tokens."
    if summary["overall"]["errors"]:
        caption += f" {percent(summary['overall']['errors'])} % could not be scored (error in samples.jsonl)."
    table = _table(str(summary["model"]["path"]), ["data source"], ["n", *columns], caption)
    for name, figures in {**summary["data_source"], "overall": summary["overall"]}.items():
        table.add_row(name, str(figures["questions"]), *(column(figures) for column in columns.values()))
    return table


def comparison_table(before: Mapping[str, Any], after: Mapping[str, Any], differences: Mapping[str, Estimate]) -> Table:
    """Per answer type and over all: before, after, and the change of the accuracy.

    Args:
        before, after: summaries of two evaluations.
        differences: of `verl_medu1.evaluate.summary.accuracy_differences`.
    """
    columns = {name: column for name, column in COLUMNS.items() if name not in ("p95", "cut\noff %")}
    caption = "Change: on the same questions, in percentage points."
    table = _table("before and after", ["answer type", ""], columns, caption)
    for name in [*sorted({*before["answer_type"], *after["answer_type"]}), "overall"]:
        for label, summary in (("before", before), ("after", after)):
            figures = summary["overall"] if name == "overall" else summary["answer_type"].get(name)
            cells = [column(figures) if figures else MISSING for column in columns.values()]
            table.add_row(name if label == "before" else "", label, *cells)
        table.add_row("", "change", difference_text(differences.get(name)), end_section=True)
    return table
