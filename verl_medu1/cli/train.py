"""`medu1 train` and `medu1 sft`: the arguments are Hydra's and go to it unchanged, but for options of our own."""

from collections.abc import Sequence

import typer


def train(context: typer.Context) -> None:
    """Train with reinforcement learning: recipe=NAME key=value ... (Hydra; --help, --cfg job --resolve).

    --verbose: show all that is printed. --allow-changed KEY, repeated: go on with a run whose KEY is not what it began
    with.
    """
    from verl_medu1.run.start import start

    start("verl_medu1.run.train", with_allowed_changes(context.args))


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


def sft(context: typer.Context) -> None:
    """Warm a model up on worked answers: recipe=NAME key=value ... (Hydra; --help, --cfg job --resolve, --verbose)."""
    from verl_medu1.run.start import start

    start("verl_medu1.run.sft", context.args)
