"""Tables of evaluations for the terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from verl_medu1.evaluate.checklists import left_out_text
from verl_medu1.evaluate.statistics import Difference
from verl_medu1.evaluate.summary import Figures

MISSING = "–"


def percent(value: float | int | None) -> str:
    """Format a share in percent, with one decimal.

    Example:
        >>> percent(0.125), percent(None)
        ('12.5', '–')
    """
    return MISSING if value is None else f"{100 * value:.1f}"


def number(value: float | int | None, digits: int = 1) -> str:
    """Format a number with fixed decimals.

    Example:
        >>> number(3.14159), number(0.5, 2), number(None)
        ('3.1', '0.50', '–')
    """
    return MISSING if value is None else f"{value:.{digits}f}"


def accuracy_text(figures: Figures) -> str:
    """Format an accuracy in percent with its interval.

    Example:
        >>> accuracy_text({"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6})
        '50.0 [40.0, 60.0]'
    """
    return f"{percent(figures['accuracy'])} [{percent(figures['accuracy_low'])}, {percent(figures['accuracy_high'])}]"


def p_text(p_value: float) -> str:
    """Format a p-value with three decimals.

    Example:
        >>> p_text(0.0312), p_text(0.00001)
        ('0.031', '< 0.001')
    """
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def difference_text(difference: Difference | None) -> str:
    """Format a difference of accuracies in percentage points with its interval.

    Example:
        >>> difference_text(Difference(0.1, 0.05, 0.15, 0.002))
        '+10.0 [+5.0, +15.0]'
    """
    if difference is None:
        return MISSING
    value, low, high = (100 * part for part in difference[:3])
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


COLUMNS: dict[str, Callable[[Figures], str]] = {
    "accuracy %\n[95 %]": accuracy_text,
    "format\n%": lambda figures: percent(figures["format"]),
    "reward": lambda figures: number(figures["reward"], 2),
    "tokens": lambda figures: number(figures["length"]),
    "p95": lambda figures: number(figures["length_p95"], 0),
    "from\nbudget": lambda figures: number(figures["budget_distance"]),
    "cut\noff %": lambda figures: percent(figures["truncated"]),
}


def all_tables(summary: Mapping[str, Any]) -> list[Table]:
    """Return the tables that `medu1 eval` prints."""
    makers = (summary_table, several_table, budget_table, robustness_table, checklist_table)
    return [table for table in (make(summary) for make in makers) if table is not None]


def _table(title: str, labels: Sequence[str], columns: Iterable[str], caption: str) -> Table:
    # No frame, little padding and short headers, because the table has to fit into 80 columns.
    caption = f"Tokens: mean length. From budget: mean distance in tokens. {caption}"
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for label in labels:
        table.add_column(label, overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def summary_table(summary: Mapping[str, Any]) -> Table:
    """Make the table with one line per data source, and one overall."""
    columns = {name: column for name, column in COLUMNS.items() if name != "cut\noff %"}
    caption = f"{percent(summary['overall']['truncated'])} % of the responses were cut off by --max-tokens."
    if summary["overall"]["left_out"]:
        left_out = summary["overall"]["left_out"]
        caption += f" Left out: {left_out} answers without a verdict of the judge or a reply of the reader."
    if summary["overall"]["errors"]:
        caption += f" {percent(summary['overall']['errors'])} % could not be scored (error in samples.jsonl)."
    known = [f"{group['lm_eval']} ({name})" for name, group in summary["data_source"].items() if group["lm_eval"]]
    if known:
        caption += f" lm-evaluation-harness has the official test questions as {', '.join(known)}."
    table = _table(str(summary["model"]["path"]), ["data source"], ["n", *columns], caption)
    for name, figures in {**summary["data_source"], "overall": summary["overall"]}.items():
        table.add_row(name, str(figures["questions"]), *(column(figures) for column in columns.values()))
    return table


def several_table(summary: Mapping[str, Any]) -> Table | None:
    """Make the table of pass@k and majority vote, one line per data source; None with one sample per question."""
    groups = {**summary["data_source"], "overall": summary["overall"]}
    numbers = list(summary["overall"].get("pass_at", ()))
    if not numbers:
        return None
    k = summary["overall"]["k"]
    table = Table(title=f"several samples, %, of {k}", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column("data source", overflow="fold")
    for name in [*(f"pass@{number}" for number in numbers), f"majority@{k}\n[95 %]"]:
        table.add_column(name, justify="right", no_wrap=True)
    for name, figures in groups.items():
        passes = figures.get("pass_at", {})
        cells = [percent(passes[number]["value"]) if number in passes else MISSING for number in numbers]
        vote = MISSING
        if "majority" in figures and figures["k"] == k:
            low, high = percent(figures["majority_low"]), percent(figures["majority_high"])
            vote = f"{percent(figures['majority'])} [{low}, {high}]"
        table.add_row(name, *cells, vote)
    return table


def budget_table(summary: Mapping[str, Any]) -> Table | None:
    """Make the table of accuracy and adherence, one line per data source and budget; None without budgets."""
    rows = [(name, point) for name, group in summary["data_source"].items() for point in group["by_budget"]]
    if not rows:
        return None
    caption = "Kept: at most the budget, or within 10 % of an exact one. Counted: mean of what the budget counts."
    table = Table(title="by length budget", caption=caption, box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column("data source", overflow="fold")
    for name in ("budget", "n", "accuracy %\n[95 %]", "kept\n%", "tokens", "counted", "from\nbudget"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, point in rows:
        span = f"{point['fewest']:g}" + (f"–{point['most']:g}" if point["most"] > point["fewest"] else "")
        table.add_row(
            name,
            f"{point['mode']} {span}",
            str(point["questions"]),
            accuracy_text(point),
            percent(point["budget_kept"]),
            number(point["length"]),
            number(point["counted_tokens"]),
            number(point["budget_distance"]),
        )
    return table


def robustness_table(summary: Mapping[str, Any]) -> Table | None:
    """Make the table of other answer formats, one line per data source and format; None if none were asked."""
    rows = [(name, kind, found) for name, group in summary["data_source"].items()
            for kind, found in group["robustness"].items()]  # fmt: skip
    if not rows:
        return None
    caption = "Stays right: of what is right as multiple choice, the share that is right in this format too."
    table = Table(title="answer formats", caption=caption, box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column("data source", overflow="fold")
    for name in ("format", "n", "multiple\nchoice %", "accuracy %\n[95 %]", "stays\nright %"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, kind, found in rows:
        cells = (percent(found["as_prepared"]), accuracy_text(found), percent(found["stays"]))
        table.add_row(name, kind.replace("_", " "), str(found["questions"]), *cells)
    return table


def checklist_table(summary: Mapping[str, Any]) -> Table | None:
    """Make the table of the items of checklists, one line per item; None without any."""
    found = summary["checklist"]
    if not found:
        return None
    caption = f"Asked: answers that were scored by the item. {left_out_text(found['left_out'])}".strip()
    table = Table(title="checklist items", caption=caption, box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column("item", overflow="fold")
    for name in ("", "asked", "true of %"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in found["items"]:
        must_not = "must not" if item["must_not"] else ""
        # A text of the user's, in which brackets are no markup.
        table.add_row(Text(item["statement"]), must_not, str(item["asked"]), percent(item["share"]))
    return table


def comparison_table(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    differences: Mapping[str, Difference],
    key: str = "answer_type",
) -> Table:
    """Make the table of before, after and change in accuracy, per answer type or data source and overall.

    Args:
        before, after: summaries of two evaluations.
        differences: from `verl_medu1.evaluate.summary.accuracy_differences`.
        key: the grouping, "answer_type" or "data_source".
    """
    columns = {name: column for name, column in COLUMNS.items() if name not in ("p95", "cut\noff %")}
    caption = "Change: on the same questions, in percentage points; p: exact paired test over questions."
    table = _table("before and after", [key.replace("_", " "), ""], columns, caption)
    for name in [*sorted({*before[key], *after[key]}), "overall"]:
        for label, summary in (("before", before), ("after", after)):
            figures = summary["overall"] if name == "overall" else summary[key].get(name)
            cells = [column(figures) if figures else MISSING for column in columns.values()]
            table.add_row(name if label == "before" else "", label, *cells)
        change = differences.get(name)
        table.add_row("", "change", difference_text(change))
        table.add_row("", "p", p_text(change.p_value) if change else MISSING, end_section=True)
    return table
