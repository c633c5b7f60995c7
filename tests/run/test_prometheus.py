"""A run's metrics in Prometheus text: the numbers of the metrics file, each under a name and labels of its own."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from verl_medu1.run.prometheus import RunMetrics, split_name
from verl_medu1.training.mismatch import ALARM

STEPS = (
    # A validation before the first step.
    (0, {"val-core/MedQA/acc/mean@1": 0.25}),
    (
        1,
        {
            "training/global_step": 1,
            "reward/MedQA/acc/mean": 0.5,
            "reward/MedQA/length/p95": 90.0,
            "reward/PubMedQA/acc/mean": 0.125,
            "response_length/mean": 60.5,
            "perf/throughput": 400.0,
            "perf/total_num_tokens": 1000,
            "timing_s/gen": 2.5,
            "timing_s/step": 4.0,
            ALARM: 1.0,
        },
    ),
    (
        2,
        {
            "training/global_step": 2,
            "reward/MedQA/acc/mean": 0.75,
            "advantage/MedQA/floor_factor": 0.875,
            "actor/grad_norm": None,
            "perf/total_num_tokens": 500,
            "timing_s/gen": 1.5,
            "timing_s/step": 3.0,
            "note": "text",
            ALARM: 0.0,
        },
    ),
)


def write(file: Path, steps=STEPS) -> Path:
    file.write_text("".join(json.dumps({"step": step, "data": data}) + "\n" for step, data in steps))
    return file


def served(metrics: RunMetrics) -> dict[str, float]:
    """What Prometheus reads: name{labels} -> value, as both of its formats say."""
    registry = CollectorRegistry()
    registry.register(metrics)
    text = openmetrics(registry).decode()
    samples = [sample for family in read_openmetrics(text) for sample in family.samples]
    named = [
        (sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())), sample.value)
        for sample in samples
    ]
    assert len(named) == len(dict(named)), "two samples share a name"
    return dict(named)


def test_the_numbers_of_the_metrics_file(tmp_path):
    found = served(RunMetrics(write(tmp_path / "metrics.jsonl")))
    assert math.isnan(found.pop("medu1_actor_grad_norm"))
    assert found == {
        "medu1_step": 2,
        "medu1_training_global_step": 2,
        # The latest value that there is: the second step has no validation and no answers of PubMedQA.
        "medu1_validation component=acc part=core source=MedQA statistic=mean@1": 0.25,
        "medu1_reward component=acc source=MedQA statistic=mean": 0.75,
        "medu1_reward component=length source=MedQA statistic=p95": 90.0,
        "medu1_reward component=acc source=PubMedQA statistic=mean": 0.125,
        "medu1_advantage measure=floor_factor source=MedQA": 0.875,
        "medu1_response_length_mean": 60.5,
        "medu1_perf_throughput": 400.0,
        "medu1_perf_total_num_tokens": 500,
        "medu1_step_phase_seconds phase=gen": 1.5,
        "medu1_step_phase_seconds phase=step": 3.0,
        "medu1_training_rollout_mismatch_alarm": 0.0,
        # Sums.
        "medu1_steps_total": 2,
        "medu1_tokens_total": 1500,
        "medu1_rollout_mismatch_alarms_total": 1,
        "medu1_phase_seconds_total phase=gen": 4.0,
        "medu1_phase_seconds_total phase=step": 7.0,
        "medu1_unreadable_lines_total": 0,
    }


def test_each_line_counts_once_however_often_it_is_scraped(tmp_path):
    file = tmp_path / "metrics.jsonl"
    metrics = RunMetrics(file)
    assert served(metrics)["medu1_steps_total"] == 0  # there is no file yet
    write(file, STEPS[:2])
    assert [served(metrics)["medu1_tokens_total"] for _ in range(2)] == [1000, 1000]
    with file.open("a") as more:
        more.write(json.dumps({"step": STEPS[2][0], "data": STEPS[2][1]}))
        more.flush()
        assert served(metrics)["medu1_step"] == 1  # this line is still being written
        more.write("\n")
    assert [served(metrics)["medu1_tokens_total"] for _ in range(2)] == [1500, 1500]


def test_a_line_that_cannot_be_read_is_counted(tmp_path):
    file = write(tmp_path / "metrics.jsonl")
    file.write_text('{"step": 1, "da\n[]\n' + file.read_text())
    found = served(RunMetrics(file))
    assert (found["medu1_unreadable_lines_total"], found["medu1_steps_total"]) == (2, 2)


@pytest.mark.parametrize(
    ("name", "family", "labels"),
    [
        ("response_length/mean", "response_length_mean", {}),
        ("reward/MedCalc-Bench/budget_distance/mean", "reward", ("MedCalc-Bench", "budget_distance", "mean")),
        # A source may have a slash in its name, as those of the Hugging Face Hub.
        ("reward/openai/gsm8k/acc/mean", "reward", ("openai/gsm8k", "acc", "mean")),
        ("val-aux/MedQA/length/mean@4", "validation", ("aux", "MedQA", "length", "mean@4")),
        ("val-aux/judge/asked", "val_aux_judge_asked", {}),
        ("advantage/MedQA/all_right_groups", "advantage", ("MedQA", "all_right_groups")),
        ("timing_s/update_actor", "step_phase_seconds", ("update_actor",)),
        ("timing_per_token_ms/gen", "step_phase_milliseconds_per_token", ("gen",)),
        ("actor/perf/max_memory_allocated_gb", "actor_perf_max_memory_allocated_gb", {}),
        ("Ünicode//name@", "nicode_name", {}),
    ],
)
def test_names(name, family, labels):
    found, its_labels = split_name(name)
    assert (found, tuple(its_labels.values()) or {}) == (family, labels)


HARD_NAMES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["a/b", "a_b", "a//b", "step", "steps", "steps_total", "reward", "phase_seconds_total", "timing_s/a"]
    ),
    st.from_regex(r"(reward|advantage|val-core|timing_s)/[a-b/\"\\\n]{1,6}/[ab]/mean", fullmatch=True),
)


@given(st.lists(st.dictionaries(HARD_NAMES, st.floats(allow_nan=False), max_size=8), min_size=1, max_size=3))
def test_every_number_has_a_sample_of_its_own(tmp_path_factory, steps):
    file = write(tmp_path_factory.mktemp("metrics") / "metrics.jsonl", enumerate(steps))
    metrics = RunMetrics(file)
    families = list(metrics.collect())
    samples = [(sample.name, tuple(sample.labels.items())) for family in families for sample in family.samples]
    assert len(set(samples)) == len(samples)
    gauges = [sample.value for family in families if family.type == "gauge" for sample in family.samples]
    latest: dict[str, float] = {}
    for data in steps:
        latest |= data
    assert sorted(gauges) == sorted([len(steps) - 1, *latest.values()])
    registry = CollectorRegistry()
    registry.register(metrics)
    read = [sample for family in read_text(generate_latest(registry).decode()) for sample in family.samples]
    assert len(read) == len(samples)
