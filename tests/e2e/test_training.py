"""The real stack on generated questions: Ray, verl's trainer, Megatron on gloo, vLLM. Each run has a timeout."""

import json
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.e2e.runs import MEDU1, command, make_inputs, processes_of, saved_step, tail, wait_for
from tests.signals import by_default
from verl_medu1.checks.metrics import why_no_server
from verl_medu1.models.folder import dtype_of_weights
from verl_medu1.run.steps import read_step
from verl_medu1.run_folder.names import METRICS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
# The trainer computes the log-probabilities of the rollout again, and logs how far the two are apart.
COMPARED = "algorithm.rollout_correction.bypass_mode=false"
MAX_PROBABILITY_DIFFERENCE = 1e-4
# What the packages below print: levels, warnings, Ray's marks, progress bars, tracebacks.
FOREIGN = re.compile(r"INFO|WARNING|ERROR|[Ww]arning|pid=|it/s|\d%\||Traceback|\[rank\d")
SOURCES = ("quickstart-calc", "quickstart-mcq", "quickstart-open")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def scalars(run_dir: Path) -> dict[str, list[float]]:
    events = EventAccumulator(str(run_dir / "tensorboard"))
    events.Reload()
    return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def check_run(run_dir: Path, steps: int, answers: int, largest_difference: float = MAX_PROBABILITY_DIFFERENCE) -> None:
    logged = scalars(run_dir)
    # The weights really travel: trainer and rollout give each token the same probability, in each step.
    assert len(logged["training/rollout_probs_diff_mean"]) == steps
    assert max(logged["training/rollout_probs_diff_mean"]) < largest_difference
    assert logged["actor/grad_norm"][-1] >= 0
    for component in ("acc", "format", "score", "length", "budget_distance", "over_budget", "length_score"):
        assert any(f"reward/{source}/{component}/mean" in logged for source in SOURCES), component
    rows = [json.loads(line) for line in (run_dir / "rollouts" / "1.jsonl").read_text().splitlines()]
    assert len(rows) == answers and {"data_source", "acc", "format", "pred", "length"} <= set(rows[0])
    assert processes_of(run_dir) == []


