"""Seeded samples on the CPU are those of vLLM's own sampler, from the same generators."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch

from verl_medu1.cpu.faster import seeded_sampling

ROWS, VOCABULARY = 6, 50
Forward = Callable[..., tuple[torch.Tensor, torch.Tensor | None]]


def generators(rows: int) -> dict[int, torch.Generator]:
    return {row: torch.Generator().manual_seed(row + 7) for row in range(rows)}


def limits(rows: int, limited: bool) -> list[torch.Tensor | None]:
    return [torch.full((rows,), 5), torch.full((rows,), 0.8)] if limited else [None, None]


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Forward, Forward]:
    """vLLM's sampler, its own method, and ours."""
    from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler

    theirs = inspect.unwrap(TopKTopPSampler.forward_cpu)  # another test of this process may have loaded our plugins
    monkeypatch.setattr(TopKTopPSampler, "forward_cpu", theirs)
    seeded_sampling.register()
    return TopKTopPSampler(), theirs, TopKTopPSampler.forward_cpu


@pytest.mark.parametrize("limited", [False, True])
def test_the_same_samples_step_after_step(both: tuple[Any, Forward, Forward], limited: bool) -> None:
    sampler, theirs, ours = both
    of_theirs, of_ours = generators(ROWS), generators(ROWS)
    for step in range(20):
        logits = torch.randn(ROWS, VOCABULARY, generator=torch.Generator().manual_seed(step))
        expected, _ = theirs(sampler, logits.clone(), of_theirs, *limits(ROWS, limited))
        found, _ = ours(sampler, logits.clone(), of_ours, *limits(ROWS, limited))
        assert found.tolist() == expected.tolist()


def test_the_shared_generator_is_left_alone(both: tuple[Any, Forward, Forward]) -> None:
    sampler, _, ours = both
    before = torch.get_rng_state()
    ours(sampler, torch.zeros(ROWS, VOCABULARY), generators(ROWS), None, None)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_engine_on_the_cpu_takes_it() -> None:
    """vLLM loads general plugins in each of its processes; the sampler chooses its method when it is made."""
    from vllm.plugins import load_general_plugins
    from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler

    load_general_plugins()
    assert TopKTopPSampler().forward.__func__.__code__.co_filename == seeded_sampling.__file__
