"""Where our verdict on MedCalc-Bench's answers is that of its official evaluator, and where not.

    python benchmarks/medcalc_agreement.py DATA [--json]

DATA is MedCalc-Bench's file (MedCalc-Bench's own CSV or medcalc.json). To each row a table of answers is put: the gold,
near misses, and the ways in which models write a value. Prints, for each way, how often the two verdicts are the same.

The official rules (ncbi-nlp/MedCalc-Bench, evaluation/ at commit 20b10f9), stated here anew and without its `eval`:

    date       the answer begins with M/D/YYYY; equal as dates
    duration   the first "W weeks, D days" of the answer; both numbers equal
    integer    "N out of" gives N; else numbers with commas between, how many they are; else the last number; rounded
    decimal    "x mL/min/1.73" gives x; else "x%" gives x / 100; else the last number; within the limits

A number is an optional minus, digits, and at most one decimal point with digits behind.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from reward_score import compute_score
from reward_score.response import format_response
from verl_medu1.data.example import Example
from verl_medu1.data.sources import read_source

_DATE = re.compile(r"(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])/\d{4}")
_DURATION = re.compile(r"(\d+)\s*weeks?['\"]?,?\s*['\"]?(\d+)\s*days?")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_LIST = re.compile(r"-?\d+(?:\s*,\s*-?\d+)+")

# Ways of writing a value on which the official evaluator is wrong, each with what it reads.
OFFICIAL_IS_WRONG = {
    "thousands comma": "1,200 is read as 200, or where a whole number is expected as a list of two",
    "unit with a digit": "the last number of '25 kg/m^2' is 2",
    "denominator without 'out of'": "the last number of '0/20 points' is 20",
    "scientific": "the last number of 1.2e+01 is 01",
    "percent sign": "5.3% is read as 0.053 where the question asks for percent",
    "value with its derivation behind": "the last number of '25 (= 81 / 1.8)' is 1.8",
    "Unicode minus": "the sign is not read: −3 is taken for 3",
    "date in ISO form": "no date is found in 2014-09-23",
    "date in words": "no date is found in September 23, 2014",
    "date in a sentence": "a date counts only where the answer begins with it",
    "duration with 'and'": "no duration is found in '17 weeks and 6 days'",
    "days without weeks": "no duration is found in '6 days', the gold being 0 weeks and 6 days",
    "two values": "of '3 or 25' the last is taken: the answer names two",
    "bound": "'> 25' is read as 25: the answer names no value",
    "negated": "'not 25' is read as 25",
    "range": "of '20 to 25' the last is taken",
    "one half more": "a half is rounded to the even neighbour: 2.5 is 2 and 3.5 is 4",
}


def kind_of(example: Example) -> str:
    """Which of the official rules a row is judged by; the file names no calculator, and the limits tell."""
    if "/" in example.gold:
        return "date"
    if _DURATION.search(example.gold):
        return "duration"
    return "integer" if example.lower_limit == example.upper_limit else "decimal"


def official(answer: str, example: Example) -> bool:
    """The official verdict. An answer in which its rules find nothing is wrong."""
    kind = kind_of(example)
    if kind == "date":
        found = _DATE.match(answer)
        try:
            return bool(found) and _date(found[0]) == _date(example.gold)
        except ValueError:
            return False
    if kind == "duration":
        found, gold = _DURATION.search(answer), _DURATION.search(example.gold)
        return found is not None and gold is not None and [*map(int, found.groups())] == [*map(int, gold.groups())]
    value = _whole(answer) if kind == "integer" else _decimal(answer)
    if value is None:
        return False
    if kind == "integer":
        return round(value) == float(example.gold)
    assert example.lower_limit is not None and example.upper_limit is not None
    return example.lower_limit <= value <= example.upper_limit


def _date(text: str) -> datetime:
    return datetime.strptime(text, "%m/%d/%Y")


def _whole(answer: str) -> float | None:
    if found := re.search(r"(\d+) out of", answer):
        return float(found[1])
    if found := _LIST.search(answer):
        return float(len(found[0].split(",")))
    return _last(answer)


def _decimal(answer: str) -> float | None:
    if found := re.search(rf"({_NUMBER.pattern}) mL/min/1\.73", answer):
        return float(found[1])
    if found := re.search(rf"({_NUMBER.pattern})%", answer):
        return float(found[1]) / 100
    return _last(answer)


def _last(answer: str) -> float | None:
    numbers = _NUMBER.findall(answer)
    return float(numbers[-1]) if numbers else None


def ours(answer: str, example: Example) -> bool:
    """Our verdict on a well-formed response with this answer."""
    info = {"lower_limit": example.lower_limit, "upper_limit": example.upper_limit, "unit": example.unit}
    response = format_response("By the formula.", answer)
    return compute_score("MedCalc-Bench", response, example.gold, info)["acc"] == 1.0


def answers(example: Example) -> Iterator[tuple[str, str]]:
    """The table of answers to one row: how it is written, and the answer."""
    yield "gold", example.gold
    yield from (("none", text) for text in ("", "N/A", "unknown", "I can't tell."))
    kind = kind_of(example)
    if kind == "date":
        yield from _dates(_date(example.gold))
    elif kind == "duration":
        weeks, days = map(int, _DURATION.search(example.gold).groups())  # type: ignore[union-attr]
        yield from _durations(weeks, days)
    else:
        yield from _numbers(example, kind)


def _dates(day: datetime) -> Iterator[tuple[str, str]]:
    yield "without leading zeros", f"{day.month}/{day.day}/{day.year}"
    yield "another day", f"{day.month}/{day.day % 28 + 1}/{day.year}"
    yield "another year", f"{day:%m/%d}/{day.year + 1}"
    yield "day and month exchanged", f"{day:%d/%m/%Y}"
    yield "date in ISO form", f"{day:%Y-%m-%d}"
    yield "date in words", f"{day:%B} {day.day}, {day.year}"
    yield "date in a sentence", f"The due date is {day:%m/%d/%Y}."
    yield "a number", str(day.day)


def _durations(weeks: int, days: int) -> Iterator[tuple[str, str]]:
    yield "plain", f"{weeks} weeks {days} days"
    yield "brackets", f"({weeks} weeks, {days} days)"
    yield "double quotes", f'("{weeks} weeks", "{days} days")'
    yield "in a sentence", f"The gestational age is {weeks} weeks, {days} days."
    yield "a day more", f"{weeks} weeks {days + 1} days"
    yield "a week less", f"('{weeks - 1} weeks', '{days} days')"
    yield "in days" if weeks else "days without weeks", f"{7 * weeks + days} days"
    yield "duration with 'and'", f"{weeks} weeks and {days} days"


def _numbers(example: Example, kind: str) -> Iterator[tuple[str, str]]:
    gold = float(example.gold)
    text = f"{gold:.6f}".rstrip("0").rstrip(".")
    lower, upper = example.lower_limit, example.upper_limit
    assert lower is not None and upper is not None
    yield "in a sentence", f"The result is {text}"
    yield "approximately", f"approximately {text}"
    yield "doubled", f"{2 * gold + 7:.6f}"
    yield "two values", f"{2 * gold + 7:.6f} or {text}"
    yield "bound", f"> {text}"
    yield "negated", f"not {text}"
    yield "range", f"{gold - 9:.6f} to {text}"
    yield "scientific", f"{gold:.9e}"
    if gold < 0:
        yield "Unicode minus", text.replace("-", "\N{MINUS SIGN}")
        yield "sign left out", text.removeprefix("-")
    if abs(gold) >= 1000:
        yield "thousands comma", f"{gold:,.6f}".rstrip("0").rstrip(".")
    if kind == "integer":
        yield "as a decimal", f"{gold:.1f}"
        yield from (("rounds to it", f"{gold + part:.2f}") for part in (-0.4, -0.25, 0.25, 0.4))
        yield from (("rounds elsewhere", f"{gold + part:.2f}") for part in (-1, -0.6, 0.6, 1, 2))
        yield "one half more", f"{gold + 0.5:.1f}"
        if example.unit is None:
            yield "points", f"{text} points"
        if gold >= 0:
            yield "out of", f"{text} out of 20"
            yield "denominator without 'out of'", f"{text}/20 points"
        return
    step = max(1e-4, 1e-4 * abs(gold))
    yield from (("on the limit", f"{value:.10f}") for value in (lower, upper))
    yield from (("just inside", f"{value:.10f}") for value in (lower + step, upper - step))
    yield from (("just outside", f"{value:.10f}") for value in (lower - step, upper + step))
    yield from (("near miss", f"{gold * factor:.6f}") for factor in (0.9, 0.94, 1.06, 1.1))
    yield from (("rounded", f"{gold:.{digits}f}") for digits in (0, 1, 2, 3))
    yield "value with its derivation behind", f"{text} (= {2 * gold:.6f} / 2)"
    if example.unit == "%":
        yield "percent sign", f"{text}%"
    elif example.unit == "kg/m²":
        yield "unit with a digit", f"{text} kg/m^2"
    elif example.unit:
        yield "with its unit", f"{text} {example.unit}"


def compare(examples: list[Example]) -> dict[str, dict[str, Any]]:
    """For each way of writing: how many answers, how many verdicts that are the same, and the others."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"answers": 0, "agree": 0, "others": []})
    for example in examples:
        for name, answer in answers(example):
            verdicts = ours(answer, example), official(answer, example)
            found[name]["answers"] += 1
            if verdicts[0] == verdicts[1]:
                found[name]["agree"] += 1
            else:
                found[name]["others"].append([example.row_id, example.gold, answer, *verdicts])
    return dict(found)


