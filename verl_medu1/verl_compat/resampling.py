"""Questions of a validation whose answers are alike are resampled once.

verl draws 1,000 samples with replacement of each question's answers, in Python, while the devices wait
(trainer/ppo/metric_utils.py, bootstrap_metric). It does so with one seed for all questions. So questions with the same
values, and with equal predictions at the same places, have the same result, which is kept here.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

from verl_medu1.verl_compat.import_hook import around_import

# Rewards that are not only 0 and 1 make as many patterns as questions.
_MOST_KEPT = 10_000

Estimates = list[tuple[float, float]]


def kept_by_pattern(draw: Callable[..., Estimates]) -> Callable[..., Estimates]:
    """Return verl's `bootstrap_metric`, which draws once for answers that are alike.

    Args:
        draw: verl's own.
    """
    kept: dict[tuple[Any, ...], Estimates] = {}

    @wraps(draw)
    def bootstrap_metric(
        data: Sequence[Any],
        subset_size: int,
        reduce_fns: Sequence[Callable[..., float]],
        n_bootstrap: int = 1000,
        seed: int = 42,
    ) -> Estimates:
        key = (_pattern(data), subset_size, tuple(map(_name, reduce_fns)), n_bootstrap, seed)
        if key not in kept:
            if len(kept) >= _MOST_KEPT:
                kept.clear()
            kept[key] = draw(data, subset_size, reduce_fns, n_bootstrap, seed)
        return kept[key]

    return bootstrap_metric


def _pattern(data: Sequence[Any]) -> tuple[Any, ...]:
    """The values of the answers to a question, for a majority each with the place at which its prediction is first."""
    first: dict[Any, int] = {}
    return tuple(
        (answer["val"], first.setdefault(answer["pred"], place)) if isinstance(answer, dict) else answer
        for place, answer in enumerate(data)
    )


def _name(reduce: Callable[..., float]) -> tuple[Any, ...]:
    if isinstance(reduce, partial):
        return reduce.func, *sorted(reduce.keywords.items())
    return (reduce,)


@contextmanager
def _keep(module: Any) -> Iterator[None]:
    yield
    module.bootstrap_metric = kept_by_pattern(module.bootstrap_metric)


def install() -> None:
    """Resample alike questions once, when verl's module is imported."""
    around_import("verl.trainer.ppo.metric_utils", _keep)
