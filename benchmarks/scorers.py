"""What the scorers of reward_score do on real rows, and how long they take.

    python benchmarks/scorers.py DATA [--json]

DATA is the folder of the four benchmark files. Prints Markdown tables: gold answers, hacks on open-ended references
beside the published rule (published_rule.py), the sweep of the open-ended thresholds, spellings of calculations, values
outside the limits or in a wrong unit, times.
"""

import json
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from published_rule import passes

from reward_score import compute_score
from reward_score.corruptions import corruptions
from reward_score.open_ended import is_passage
from reward_score.response import format_response
from verl_medu1.data.corrections import corrected
from verl_medu1.data.counts import Counts
from verl_medu1.data.example import Example
from verl_medu1.data.records import read_records
from verl_medu1.data.sources import read_source
from verl_medu1.data.sources.fields import untagged

FILES = {"medcalc": "medcalc.json", "mediq": "mediq.json", "medxpertqa": "medxpertqa.json"}
REFERENCES = "medical_o1.json"
CONSTANTS = ("is", "the", "and", "of", "A", "0", "yes")
REASONING = " ".join(["The patient's creatinine of 1.2 mg/dL (not < 0.6) suggests A or B; next we check C."] * 25)
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# Ways of writing a right answer.
RIGHT_FORMS = ("{}", "The {}", "{}.", "**{}**", "It is {}", "The answer is {}.")
# (example, answer, settings of the source) -> right or wrong.
Rule = Callable[..., bool]
_DURATION = re.compile(r"(\d+) weeks?'?,? '?(\d+) days?")


def wrapped(answer: str, reasoning: str = "Because of the history.") -> str:
    """A well-formed response."""
    return format_response(reasoning, answer)


def info(example: Example) -> dict[str, Any]:
    """What the scorer sees of a prepared row."""
    return {
        "options": dict(example.options),
        "lower_limit": example.lower_limit,
        "upper_limit": example.upper_limit,
        "unit": example.unit,
        "question": example.question,
    }


def right(example: Example, answer: str, **spec: float) -> bool:
    """Whether an answer in a well-formed response is right, by settings of the source other than ours if given."""
    extra_info = info(example) | spec
    return compute_score(example.data_source, wrapped(answer), example.gold, extra_info)["acc"] == 1.0


def percent(examples: Sequence[Example], answer: Callable[[Example], str], rule: Rule = right, **spec: float) -> float:
    """Percent of the examples for which the answer is right by a rule."""
    return 100 * statistics.fmean(rule(example, answer(example), **spec) for example in examples)


def right_as_published(example: Example, answer: str) -> bool:
    """Whether Med-U1's release takes an open-ended answer for right."""
    return passes(answer, example.gold)


def read_examples(data: Path) -> dict[str, list[Example]]:
    """The rows of each benchmark, published labels that are proven wrong corrected; of medical-o1 as published."""
    examples = {name: corrected(read_source(name, data / file), Counts(), None) for name, file in FILES.items()}
    return examples | {"medical-o1": read_references(data / REFERENCES)}


def read_references(file: Path) -> list[Example]:
    """The free texts of medical-o1, which `medu1 prepare` does not use as references, to measure the scorer with."""
    references = []
    for place, record in read_records(file):
        gold = record["answer"].strip().removeprefix("<answer>").removesuffix("</answer>").strip()
        question = untagged(record["problem"])
        references.append(Example("medical-o1-reasoning-SFT", place, "open_ended", question, gold))
    return references


