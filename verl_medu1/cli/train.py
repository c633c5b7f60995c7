"""`medu1 train` and `medu1 sft`: the arguments are Hydra's and go to it unchanged, all but --verbose."""

import typer


def train(context: typer.Context) -> None:
    """Train with reinforcement learning: recipe=NAME key=value ... (Hydra; --help, --cfg job --resolve, --verbose)."""
    from verl_medu1.run.start import start

    start("verl_medu1.train", context.args)


def sft(context: typer.Context) -> None:
    """Warm a model up on worked answers: recipe=NAME key=value ... (Hydra; --help, --cfg job --resolve, --verbose)."""
    from verl_medu1.run.start import start

    start("verl_medu1.sft", context.args)
