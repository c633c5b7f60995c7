"""The line of a step, and which lines of a log say why a run failed."""

import pytest

from verl_medu1.run.relevant import relevant_lines
from verl_medu1.run.steps import minutes, step_line
from verl_medu1.training import mismatch, reward_spread

METRICS = {
    "critic/score/mean": 0.4375,
    "reward/MedQA/acc/mean": 0.5,
    "reward/MedQA/budget_distance/mean": 8.0,
    "reward/MedCalc-Bench/acc/mean": 0.25,
    "reward/MedCalc-Bench/budget_distance/mean": 6.0,
    "response_length/mean": 812.4,
    "perf/throughput": 1234.5,
    "timing_s/step": 3.14,
}


@pytest.mark.parametrize(
    ("metrics", "left", "line"),
    [
        (
            METRICS,
            90,
            "step  3/32  reward 0.44  right MedCalc-Bench 0.25 MedQA 0.50  812 tokens  7.0 from budget  1,234 tokens/s"
            "  3.1 s  1:30 left",
        ),
        ({"critic/score/mean": 0.0, "timing_s/step": 10}, None, "step  3/32  reward 0.00  10.0 s"),
        (
            {"response_length/mean": 8, mismatch.ALARM: 1.0, "timing_s/step": 2},
            None,
            "step  3/32  8 tokens  rollout and trainer differ  2.0 s",
        ),
        ({"response_length/mean": 8, reward_spread.ALARM: 1.0}, None, "step  3/32  8 tokens  rewards nearly equal"),
        (
            {"response_length/mean": 8, "constraint/dose/at_cap": 1.0, "constraint/brief/at_cap": 0.0},
            None,
            "step  3/32  8 tokens  multiplier at its cap: dose",
        ),
        ({"response_length/mean": 8, mismatch.ALARM: 0.0}, None, "step  3/32  8 tokens"),
        ({"train/loss": 1.5}, 0, "step  3/32  loss 1.500  0:00 left"),
        ({}, None, "step  3/32"),
    ],
)
def test_a_step_is_one_line(metrics, left, line):
    assert step_line(3, 32, metrics, left) == line


def test_a_step_of_unknown_number():
    assert step_line(3, None, {}, None) == "step 3"


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00")])
def test_durations(seconds, shown):
    assert minutes(seconds) == shown


LOG = """\
/site-packages/x.py:3: UserWarning: Apex is not installed
  warnings.warn("Apex is not installed")
\x1b[36m(vLLMHttpServer pid=12)\x1b[0m (EngineCore pid=13) WARNING 11-28 03:53:11 [vllm.py:1194] Enforce eager
\x1b[36m(TaskRunnerV1 pid=20)\x1b[0m step:1 - critic/score/mean:0.5
Epoch 1/1:   3%|3         | 10/375 [00:01<00:40,  8.95it/s]
\x1b[36m(RewardLoopWorker pid=21, ip=10.0.0.2)\x1b[0m Traceback (most recent call last):
\x1b[36m(RewardLoopWorker pid=21, ip=10.0.0.2)\x1b[0m   File "scorer.py", line 3, in score
\x1b[36m(RewardLoopWorker pid=22, ip=10.0.0.2)\x1b[0m   File "scorer.py", line 3, in score
\x1b[36m(RewardLoopWorker pid=21, ip=10.0.0.2)\x1b[0m KeyError: 'acc'

[rank0]:[W1128 03:50:20 ProcessGroup.hpp:1006] Warning: No backend
"""


def test_what_says_why_a_run_failed_is_kept_and_noise_is_not():
    assert relevant_lines(LOG.splitlines()) == [
        "Traceback (most recent call last):",
        '  File "scorer.py", line 3, in score',
        "KeyError: 'acc'",
    ]
    assert relevant_lines(LOG.splitlines(), 1) == ["KeyError: 'acc'"]
