"""`medu1 train` and `medu1 sft`: the arguments are Hydra's and go to it unchanged."""

import sys

import typer


def train(context: typer.Context) -> None:
    """Train with reinforcement learning: recipe=NAME key=value ... (Hydra; --help, --cfg job --resolve)."""
    from verl_medu1.train import main

    sys.argv = ["medu1 train", *context.args]
    main()


def sft(context: typer.Context) -> None:
    """Warm a model up on worked answers: recipe=NAME key=value ... (Hydra; --help, --cfg job --resolve)."""
    from verl_medu1.sft import main

    sys.argv = ["medu1 sft", *context.args]
    main()
