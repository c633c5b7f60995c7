"""`medu1 validate`: every gold answer must be right through its own scorer."""

from typing import Annotated

import typer


def validate(
    file: Annotated[str, typer.Argument(help="Prepared parquet (or JSONL) with data_source and a gold answer.")],
    show: Annotated[int, typer.Option(min=1, help="How many failing rows to print.")] = 50,
) -> None:
    """Score every gold answer in a well-formed response; print the rows that are not right, and exit 1 if any."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from reward_score import compute_score
    from verl_medu1.cli.score import read_rows, row_column, row_gold, row_id

    table = Table("row", "data source", "gold", "read as", "why")
    num_rows = num_failed = 0
    for index, row in read_rows(file):
        num_rows += 1
        source, gold = row_column(index, row, "data_source"), row_gold(index, row)
        response = f"<think>The gold answer.</think>\n<answer>{gold}</answer>"
        result = compute_score(source, response, gold, row.get("extra_info"))
        if result["acc"] == 1.0:
            continue
        num_failed += 1
        if num_failed <= show:
            cells = (row_id(index, row), source, gold, result["pred"], result["reason"])
            table.add_row(*(Text(str(cell)[:200]) for cell in cells))
    if not num_rows:
        raise ValueError(f"FILE {file!r} has no rows")
    if num_failed:
        Console().print(table)
        print(f"{num_failed} of {num_rows} gold answers are not right through their own scorer.")
        raise typer.Exit(1)
    print(f"All {num_rows} gold answers are right through their own scorers.")
