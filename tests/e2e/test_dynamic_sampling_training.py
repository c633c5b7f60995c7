"""Dynamic sampling in a real training: what it trains on, what it costs, and the same after a kill."""

import json
import math
import subprocess
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.e2e.runs import MEDU1, command, processes_of, saved_step, tail, wait_for
from tests.signals import by_default
from tests.uniform_model import build_uniform_model
from verl_medu1.checks.prompts import SHORTEST
from verl_medu1.run.channel import METRICS
from verl_medu1.training.mixture_sampler import MixtureSampler, Stage

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1500)]
WEIGHTS = {"own-calculation": 1, "own-multiple_choice": 2}
QUESTIONS, STEPS, SIZE, SAVED = 48, 4, 4, 2
# As in test_variants_training.py: half of the tokens are a whole answer. Letters are more frequent than numbers, so
# that dynamic sampling replaces more of the calculations.
GIVEN = ("A", "B", "C", "D", "A", "B", "C", "D", "A", "B", "C", "D", "1", "2")
ANSWERS = [
    SHORTEST,
    *(f"<think>{number}</think><answer>{GIVEN[number % len(GIVEN)]}</answer>" for number in range(254)),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import pre_tokenizers

    folder = tmp_path_factory.mktemp("inputs")
    build_uniform_model(folder / "model", sorted(pre_tokenizers.ByteLevel.alphabet()), 2048, ANSWERS)
    options = ["Aspirin", "Heparin", "Insulin", "Iron"]
    rows = [
        {"question": f"What does patient {i} get?", "options": options, "answer": "ABCD"[i % 4]}
        for i in range(QUESTIONS)
    ]
    (folder / "choice.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{"question": f"How many tablets does patient {i} get?", "answer": 1 + i % 2} for i in range(QUESTIONS)]
    (folder / "calculation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = [f"own={folder}/choice.jsonl:multiple_choice", f"own={folder}/calculation.jsonl:calculation"]
    prepare = ["prepare", *(word for source in sources for word in ("--source", source)), "--out", f"{folder}/data"]
    done = subprocess.run([*MEDU1, *prepare], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def arguments(inputs: Path, run_dir: Path) -> list[str]:
    return command(
        inputs,
        run_dir,
        "variant=dapo",
        # Each answer has its own seed, so that the runs can be compared.
        "actor_rollout_ref.rollout.agent.default_agent_loop=medu1_seeded",
        "actor_rollout_ref.rollout.enable_chunked_prefill=false",
        "data.mixture.by=data_source",
        "data.mixture.weights={own-calculation: 1, own-multiple_choice: 2}",
        "data.max_prompt_length=1024",
        "data.max_response_length=1",
        "actor_rollout_ref.rollout.max_model_len=1025",
        "algorithm.length_penalty.where=off",
        "actor_rollout_ref.rollout.n=8",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
        f"trainer.total_training_steps={STEPS}",
        f"data.train_batch_size={SIZE}",
    )


@pytest.fixture(scope="module")
def uninterrupted(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("uninterrupted") / "run"
    done = subprocess.run(arguments(inputs, run_dir), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return run_dir


def logged(run_dir: Path) -> dict[int, dict[str, Any]]:
    """The metrics of each step, of the last attempt that trained on it."""
    lines = [json.loads(line) for line in (run_dir / METRICS).read_text().splitlines()]
    return {line["step"]: line["data"] for line in lines if "actor/grad_norm" in line["data"]}


def trained(run_dir: Path, step: int) -> dict[str, list[dict[str, Any]]]:
    """The answers to each question of a step, in the order of their numbers."""
    groups = defaultdict(list)
    for line in (run_dir / "rollouts" / f"{step}.jsonl").read_text().splitlines():
        row = json.loads(line)
        groups[row["input"]].append(row)
    return {question: sorted(rows, key=lambda row: int(row["uid"].split("_")[1])) for question, rows in groups.items()}


def asked_until(run_dir: Path, step: int) -> int:
    """How many rows the data loader had given out when a step was saved, by its own count."""
    if step == 0:
        return 0
    return int(torch.load(run_dir / "checkpoints" / f"global_step_{step}" / "data.pt")["_num_yielded"])


def order_of_questions(inputs: Path) -> list[tuple[str, str]]:
    """The (data source, question) that the mixture draws, one after the other."""
    import pyarrow.parquet as pq

    rows = pq.read_table(inputs / "data" / "train.parquet").to_pylist()
    families = [row["data_source"] for row in rows]
    sampler = iter(MixtureSampler(families, [Stage(STEPS, WEIGHTS)], SIZE, seed=1))
    return [(families[row], rows[row]["prompt"][-1]["content"]) for row in (next(sampler) for _ in range(400))]


def test_a_trained_batch_has_differing_answers_only_and_the_cost_is_logged(inputs, uninterrupted):
    steps, order = logged(uninterrupted), order_of_questions(inputs)
    assert sorted(steps) == list(range(1, STEPS + 1))
    for step in steps:
        groups = trained(uninterrupted, step)
        assert len(groups) == SIZE and all(len(rows) == 8 for rows in groups.values())
        assert all({row["score"] for row in rows} == {0.0, 1.0} for rows in groups.values())
        # The questions are those that the mixture gave next, and the first ones of a step have all its sources.
        asked = order[asked_until(uninterrupted, step - 1) : asked_until(uninterrupted, step)]
        assert {source for source, _ in asked[:SIZE]} == set(WEIGHTS)
        for question, rows in groups.items():
            assert any(source == rows[0]["data_source"] and text in question for source, text in asked)
        metrics = steps[step]
        assert metrics["filter_groups/asked_per_trained"] == len(asked) / SIZE
        sources = Counter(rows[0]["data_source"] for rows in groups.values())
        for source in WEIGHTS:
            share = sum(name == source for name, _ in asked) / len(asked)
            assert metrics[f"filter_groups/{source}/asked_share"] == pytest.approx(share)
            assert metrics[f"filter_groups/{source}/trained_share"] == sources[source] / SIZE
    # With this model a question in three or more is replaced.
    assert asked_until(uninterrupted, STEPS) > STEPS * SIZE


def test_a_killed_run_goes_on_with_the_same_questions(inputs, uninterrupted, tmp_path):
    run_dir, log = tmp_path / "run", tmp_path / "log"
    with log.open("w") as file:
        run = subprocess.Popen(arguments(inputs, run_dir), stdout=file, stderr=file, preexec_fn=by_default)
        wait_for(lambda: saved_step(run_dir / "checkpoints") >= SAVED or run.poll() is not None, 600)
        run.kill()
        run.wait(60)
    saved = saved_step(run_dir / "checkpoints")
    assert SAVED <= saved < STEPS, tail(log)
    assert wait_for(lambda: not processes_of(run_dir), 60)
    done = subprocess.run(arguments(inputs, run_dir), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    ours, theirs = logged(run_dir), logged(uninterrupted)
    for step in range(saved + 1, STEPS + 1):
        assert asked_until(run_dir, step) == asked_until(uninterrupted, step)
        ours_of_step, theirs_of_step = trained(run_dir, step), trained(uninterrupted, step)
        assert ours_of_step.keys() == theirs_of_step.keys()
        for question, rows in ours_of_step.items():
            assert [row["output"] for row in rows] == [row["output"] for row in theirs_of_step[question]]
        for name in ours[step]:
            if name.startswith("filter_groups/"):
                assert ours[step][name] == theirs[step][name], name
        # The order too: the rows of the mini-batches are the same.
        assert math.isclose(ours[step]["actor/grad_norm"], theirs[step]["actor/grad_norm"], rel_tol=1e-3)
