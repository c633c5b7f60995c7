"""`medu1 validate`: every gold answer must be right through its own scorer, and its corruptions wrong."""

from typing import Annotated, Any

import typer

from reward_score.verdict import Score
from verl_medu1.exit import ExitCode


def validate(
    file: Annotated[
        str, typer.Argument(help="Prepared parquet or JSONL file whose rows have a data_source and a gold answer.")
    ],
    show: Annotated[int, typer.Option(min=1, help="Print at most this many failing rows.")] = 50,
) -> None:
    """Score every gold answer, which must be right, and corruptions of it, which must be wrong; exit 1 if any is not.

    Corruptions are other options, values and words in place of the right ones, denials, and hedges. A table says how
    many of each kind were accepted. Checklists and images must be readable.
    """
    from collections import Counter

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from reward_score import compute_score
    from reward_score.calculation import has_no_tolerance
    from reward_score.checklist import read_checklist
    from reward_score.corruptions import corruptions
    from reward_score.open_ended import is_passage
    from reward_score.response import format_response
    from verl_medu1.cli.score import read_rows, row_column, row_gold, row_id
    from verl_medu1.data.images.prepared import prepared_images
    from verl_medu1.data.schema import IMAGES

    table = Table("row", "data source", "gold", "read as", "why")
    num_rows = num_failed = num_passages = num_widened = 0
    tried: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    for index, row in read_rows(file):
        num_rows += 1
        source, gold = row_column(index, row, "data_source"), row_gold(index, row)
        info = row.get("extra_info") or {}

        def scored(answer: str, source: str = source, gold: str = gold, info: Any = info) -> Score:
            return compute_score(source, format_response("Because.", answer), gold, info)

        result = scored(gold)
        faults = [] if result["acc"] == 1.0 else [result]
        try:
            read_checklist(info.get("checklist") if isinstance(info, dict) else None)
        except ValueError as error:
            faults.append({**result, "reason": str(error)})
        try:
            if IMAGES in row:
                prepared_images(row, whole=True)
        except ValueError as error:
            faults.append({**result, "reason": str(error)})
        if not faults:
            num_passages += result["answer_type"] == "open_ended" and is_passage(gold)
            num_widened += result["answer_type"] == "calculation" and has_no_tolerance(gold, info)
            for kind, answer in corruptions(source, gold, info):
                score = scored(answer)
                tried[kind] += 1
                if score["acc"] == 1.0:
                    accepted[kind] += 1
                    faults.append({**score, "pred": answer, "reason": f"{kind} is accepted too: {score['reason']}"})
        num_failed += bool(faults)
        for fault in faults[:1] if num_failed <= show else ():
            cells = (row_id(index, row), source, gold, fault["pred"], fault["reason"])
            table.add_row(*(Text(str(cell)[:200]) for cell in cells))
    if not num_rows:
        raise ValueError(f"FILE {file!r} has no rows")
    rates = Table("corruption", "tried", "accepted", "%")
    for kind, number in tried.items():
        rates.add_row(kind, str(number), str(accepted[kind]), f"{100 * accepted[kind] / number:.1f}")
    if tried:
        Console().print(rates)
    if num_failed:
        Console().print(table)
        print(
            f"{num_failed} of {num_rows} gold answers are not right through their own scorer, or a corruption is, or a "
            "checklist or an image can't be read."
        )
        raise typer.Exit(ExitCode.FAILED)
    print(f"All {num_rows} gold answers are right through their own scorers, and {tried.total()} corruptions wrong.")
    if num_passages:
        print(f"{num_passages} references are passages, which no corruption was tried on: don't train on them.")
    if num_widened:
        print(f"{num_widened} decimals have limits of no width: 5 % to either side count instead.")
