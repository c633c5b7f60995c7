"""`medu1 train` and `medu1 sft`: the arguments are Hydra's and go to it unchanged, but for options of our own."""

from collections.abc import Sequence

import typer

HELP = ("--help", "-h")


def train(context: typer.Context) -> None:
    """Train a recipe with reinforcement learning.

    The arguments are Hydra's: the recipe, and the keys to change. --cfg job --resolve prints the whole configuration
    and trains nothing.

    --verbose: show all that is printed. --allow-changed KEY, repeated: go on with a run whose KEY is not what it began
    with.
    """
    from verl_medu1.config.recipes import TRAIN
    from verl_medu1.run.start import start

    if set(HELP) & set(context.args):
        show_help(context, TRAIN)
    else:
        start("verl_medu1.run.train", with_allowed_changes(context.args))


def sft(context: typer.Context) -> None:
    """Warm a recipe's model up on worked answers.

    The arguments are Hydra's: the recipe, and the keys to change. --cfg job --resolve prints the whole configuration
    and trains nothing.

    --verbose: show all that is printed.
    """
    from verl_medu1.config.recipes import SFT
    from verl_medu1.run.start import start

    if set(HELP) & set(context.args):
        show_help(context, SFT)
    else:
        start("verl_medu1.run.sft", context.args)


def show_help(context: typer.Context, stage: str) -> None:
    """Print what the command takes, and the recipes that it has. Hydra's own help is the whole configuration."""
    from verl_medu1.config.recipes import recipe_names

    typer.echo(context.get_help())
    typer.echo("Recipes (docs/recipes.md):")
    for name in recipe_names(stage):
        typer.echo(f"  {name}")


def with_allowed_changes(arguments: Sequence[str]) -> list[str]:
    """The arguments with each `--allow-changed KEY` written as Hydra takes it.

    Raises:
        ValueError: one has no key.

    Example:
        >>> with_allowed_changes(["recipe=quickstart", "--allow-changed", "data.seed", "data.seed=2"])
        ['recipe=quickstart', 'data.seed=2', 'allow_changed=[data.seed]']
    """
    others, keys = [], []
    left = iter(arguments)
    for argument in left:
        option, equals, key = argument.partition("=")
        if option != "--allow-changed":
            others.append(argument)
            continue
        key = key if equals else next(left, "")
        if not key or "=" in key or key.startswith("-"):
            raise ValueError("--allow-changed has no key; write --allow-changed KEY, such as data.seed.")
        keys.append(key)
    return [*others, f"allow_changed=[{','.join(keys)}]"] if keys else others
