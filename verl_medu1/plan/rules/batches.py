"""Checks batches, micro-batches and lengths against the layout; part of `layout.find_violations`."""

from collections.abc import Iterator
from math import gcd

from verl_medu1.exit import Problem
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.rules.sizes import nearest
from verl_medu1.plan.settings import KEYS, Settings


def batch_violations(settings: Settings, model: Architecture | None) -> Iterator[Problem]:
    """Yield what is wrong with the sizes of a step, one sentence each.

    Example:
        >>> [found.about for found in batch_violations(Settings(mini_batch=6, n=2), None)]
        ['actor_rollout_ref.actor.ppo_mini_batch_size']
    """
    yield from _mini_batch_violations(settings)
    yield from _micro_batch_violations(settings)
    longest = settings.longest
    if model and longest > model.positions:
        key = KEYS["response"]
        yield Problem(
            key,
            f"{KEYS['prompt']} + {key} is {longest}, more than the model's {model.positions} positions; lower them by "
            f"{longest - model.positions}.",
        )
    utilization, key = settings.utilization, KEYS["utilization"]
    if not isinstance(utilization, int | float) or not 0 < utilization < 1:
        yield Problem(key, f"{key} is {utilization!r}; give a number between 0 and 1, such as 0.5.")


def _mini_batch_violations(settings: Settings) -> Iterator[Problem]:
    key, mini_batch, ranks = KEYS["mini_batch"], settings.mini_batch, settings.dp
    # verl/workers/engine_workers.py gives each data parallel rank the same number of responses.
    if mini_batch * settings.n % ranks:
        step = ranks // gcd(ranks, settings.n)
        below = mini_batch // step * step
        valid = [size for size in (below, below + step) if size]
        yield Problem(
            key,
            f"{key} x rollout.n is {mini_batch * settings.n}, which the {ranks} data-parallel ranks do not divide; "
            f"near {mini_batch} are {nearest(valid, mini_batch)}.",
        )
    if mini_batch > settings.train_batch:
        yield Problem(
            key,
            f"{key} is {mini_batch}, more than {KEYS['train_batch']} ({settings.train_batch}); lower it to at most "
            f"{settings.train_batch}.",
        )


def _micro_batch_violations(settings: Settings) -> Iterator[Problem]:
    if settings.dynamic:
        # verl/utils/seqlen_balancing.py: a sequence must fit into a micro-batch.
        key, most = KEYS["token_limit"], settings.token_limit * settings.sequence_parts
        if most < settings.longest:
            least = -(-settings.longest // settings.sequence_parts)
            parts = f" x {settings.sequence_parts} context-parallel ranks" if settings.sequence_parts > 1 else ""
            yield Problem(
                key,
                f"{key} is {settings.token_limit}{parts}, less than {KEYS['prompt']} + {KEYS['response']} "
                f"({settings.longest}); raise it to at least {least}.",
            )
        return
    key, micro_batch = KEYS["micro_batch"], settings.micro_batch
    if micro_batch is None:
        yield Problem(key, f"{key} is null, and {KEYS['dynamic']} is False; give a number, or set that to true.")
        return
    # verl/utils/config.py, validate_config.
    answers, ranks = settings.train_batch * settings.n, settings.dp
    if answers % (ranks * micro_batch):
        valid = [size for size in range(1, answers // ranks + 1) if answers % (ranks * size) == 0]
        way_out = f"near it are {nearest(valid, micro_batch)}" if valid else f"raise {KEYS['train_batch']}"
        yield Problem(
            key,
            f"{key} is {micro_batch}, and {ranks} data-parallel ranks x {micro_batch} do not divide the {answers} "
            f"answers of {KEYS['train_batch']} x rollout.n; {way_out}.",
        )
