"""`medu1 report`: one HTML page of a run."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run_dir: Annotated[Path, typer.Argument(help="Folder of a run, finished or still going.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="HTML file to write.  [default: RUN_DIR/report.html]")] = None,
) -> None:
    """Write one self-contained HTML page: curves, figures before and after, samples."""
    from verl_medu1.evaluate.report import write_report

    page = out or run_dir / "report.html"
    run = write_report(run_dir, page)
    for sentence in run.missing:
        typer.echo(f"missing: {sentence}", err=True)
    typer.echo(f"Report of {run_dir}, step {run.steps}: {page}")
