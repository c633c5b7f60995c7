"""The preflight of a job: `facts` on each node, `judge` on the head before Ray starts.

python -m verl_medu1.cluster.preflight facts --out DIR --interface IF --shared RUN_DIR --scratch DIR
python -m verl_medu1.cluster.preflight judge --facts DIR --nodes N [recipe=NAME key=value ...]
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from verl_medu1.cluster.node_checks import needed_packages, problems_of
from verl_medu1.config.compose import compose_config, settings_in
from verl_medu1.exit import ExitCode, Problem, in_one_sentence
from verl_medu1.machine.facts import Facts, GPUFacts, node_facts
from verl_medu1.machine.processors import processor_violation, workers_per_node
from verl_medu1.plan.architecture import Architecture, NotPlanned, find_architecture, has_config, require_planned
from verl_medu1.run_folder.attempts import RECORD
from verl_medu1.run_folder.whole_file import replace_file

WIDTH = 160
app = typer.Typer(help=__doc__.splitlines()[0], add_completion=False, pretty_exceptions_enable=False)


@app.command("facts")
def facts_command(
    out: Annotated[Path, typer.Option(help="Folder for <host>.json, which the head sees.")],
    interface: Annotated[str, typer.Option(help="Network interface between the nodes.")],
    shared: Annotated[Path, typer.Option(help="Folder of the run.")],
    scratch: Annotated[Path, typer.Option(help="Folder on the node's own disk.")],
) -> None:
    """Write what this node has."""
    base = os.environ.get("MEDU1_PORT_BASE")
    facts = node_facts(interface, shared, scratch, int(base) if base else None)
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{facts.host}.json"
    # The head node reads the file as soon as it exists, so it must appear complete.
    replace_file(file, [json.dumps(asdict(facts), indent=1)])


@app.command("judge", context_settings={"ignore_unknown_options": True})
def judge_command(
    facts: Annotated[Path, typer.Option(help="Folder of the nodes' facts.")],
    nodes: Annotated[int, typer.Option(help="How many nodes the job has.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Of `medu1 train`.")] = None,
) -> None:
    """Print a table with a row for each node; exit 1 with a sentence that names the bad node."""
    hosts = os.environ.get("MEDU1_HOSTS", "").split()
    found = read_facts(facts, nodes, hosts)
    config = compose_config(overrides or [])
    settings = settings_in(config)
    if settings.nodes != nodes:
        raise ValueError(f"trainer.nnodes is {settings.nodes}, and the job has {nodes} nodes; make them the same.")
    model = _model_of(str(config.actor_rollout_ref.model.path))
    needed = needed_packages(settings)
    pool = workers_per_node(config) - settings.gpus_per_node
    problems = problems_of(found, settings, model, needed, pool, _started(facts), time.time())
    for node in found:
        if sentence := processor_violation(config, node.cpus, node.host):
            problems.append(Problem("CPUs", sentence, node.host))
    Console(width=WIDTH).print(facts_table(found, problems))
    for problem in problems:
        print(problem)
    if len(problems) > 1:
        print(f"{problems[0]} ({len(problems) - 1} more above)")
    if problems:
        raise typer.Exit(ExitCode.FAILED)


def _model_of(name: str) -> Architecture | None:
    """Return the model's dimensions; None, with a message, if they are unknown: disk and memory then ignore the model.

    Raises:
        ValueError: its config.json is broken.
    """
    try:
        model = find_architecture(name)
        require_planned(model)
    except NotPlanned as why:
        print(f"Disk and memory were not compared with the model: {why}")
        return None
    except ValueError:
        # The driver reports a missing folder; another command in its place may need no model.
        if has_config(name):
            raise
        return None
    return model


def read_facts(folder: Path, nodes: int, hosts: Sequence[str] = ()) -> list[Facts]:
    """Read the facts of all nodes, in the order of `hosts`.

    Raises:
        ValueError: the facts of a node are not visible from here.
    """
    found = []
    for file in sorted(folder.glob("*.json")):
        values = json.loads(file.read_text())
        gpus = [GPUFacts(**{**gpu, "capability": tuple(gpu["capability"])}) for gpu in values["gpus"]]
        found.append(Facts(**{**values, "gpus": gpus}))
    # A node may know its name with a domain.
    names = [node.host.partition(".")[0] for node in found]
    if missing := [host for host in hosts if host.partition(".")[0] not in names]:
        raise ValueError(
            f"{', '.join(missing)} left no facts in {folder}; put run_dir on a disk that all nodes see, or leave the "
            f"node out with --exclude={','.join(missing)}."
        )
    if len(found) != nodes:
        raise ValueError(
            f"{len(found)} of {nodes} nodes left facts in {folder} ({', '.join(names) or 'none'}); put run_dir on a "
            "disk that all nodes see."
        )
    order = [host.partition(".")[0] for host in hosts] or names
    return [found[names.index(name)] for name in order]


def _started(facts: Path) -> float | None:
    """Return when the attempt began on the head node's clock, which slurm/lib/attempt.sh records next to the facts."""
    file = facts.parent / RECORD
    return datetime.fromisoformat(json.loads(file.read_text())["started"]).timestamp() if file.is_file() else None


def facts_table(found: Sequence[Facts], problems: Sequence[Problem]) -> Table:
    """Make a table with a row for each node; the last column names its problems."""
    table = Table(title="Preflight", title_justify="left")
    columns = ("node", "GPUs", "driver", "CPUs", "memory", "run_dir", "scratch", "/dev/shm", "network", "wrong")
    for column in columns:
        table.add_column(column, justify="right" if column in columns[3:8] else "left")
    for node in found:
        wrong = dict.fromkeys(problem.about for problem in problems if problem.host == node.host)
        kinds = sorted({gpu.name for gpu in node.gpus})
        table.add_row(
            node.host,
            f"{len(node.gpus)} x {', '.join(kinds)}" if kinds else "none",
            ", ".join(sorted({gpu.driver for gpu in node.gpus})) or "-",
            str(node.cpus),
            *(f"{size:.1f} GiB" for size in (node.memory_gib, node.run_dir_gib, node.scratch_gib, node.shm_gib)),
            f"{node.interface} {node.address or 'no IPv4'}",
            ", ".join(wrong) or "-",
        )
    return table


def main() -> None:
    """Run the command; a user's mistake becomes one line and exit code 2."""
    with in_one_sentence():
        app(prog_name=f"{os.path.basename(sys.executable)} -m verl_medu1.cluster.preflight")


if __name__ == "__main__":
    main()