def check_served(port: int, logged: Callable[[], list[dict[str, float]]]) -> None:
    """The keeper of a real run serves the numbers of its metrics file, up to some step."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    served = {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}
    lines = logged()[: int(served["medu1_step",])]
    assert len(lines) >= 3
    assert served["medu1_steps_total",] == len(lines)
    assert served["medu1_tokens_total",] == sum(line["perf/total_num_tokens"] for line in lines)
    assert served["medu1_perf_throughput",] == lines[-1]["perf/throughput"]
    assert served["medu1_training_rollout_mismatch_alarm",] == 0
    for source in SOURCES:
        assert served["medu1_reward", "length", "mean", source] == lines[-1][f"reward/{source}/length/mean"]
    phase = sum(line["timing_s/update_actor"] for line in lines)
    assert served["medu1_phase_seconds_total", "update_actor"] == pytest.approx(phase)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """All of `make quickstart`, Megatron TP2, with a warm-up too short to teach and three steps."""
    out = tmp_path_factory.mktemp("quickstart") / "quickstart"
    arguments = ["quickstart", "--demonstrations", "320", "--out", str(out), "trainer.total_training_steps=3", COMPARED]
    return out, subprocess.run([*MEDU1, *arguments], capture_output=True, text=True, timeout=600)


def test_quickstart_in_small(quickstart):
    out, done = quickstart
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    check_run(out, steps=3, answers=96)
    assert (out / "checkpoints" / "global_step_3").is_dir()
    console = (done.stdout + done.stderr).splitlines()
    assert len(console) <= 100
    assert [line for line in console if FOREIGN.search(line)] == []
    assert len([line for line in console if re.match(r"step \d/3  reward \d\.\d\d  right ", line)]) == 3
    assert "before and after" in done.stdout and "<html" in (out / "report.html").read_text()
    for step in ("prepare", "model tiny", "sft", "eval", "train recipe=quickstart", "report"):
        assert f"$ medu1 {step}" in done.stdout


def test_the_commands_of_the_export_page(quickstart, tmp_path):
    """Result and warm-up are exported, compared, and load with "auto" to what was trained."""
    out, done = quickstart
    assert done.returncode == 0
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    commands = page.split("```")[1].strip().splitlines()
    assert len(commands) == 3
    for line in commands:
        step = re.sub(r"global_step_\d+", "global_step_3", line)
        given, _, target = re.sub(r"outputs/quickstart(?=[ /]|$)", str(out), step).partition(" --out ")
        target, *more = target.replace("outputs/", f"{tmp_path}/", 1).split()
        exported = subprocess.run(
            [*MEDU1, *given.split()[1:], "--out", target, *more], capture_output=True, text=True, timeout=120
        )
        assert exported.returncode == 0, exported.stderr
        found = re.search(r"they differ by (\S+) at most, .* tokens \(float32\)", exported.stdout)
        assert found is not None and float(found[1]) < 1e-5, exported.stdout
    folders = [folder for folder in tmp_path.iterdir() if folder.is_dir()]
    assert len(folders) == 3
    for folder in folders:
        config = json.loads((folder / "config.json").read_text())
        assert (config["dtype"], config["rope_theta"], dtype_of_weights(folder)) == ("float32", 100.0, "float32")
    for checkpoint in (out / "checkpoints", out / "warmup" / "checkpoints"):
        [written] = checkpoint.rglob("huggingface/config.json")
        assert json.loads(written.read_text())["dtype"] == "float32"


@pytest.mark.long
@pytest.mark.parametrize(
    ("overrides", "largest_difference"),
    [
        pytest.param(["model_engine=dp"], MAX_PROBABILITY_DIFFERENCE, id="fsdp2"),
        pytest.param(["algorithm.length_penalty.where=reward"], MAX_PROBABILITY_DIFFERENCE, id="reward"),
        pytest.param(
            ["algorithm.adv_estimator=medu1_gdpo", "algorithm.gdpo_reward_keys=[acc,format]"],
            MAX_PROBABILITY_DIFFERENCE,
            id="gdpo",
        ),
        pytest.param(["lora=r16"], MAX_PROBABILITY_DIFFERENCE, id="lora"),
        pytest.param(["lora=r16", "model_engine=dp"], MAX_PROBABILITY_DIFFERENCE, id="lora-fsdp2"),
        # The answers of a step were begun with the weights of the step before.
        pytest.param(["trainer.v1.trainer_mode=medu1_colocate_async"], 0.1, id="colocate_async"),
    ],
)
def test_three_steps(inputs, tmp_path, overrides, largest_difference):
    run_dir = tmp_path / "run"
    short = ["trainer.total_training_steps=3", "trainer.save_freq=-1"]
    arguments = command(inputs, run_dir, COMPARED, *short, *overrides)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    check_run(run_dir, steps=3, answers=16, largest_difference=largest_difference)


def test_two_pipeline_stages_interrupted_leave_nothing_behind(inputs, tmp_path):
    """Killed runs and their continuation are in test_faults.py and tests/slurm."""
    run_dir, log = tmp_path / "run", tmp_path / "log"
    checkpoints = run_dir / "checkpoints"
    megatron = "actor_rollout_ref.actor.megatron"
    layout = [f"{megatron}.tensor_model_parallel_size=1", f"{megatron}.pipeline_model_parallel_size=2"]
    mixture = "data.mixture.by=ability"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    steps = ["trainer.total_training_steps=50", f"prometheus.port={port}"]
    arguments = command(inputs, run_dir, *layout, mixture, COMPARED, *steps)

    def logged() -> list[dict[str, float]]:
        # An interrupted run's TensorBoard file may lack its last steps.
        metrics = run_dir / METRICS
        return [read_step(line)[1] for line in metrics.read_text().splitlines()] if metrics.exists() else []

    def compared() -> list[float]:
        return [data["training/rollout_probs_diff_mean"] for data in logged()]

    with log.open("w") as file:
        run = subprocess.Popen(arguments, stdout=file, stderr=file, preexec_fn=by_default)
        # A step is saved first and logged then.
        wait_for(lambda: len(compared()) >= 3 or run.poll() is not None, 400)
        assert len(compared()) >= 3 and saved_step(checkpoints) >= 3, tail(log)
        check_served(port, logged)
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 130
    assert why_no_server(port) is None
    assert max(compared()) < MAX_PROBABILITY_DIFFERENCE
    # Every family in every batch.
    for step in (1, 2, 3):
        rows = (run_dir / "rollouts" / f"{step}.jsonl").read_text().splitlines()
        assert {json.loads(row)["data_source"] for row in rows} == set(SOURCES)
    assert processes_of(run_dir) == []