def hacks(examples: Sequence[Example], rule: Rule = right) -> dict[str, float]:
    """Percent of open-ended rows that answers without knowledge pass by a rule, and an exact copy of the reference."""
    other = {row.row_id: examples[place - 1].gold for place, row in enumerate(examples)}
    # A reference of at most eight words is its own prefix.
    long = [row for row in examples if len(row.gold.split()) > 8]

    def share(answer: Callable[[Example], str], rows: Sequence[Example] = examples) -> float:
        return percent(rows, answer, rule)

    return {
        "exact copy": share(lambda row: row.gold),
        **{word: share(lambda row, word=word: word) for word in CONSTANTS},
        "first 8 words of the reference": share(lambda row: " ".join(row.gold.split()[:8]), long),
        "first 20 words of the question": share(lambda row: " ".join(row.question.split()[:20])),
        "a word of the reference, 50 times": share(lambda row: " ".join([max(row.gold.split(), key=len)] * 50)),
        "another row's reference": share(lambda row: other[row.row_id]),
    }


def fewer_words(text: str, every: int = 5) -> str:
    """A text without each fifth word: what an answer lacks that says the same in other words."""
    return " ".join(word for place, word in enumerate(text.split(), start=1) if place % every)


def sweep(examples: Sequence[Example]) -> dict[str, dict[str, dict[str, float]]]:
    """Percent of open-ended references that answers pass at each threshold; those that are passages."""
    other = {row.row_id: examples[place - 1].gold for place, row in enumerate(examples)}
    answers: dict[str, dict[str, Callable[[Example], str]]] = {
        "threshold": {
            "reference, each fifth word dropped": lambda row: fewer_words(row.gold),
            "first half of the reference": lambda row: " ".join(row.gold.split()[: len(row.gold.split()) // 2]),
            "first 8 words of the reference": lambda row: " ".join(row.gold.split()[:8]),
            "first 20 words of the question": lambda row: " ".join(row.question.split()[:20]),
            "another row's reference": lambda row: other[row.row_id],
        },
    }
    rows = {"threshold": [row for row in examples if is_passage(row.gold)]}
    return {
        key: {
            name: {str(value): percent(rows[key], answer, **{key: value}) for value in THRESHOLDS}
            for name, answer in of_key.items()
        }
        for key, of_key in answers.items()
    }


def spellings(example: Example) -> dict[str, str]:
    """Ways of writing a calculation's gold answer that people use."""
    gold = example.gold
    if "/" in gold:
        day: date = datetime.strptime(gold, "%m/%d/%Y").date()
        return {
            "date, 09/23/2014": f"{day:%m/%d/%Y}",
            "date, 9/23/2014": f"{day.month}/{day.day}/{day.year}",
            "date, 2014-09-23": day.isoformat(),
            "date, September 23, 2014": f"{day:%B} {day.day}, {day.year}",
            "date, 23 Sep 2014": f"{day.day} {day:%b} {day.year}",
        }
    if match := _DURATION.search(gold):
        weeks, days = match.groups()
        return {
            "duration, ('17 weeks', '6 days')": f"('{weeks} weeks', '{days} days')",
            'duration, ("17 weeks", "6 days")': f'("{weeks} weeks", "{days} days")',
            "duration, (17 weeks, 6 days)": f"({weeks} weeks, {days} days)",
            "duration, 17 weeks 6 days": f"{weeks} weeks {days} days",
            "duration, 17 weeks and 6 days": f"{weeks} weeks and {days} days",
        }
    number = float(gold)
    digits = f"{abs(number):,.10f}".rstrip("0").rstrip(".")
    sign = "-" if number < 0 else ""
    plain = sign + digits.replace(",", "")
    unit = "points" if example.unit is None else example.unit
    return {
        "number, as published": gold,
        "number, thousands commas": sign + digits,
        "number, thousands spaces": (sign + digits).replace(",", " "),
        "number, Unicode minus": plain.replace("-", "\N{MINUS SIGN}"),
        "number, scientific": f"{number:.12e}",
        "number, \\boxed{}": f"$\\boxed{{{plain}}}$",
        "number, in words": f"The result is approximately {plain}.",
        {"points": "number, points", "%": "number, percent"}.get(unit, "number, with its unit"): f"{plain} {unit}",
        "number, after an equals sign": f"(3 + 4) / 5 = {plain}",
    }


def spelled(examples: Sequence[Example]) -> dict[str, tuple[int, float]]:
    """For each spelling, how many rows have it and in how many percent of them it is right."""
    found: dict[str, list[bool]] = {}
    for example in examples:
        for name, answer in spellings(example).items():
            found.setdefault(name, []).append(right(example, answer))
    return {name: (len(hits), 100 * statistics.fmean(hits)) for name, hits in sorted(found.items())}


def outside(examples: Sequence[Example]) -> float:
    """Percent of values just outside the limits that are wrong; an integer's limits are where it would round."""
    verdicts = []
    for example in examples:
        lower, upper = example.lower_limit, example.upper_limit
        if lower is None or upper is None:
            continue
        step = 0.51 if lower == upper else 1e-5 * max(1.0, abs(upper))
        verdicts += [not right(example, f"{value:.10f}") for value in (lower - step, upper + step)]
    return 100 * statistics.fmean(verdicts)


def contradicted(examples: Sequence[Example]) -> float:
    """Percent of gold values with a unit that speaks against the one that the question asks for that are wrong."""
    with_unit = [row for row in examples if row.unit not in (None, "%")]
    return 100 - percent(with_unit, lambda row: f"{row.gold} {'mg/dL' if row.unit == 'mm Hg' else 'mm Hg'}")


def candidates(examples: Mapping[str, Sequence[Example]]) -> Iterator[tuple[str, Example, list[str]]]:
    """For each answer type, questions with distinct answers to each, as the samples of a group are.

    Short open-ended answers are the options of the multiple-choice questions: the right one is the reference, and the
    others are wrong answers to the same question.
    """
    for row in examples["medcalc"]:
        yield (
            "calculation",
            row,
            [*spellings(row).values(), *(a for _, a in corruptions("MedCalc-Bench", row.gold, info(row)))],
        )
    for row in (*examples["mediq"], *examples["medxpertqa"]):
        texts = dict(row.options)
        yield (
            row.answer_type,
            row,
            [form.format(*option) for option in texts.items() for form in ("{0}", "{1}", "{0}. {1}")],
        )
        gold = texts.pop(row.gold)
        if not is_passage(gold):
            asked = replace(row, data_source="own-open_ended", gold=gold)
            yield "open-ended, short", asked, [*(form.format(gold) for form in RIGHT_FORMS), *texts.values()]
    for row in examples["medical-o1"]:
        if is_passage(row.gold):
            words = row.gold.split()
            yield "open-ended, passage", row, [row.gold, fewer_words(row.gold), " ".join(words[: len(words) // 2])]


def microseconds(examples: Mapping[str, Sequence[Example]]) -> dict[str, dict[str, tuple[int, float, float, float]]]:
    """For each answer type, right and wrong: number of answers, and median, 5th and 95th percentile of their CPU times.

    The answers stand behind 400 words of reasoning. Each is scored once, so that none is found in a cache; the
    reference is, because another answer to it is scored before.
    """
    times: dict[str, dict[str, list[float]]] = {}
    for kind, row, answers in candidates(examples):
        extra = info(row)
        compute_score(row.data_source, wrapped("another answer"), row.gold, extra)
        for answer in dict.fromkeys(answers):
            response = wrapped(answer, REASONING)
            started = time.process_time()
            is_right = compute_score(row.data_source, response, row.gold, extra)["acc"] == 1.0
            of_kind = times.setdefault(kind, {"right": [], "wrong": []})
            of_kind["right" if is_right else "wrong"].append(1e6 * (time.process_time() - started))
    found: dict[str, dict[str, tuple[int, float, float, float]]] = {}
    for kind, verdicts in sorted(times.items()):
        for verdict, values in verdicts.items():
            low, *_, high = statistics.quantiles(values, n=20)
            found.setdefault(kind, {})[verdict] = len(values), statistics.median(values), low, high
    return found


def bombs(size: int = 2**20) -> dict[str, str]:
    """Responses of about `size` characters that are made to be slow."""
    return {
        "open tags": "<think>" * (size // 7),
        "closed tags": "<think>a" + "</think>" * (size // 8),
        "answers": wrapped("") + "<answer>" * (size // 8),
        "digits": wrapped("9" * size),
        "grouped digits": wrapped("1" + ",000" * (size // 4)),
        "fractions": wrapped("1/" * (size // 2)),
        "brackets": wrapped("(" * (size // 2) + ")" * (size // 2)),
        "LaTeX": wrapped("\\frac{" * (size // 6)),
        "letters": wrapped("A " * (size // 2)),
        "spaces": wrapped("A" + " " * size + "B"),
        "CJK": wrapped("\u7cd6" * (size // 3)),
        "combining marks": wrapped("a" + "\u0301" * (size // 2)),
        "negations": wrapped("not " * (size // 4)),
    }


def slowest_milliseconds(examples: Mapping[str, Sequence[Example]]) -> dict[str, float]:
    """For each hostile response the longest time of the answer types, the best of three runs each."""
    result = {}
    one_each = {row.answer_type: row for group in examples.values() for row in group}
    for name, response in bombs().items():
        longest = 0.0
        for row in one_each.values():
            runs = []
            for _ in range(3):
                started = time.perf_counter()
                compute_score(row.data_source, response, row.gold, info(row))
                runs.append(1e3 * (time.perf_counter() - started))
            longest = max(longest, min(runs))
        result[name] = longest
    return result


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A Markdown table."""
    for cells in (header, ["---"] * len(header), *rows):
        typer.echo(f"| {' | '.join(map(str, cells))} |")
    typer.echo()


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the four benchmark files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Measure the scorers on real rows."""
    examples = read_examples(data)
    references = examples["medical-o1"]
    results = {
        "gold": {name: percent(rows, lambda row: row.gold) for name, rows in examples.items()},
        "hacks": hacks(references),
        "hacks, published": hacks(references, right_as_published),
        "sweep": sweep(references),
        "spellings": spelled(examples["medcalc"]),
        "outside": outside(examples["medcalc"]),
        "contradicted": contradicted(examples["medcalc"]),
        "microseconds": microseconds(examples),
        "milliseconds": slowest_milliseconds(examples),
    }
    if as_json:
        typer.echo(json.dumps(results))
        return
    _table(
        ("gold answers, well-formed", "rows", "right, %"),
        [(name, len(examples[name]), f"{share:.1f}") for name, share in results["gold"].items()],
    )
    _table(
        ("open-ended answer", "passes, %", "by the published rule, %"),
        [
            (name, f"{share:.1f}", f"{results['hacks, published'][name]:.1f}")
            for name, share in results["hacks"].items()
        ],
    )
    for key, answers in results["sweep"].items():
        _table(
            (f"passes, %, at `{key}`", *map(str, THRESHOLDS)),
            [(name, *(f"{share:.1f}" for share in shares.values())) for name, shares in answers.items()],
        )
    _table(
        ("calculation, the gold as", "rows", "right, %"),
        [(name, rows, f"{share:.1f}") for name, (rows, share) in results["spellings"].items()],
    )
    typer.echo(f"Values just outside the limits: {results['outside']:.1f} % wrong.")
    typer.echo(f"Values with a unit that contradicts the question's: {results['contradicted']:.1f} % wrong.\n")
    _table(
        ("400 words of reasoning, then an answer", "verdict", "answers", "median, us", "5 % to 95 %, us"),
        [
            (kind, verdict, count, f"{median:.0f}", f"{low:.0f} to {high:.0f}")
            for kind, verdicts in results["microseconds"].items()
            for verdict, (count, median, low, high) in verdicts.items()
        ],
    )
    _table(
        ("response of 1 MB", "slowest answer type, ms"),
        [(name, f"{time_:.1f}") for name, time_ in results["milliseconds"].items()],
    )


if __name__ == "__main__":
    typer.run(main)
