"""How often the open-ended scorer refuses right answers and accepts wrong ones, on labelled answers.

    python benchmarks/labelled_answers.py [FILES...] [--json]

FILES are JSONL with data_source, question, ground_truth, answer, right and kind; without any, open_ended_labelled.jsonl
beside the checkout. Prints, for each kind, the share of right answers refused and of wrong answers accepted with 95 %
Wilson intervals: of the questions that the rules were made with, of those kept aside, and of all. Which question is
kept aside depends on its text alone.
"""

import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import typer
from scipy import stats

from reward_score import compute_score
from reward_score.response import format_response

DEFAULT = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "open_ended_labelled.jsonl"
SEED = 22
LOOKED_AT_SHARE = 0.6
PARTS = ("looked at", "kept aside", "all")


def is_kept_aside(question: str) -> bool:
    """Whether nobody looked at a question's answers while the rules were written."""
    digest = hashlib.sha256(f"{SEED}:{question}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 >= LOOKED_AT_SHARE


def read_answers(files: list[Path]) -> list[dict[str, Any]]:
    """The labelled answers of all files."""
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines() if line]


def is_accepted(row: dict[str, Any]) -> bool:
    """Whether the answer is right by our rules, as a prepared row hands it over."""
    info = {"question": row["question"], "aliases": row.get("aliases")}
    response = format_response("Because of the history.", row["answer"])
    return compute_score(row["data_source"], response, row["ground_truth"], info)["acc"] == 1.0


def measure(rows: list[dict[str, Any]]) -> dict[str, dict[str, tuple[int, int]]]:
    """For each kind and part: how many verdicts are wrong, of how many answers."""
    counts: defaultdict[str, dict[str, list[bool]]] = defaultdict(lambda: {part: [] for part in PARTS})
    for row in rows:
        kind = f"{'right' if row['right'] else 'wrong'}: {row['kind']}"
        is_wrong_verdict = is_accepted(row) != row["right"]
        for part in ("kept aside" if is_kept_aside(row["question"]) else "looked at", "all"):
            counts[kind][part].append(is_wrong_verdict)
    return {
        kind: {part: (sum(verdicts), len(verdicts)) for part, verdicts in parts.items()}
        for kind, parts in sorted(counts.items())
    }


def in_words(wrong: int, total: int) -> str:
    """A share with its interval, for a table."""
    if not total:
        return ""
    interval = stats.binomtest(wrong, total).proportion_ci(0.95, method="wilson")
    return f"{wrong}/{total} = {100 * wrong / total:.0f} % ({100 * interval.low:.0f}-{100 * interval.high:.0f})"


def main(
    files: Annotated[list[Path] | None, typer.Argument(help="JSONL files of labelled answers.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Measure the open-ended scorer on labelled answers."""
    found = measure(read_answers(files or [DEFAULT]))
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo("| right answers refused, wrong answers accepted | " + " | ".join(PARTS) + " |")
    typer.echo("|" + " --- |" * (1 + len(PARTS)))
    for kind, parts in found.items():
        typer.echo(f"| {kind} | " + " | ".join(in_words(*parts[part]) for part in PARTS) + " |")


if __name__ == "__main__":
    typer.run(main)