def main(
    data: Annotated[Path, typer.Argument(help="MedCalc-Bench's file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Compare our verdicts with the official ones."""
    found = compare(read_source("medcalc", data))
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo("| written | answers | same verdict, % | the official one |\n| --- | --- | --- | --- |")
    for name, row in sorted(found.items(), key=lambda item: (item[0] in OFFICIAL_IS_WRONG, item[0])):
        share = 100 * row["agree"] / row["answers"]
        typer.echo(f"| {name} | {row['answers']} | {share:.1f} | {OFFICIAL_IS_WRONG.get(name, '')} |")
    others = [row for name, row in found.items() if name not in OFFICIAL_IS_WRONG]
    for where, rows in (
        ("Over all ways of writing", list(found.values())),
        ("Where the official evaluator is not shown to be wrong", others),
    ):
        agree, total = (sum(row[key] for row in rows) for key in ("agree", "answers"))
        typer.echo(f"\n{where}: {agree:,} of {total:,}, {100 * agree / total:.2f} %.")
    for name, row in found.items():
        if name not in OFFICIAL_IS_WRONG:
            for other in row["others"]:
                place, gold, answer, mine, theirs = other
                typer.echo(f"{name}: {place}, gold {gold}, answer {answer!r}: ours {mine}, official {theirs}")


if __name__ == "__main__":
    typer.run(main)
