"""The search: what it proposes is valid, fits, and is found in time."""

import time
from dataclasses import replace

import pytest

from verl_medu1.machine.gpus import find_gpu, known_gpus
from verl_medu1.machine.machine import Machine
from verl_medu1.plan.architecture import find_architecture, listed_models
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.search import _ends, search, step_seconds
from verl_medu1.plan.settings import Settings
from verl_medu1.plan.verdict import build

SETTINGS = Settings(train_batch=512, mini_batch=128)


@pytest.mark.parametrize("name", [name for name in listed_models() if not find_architecture(name).vision])
@pytest.mark.parametrize("gpu", known_gpus())
def test_each_proposal_is_valid_and_fits(name, gpu):
    model, card = find_architecture(name), find_gpu(gpu)
    found = search(model, card, replace(SETTINGS, nodes=8))
    # vLLM's weights of 235 billion parameters leave no cache on 8 GPUs of 80 GB, and the search keeps it in a node.
    assert bool(found) != (name == "Qwen/Qwen3-235B-A22B" and card.memory_gib < 100)
    for candidate in found:
        settings = candidate.plan.settings
        assert find_violations(settings, model, Machine(capability=card.capability)) == []
        assert candidate.plan.problems == []
        assert settings.tp * settings.pp * settings.cp * settings.dp == 64
        assert candidate.plan.rollout.tokens >= settings.longest
    seconds = [candidate.seconds for candidate in found]
    assert seconds == sorted(seconds)


def test_512_gpus_take_less_than_five_seconds():
    started = time.process_time()
    found = search(find_architecture("Qwen2.5-72B-Instruct"), find_gpu("h100-80"), replace(SETTINGS, nodes=64))
    assert found and time.process_time() - started < 5


def test_a_large_model_on_few_gpus_is_split_and_on_too_few_is_not_there():
    large = find_architecture("Qwen2.5-72B-Instruct")
    best = search(large, find_gpu("h100-80"), replace(SETTINGS, nodes=4))[0].plan.settings
    assert best.tp * best.pp >= 8
    assert search(large, find_gpu("h100-80"), SETTINGS) == []


def test_fp8_is_searched_where_its_sizes_allow():
    fp8 = {"fp8": "hybrid", "fp8_recipe": "tensorwise"}
    assert search(find_architecture("Qwen3-8B"), find_gpu("h100-80"), replace(SETTINGS, **fp8))
    assert search(find_architecture("Qwen3-8B"), find_gpu("a100-80"), replace(SETTINGS, **fp8)) == []


def test_long_answers_are_split_over_context_parallel_ranks():
    long = replace(SETTINGS, response=30000, nodes=2)
    found = search(find_architecture("Qwen2.5-32B-Instruct"), find_gpu("h100-80"), long, count=50)
    assert {candidate.plan.settings.cp for candidate in found} > {1}


@pytest.mark.parametrize(
    ("layers", "pp", "ends"), [(28, 4, (None, None)), (28, 8, (2, 2)), (80, 3, None), (4, 8, None)]
)
def test_ends_of_an_uneven_pipeline(layers, pp, ends):
    assert _ends(layers, pp) == ends or (ends is None and _ends(layers, pp) is not None and pp < layers)


def test_an_estimate_grows_with_work_and_falls_with_gpus():
    model, gpu = find_architecture("Qwen2.5-7B-Instruct"), find_gpu("h100-80")

    def seconds(**changes):
        return step_seconds(build(model, gpu, replace(SETTINGS, tp=2, **changes)))

    assert seconds(nodes=2) < seconds() < seconds(train_batch=1024)
    assert seconds() < seconds(recompute="full")
    assert seconds(fp8="hybrid") < seconds()


def test_a_tied_output_layer_takes_as_long_as_one_of_its_own():
    tied, gpu = find_architecture("Qwen2.5-3B-Instruct"), find_gpu("h100-80")
    plans = [build(model, gpu, SETTINGS) for model in (tied, replace(tied, tied=False))]
    exchanged = [replace(plan, communication=plans[0].communication) for plan in plans]
    assert step_seconds(exchanged[0]) == step_seconds(exchanged[1])
