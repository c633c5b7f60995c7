"""`medu1 rehearse`: builds one rank of a recipe as its GPU would hold it, and makes an update, without memory."""

from typing import Annotated

import typer


def rehearse(
    overrides: Annotated[list[str], typer.Argument(help="recipe=NAME and KEY=VALUE, as for `medu1 train`.")],
    rank: Annotated[int, typer.Option(help="Which rank; pipeline stages are outermost.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Build a rank of a recipe at its true size on a laptop, make one update on tensors without memory, and compare
    its memory with the plan; count its collectives.
    """
    import json as json_format
    from contextlib import redirect_stdout
    from sys import stderr

    from rich.console import Console

    from verl_medu1.config.compose import compose_config, settings_in
    from verl_medu1.config.keys import unknown_key_violations
    from verl_medu1.exit import raise_all
    from verl_medu1.machine.gpus import find_gpu
    from verl_medu1.plan.architecture import find_architecture
    from verl_medu1.plan.verdict import plan_of
    from verl_medu1.rehearse import render
    from verl_medu1.rehearse.require import require_rehearsable

    if not any(override.startswith("recipe=") for override in overrides):
        raise ValueError("nothing to rehearse: give recipe=NAME.")
    config = compose_config(overrides)
    raise_all(unknown_key_violations(config))
    settings = settings_in(config)
    model = find_architecture(str(config.actor_rollout_ref.model.path))
    require_rehearsable(settings, model, rank)
    stages = plan_of(model, find_gpu("h100-80"), settings).ranks
    with redirect_stdout(stderr):  # verl and Megatron print what they build
        from verl_medu1.rehearse.rehearsal import rehearse as rehearse_rank

        rehearsed = rehearse_rank(config, settings, model, rank)
    planned = stages[rehearsed.stage]
    if json:
        typer.echo(json_format.dumps(render.as_plain(rehearsed, planned, settings), indent=1))
    else:
        console = Console(highlight=False, soft_wrap=True, markup=False)
        console.width = max(console.width, 100)
        render.print_rehearsal(rehearsed, planned, settings, console)
