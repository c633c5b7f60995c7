"""`medu1 report`: one HTML page of one or several runs."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders, finished or still running.", show_default=False),
    ],
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write.  [default: report.html in the first RUN]")
    ] = None,
) -> None:
    """Write one self-contained HTML page: curves of all runs, figures before and after, samples; and PNGs beside it."""
    from verl_medu1.report.page import write_report
    from verl_medu1.run_folder.names import REPORT

    page = out or runs[0] / REPORT
    for run in write_report(runs, page):
        for sentence in run.missing:
            typer.echo(f"missing in {run.path}: {sentence}", err=True)
        typer.echo(f"Report of {run.path}, step {run.steps}: {page}")
