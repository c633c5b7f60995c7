"""`medu1 doctor`: what is installed here, and the command that fixes what is wrong."""

from enum import StrEnum
from typing import Annotated

import typer

from verl_medu1.exit import ExitCode


class Machine(StrEnum):
    """What a machine trains on."""

    cpu = "cpu"
    gpu = "gpu"


def doctor(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Arguments of `medu1 train`: asks for what that run needs."),
    ] = None,
    machine: Annotated[
        Machine | None,
        typer.Option(help="Check what this kind of machine needs.  [default: the recipe's; else gpu if there is one]"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at what is installed; exit 1 if something that training needs is missing or wrong."""
    import json as json_format
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from verl_medu1.config.needs import needs_of, usual_needs
    from verl_medu1.machine.doctor import examine, kind_of_machine

    if overrides:
        its_kind, needs = needs_of(overrides)
        kind = machine.value if machine else its_kind
    else:
        kind = machine.value if machine else kind_of_machine()
        needs = usual_needs(kind)
    findings = examine(kind, needs)
    bad = [finding.name for finding in findings if finding.is_bad]
    if json:
        found = [asdict(finding) for finding in findings]
        typer.echo(json_format.dumps({"machine": kind, "ok": not bad, "findings": found}, indent=1))
    else:
        table = Table("what", "state", "found", "how to fix it", title=f"To train on: {kind}", title_justify="left")
        for finding in findings:
            state = finding.state if finding.needed or finding.state == "ok" else f"{finding.state}, not needed"
            table.add_row(finding.name, state, Text(finding.found), Text(finding.mend))
        console = Console(highlight=False, soft_wrap=True)
        console.width = max(console.width, 160)
        console.print(table)
        typer.echo(f"To fix: {', '.join(bad)}." if bad else "All that training needs is here.")
    if bad:
        raise typer.Exit(ExitCode.FAILED)
