"""Look for everything that we take from verl in a checkout of it, or print the docs page."""

from pathlib import Path
from typing import Annotated

import typer

from verl_medu1.exit import ExitCode
from verl_medu1.verl_compat.look import missing
from verl_medu1.verl_compat.overrides import changed_methods
from verl_medu1.verl_compat.page import page


def main(
    checkout: Annotated[Path | None, typer.Argument(help="Folder of a verl; the installed one by default.")] = None,
    show_page: Annotated[bool, typer.Option("--page", help="Print docs/verl-compat.md instead.")] = False,
) -> None:
    """Print one sentence for each thing that is not there; exit code 1 if there is one."""
    if show_page:
        typer.echo(page(), nl=False)
        return
    verl = checkout / "verl" if checkout else None
    if verl is not None and not (verl / "__init__.py").is_file():
        raise typer.BadParameter(f"{checkout} has no package verl.")
    sentences = [*changed_methods(theirs=verl), *missing(folders={"verl": verl} if verl else {})]
    for sentence in sentences:
        typer.echo(sentence)
    typer.echo(f"{len(sentences)} things have moved.")
    if sentences:
        raise typer.Exit(ExitCode.FAILED)


if __name__ == "__main__":
    typer.run(main)
