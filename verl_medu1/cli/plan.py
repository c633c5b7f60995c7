"""`medu1 plan`: what a run needs of each GPU, and how to lay it out; no GPU, no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from verl_medu1.machine.gpus import GPU
    from verl_medu1.plan.architecture import Architecture
    from verl_medu1.plan.settings import Settings

USUAL_GPU = "h100-80"
WIDTH = 140  # characters of the widest table


def plan(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="recipe=NAME and KEY=VALUE, as for `medu1 train`.", show_default=False),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Hub name of a listed model, or a folder with a config.json.", show_default=False)
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="Kind of GPU: h100-80, h200-141, a100-80 or l40s-48; by default that in a recipe's name, or h100-80.",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[int | None, typer.Option(help="Number of GPUs, on all nodes together.", show_default=False)] = None,
    tp: Annotated[int | None, typer.Option(help="Tensor-parallel size.", show_default=False)] = None,
    pp: Annotated[int | None, typer.Option(help="Pipeline-parallel size.", show_default=False)] = None,
    cp: Annotated[int | None, typer.Option(help="Context-parallel size.", show_default=False)] = None,
    rollout_tp: Annotated[int | None, typer.Option(help="Tensor-parallel size of vLLM.", show_default=False)] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Search for the best layouts instead of planning one.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Also draw the memory of each rank into this .svg or .png file.", show_default=False),
    ] = None,
) -> None:
    """Plan memory and parallelism of a recipe, or of a model on GPUs: will it fit, and what would."""
    import json as json_format

    from rich.console import Console

    from verl_medu1.exit import raise_all
    from verl_medu1.plan import render
    from verl_medu1.plan.judge_server import judge_server, server_violations
    from verl_medu1.plan.search import search as search_layouts
    from verl_medu1.plan.verdict import plan_of, verdict_of

    sizes = {"tp": tp, "pp": pp, "cp": cp, "rollout_tp": rollout_tp}
    if search:
        _require_no_layout(sizes, overrides or [])
    architecture, card, settings = _inputs(overrides or [], model, gpu, gpus, sizes)
    server = judge_server()
    raise_all(server_violations(server, settings, card.gpus_per_node, f"a node of {card.name}"))
    # No markup: a folder may have brackets in its name.
    console = Console(highlight=False, soft_wrap=True, markup=False)
    # Tables that a narrow terminal cuts off are useless.
    console.width = max(console.width, WIDTH)
    if search:
        if settings.device == "cpu":
            raise ValueError("--search is for GPUs, and trainer.device is 'cpu'; choose a recipe for GPUs, or --model.")
        candidates = search_layouts(architecture, card, settings)
        if not candidates:
            raise ValueError(
                f"no layout of {architecture.name} fits {settings.gpus} x {card.name}; give more --gpus, or lower "
                "data.max_response_length."
            )
        found = candidates[0].plan
        if json:
            typer.echo(json_format.dumps(render.candidates_as_plain(candidates), indent=1))
        else:
            render.print_search(candidates, console)
    else:
        found = plan_of(architecture, card, settings)
        verdict = verdict_of(found)
        if json:
            typer.echo(json_format.dumps(render.as_plain(found, verdict, server), indent=1))
        else:
            render.print_plan(found, verdict, console, server)
    if plot is not None:
        from verl_medu1.plan.plot import write_plot

        write_plot(found, plot)


def _inputs(
    overrides: list[str], model: str | None, gpu: str | None, gpus: int | None, sizes: dict[str, int | None]
) -> tuple["Architecture", "GPU", "Settings"]:
    """Model, kind of GPU and settings, of a recipe or of the options, each setting a value that its key takes."""
    from dataclasses import replace

    from verl_medu1.config.recipes import gpu_in_name
    from verl_medu1.exit import raise_all
    from verl_medu1.machine.gpus import find_gpu, processor
    from verl_medu1.plan.architecture import find_architecture
    from verl_medu1.plan.rules.layout import value_violations
    from verl_medu1.plan.settings import Settings, settings_from_overrides

    recipe = next((override.removeprefix("recipe=") for override in overrides if override.startswith("recipe=")), None)
    card = find_gpu(gpu or gpu_in_name(recipe or "") or USUAL_GPU)
    if recipe is not None:
        from verl_medu1.config.compose import compose_recipe

        settings, path = compose_recipe(overrides)
        architecture = find_architecture(model or path)
    elif model is None:
        raise ValueError("nothing to plan: give recipe=NAME, or --model and --gpus.")
    else:
        settings = settings_from_overrides(Settings(gpus_per_node=card.gpus_per_node), overrides)
        architecture = find_architecture(model)
    if gpus is not None:
        settings = replace(settings, **_nodes(gpus, card.gpus_per_node))
    changes: dict[str, Any] = {name: size for name, size in sizes.items() if size is not None}
    settings = replace(settings, **changes)
    raise_all(value_violations(settings))
    if settings.device == "cpu":
        card = processor(settings.gpus_per_node)
    return architecture, card, settings


def _require_no_layout(sizes: dict[str, int | None], overrides: list[str]) -> None:
    """Raise a ValueError if a size is given that --search chooses."""
    from verl_medu1.plan.settings import KEYS

    given = [f"--{name.replace('_', '-')}" for name, size in sizes.items() if size is not None]
    keys = {override.partition("=")[0].lstrip("+") for override in overrides}
    given += [KEYS[name] for name in sizes if KEYS[name] in keys]
    if given:
        raise ValueError(f"{given[0]} is given, and --search tries all layouts; leave one of them out.")


def _nodes(gpus: int, node: int) -> dict[str, Any]:
    if gpus < 1:
        raise ValueError(f"--gpus is {gpus}; give a whole number of at least 1.")
    if gpus > node and gpus % node:
        valid = f"{gpus // node * node} or {(gpus // node + 1) * node}"
        raise ValueError(f"--gpus is {gpus}, which is no whole number of nodes of {node}; give {valid}.")
    return {"nodes": max(1, gpus // node), "gpus_per_node": min(gpus, node)}
