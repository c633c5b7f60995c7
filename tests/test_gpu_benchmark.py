"""benchmarks/gpu: its table against figures worked out by hand, its model, and the whole of it on the CPU."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gpu.model import require_same, write_random_model
from benchmarks.gpu.results import DONE, FAILED, Result, write
from benchmarks.gpu.table import MFU, PEAK_MEASURED, PEAK_PREDICTED, Column, column_of, markdown, planned_peak
from verl_medu1.machine.gpus import find_gpu
from verl_medu1.plan.architecture import find_architecture
from verl_medu1.plan.settings import Settings
from verl_medu1.plan.verdict import Plan, build

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu" / "stack.py"
LOGGED = {
    "perf/total_num_tokens": {1: 4000.0, 2: 4000.0, 3: 6000.0, 4: 8000.0},
    "response_length/mean": {1: 50.0, 2: 50.0, 3: 75.0, 4: 100.0},
    "timing_s/update_actor": {1: 100.0, 2: 2.0, 3: 2.0, 4: 2.0},
    "timing_s/gen": {1: 100.0, 2: 1.0, 3: 1.0, 4: 1.0},
    "timing_s/update_weights": {1: 9.0, 2: 0.5, 3: 0.4, 4: 0.6},
    "perf/mfu/actor": {1: 0.01, 2: 0.4, 3: 0.5, 4: 0.6},
    "actor/perf/max_memory_allocated_gb": {1: 40.0, 2: 41.0, 3: 41.0, 4: 41.0},
    "training/rollout_probs_diff_mean": {1: 1e-3, 2: 2e-3, 3: 3e-3, 4: 4e-3},
}


def plan(**changes: object) -> Plan:
    settings = Settings(gpus_per_node=1, train_batch=8, n=5, token_limit=8192, **changes)
    return build(find_architecture("Qwen2.5-3B-Instruct"), find_gpu("h100-80"), settings)


def test_figures_are_medians_after_the_first_steps() -> None:
    column = column_of("bf16", LOGGED, plan(), skip=1)
    assert column.figures["training, tokens/s"] == 3000
    assert column.figures["rollout, tokens/s"] == 8 * 5 * 75
    assert column.figures["weight sync, s"] == 0.5 and column.figures[MFU] == 0.5
    assert column.figures["probability, difference, mean"] == 3e-3
    # The first step's peak counts: memory is no matter of warming up.
    assert column.figures[PEAK_MEASURED] == 41.0 and column.reasons == {}


def test_the_planned_peak_is_the_trainers_alone() -> None:
    found = plan()
    phases = found.ranks[0].phases
    own = {name: size for name, size in phases["training"].items() if name not in ("vLLM", "reserve")}
    assert planned_peak(found) == pytest.approx(sum(own.values()) / 2**30)
    # What the rollout takes, asleep or not, is no matter of the trainer's.
    assert planned_peak(found) == planned_peak(plan(free_cache=False, utilization=0.9))


def test_what_a_device_can_not_say_has_its_reason() -> None:
    unknown = column_of("bf16", LOGGED | {"perf/mfu/actor": dict.fromkeys(range(1, 5), 0.0)}, plan(), 1)
    assert MFU not in unknown.figures and "verl lists no peak" in unknown.reasons[MFU]
    cpu = column_of("float32", LOGGED, plan(device="cpu", dtype="float32"), 1)
    assert {MFU, PEAK_MEASURED} == set(cpu.reasons) and not {MFU, PEAK_MEASURED} & set(cpu.figures)
    assert "41.00 GiB" in cpu.reasons[PEAK_MEASURED] and cpu.figures[PEAK_PREDICTED] > 0


def test_the_table_has_a_column_for_each_precision_and_a_sentence_for_what_is_missing() -> None:
    text = markdown([Column("bf16", {MFU: 0.5}), Column("fp8", {}, {MFU: "no peak is known."})])
    assert text.splitlines()[0] == "| | bf16 | fp8 |" and f"| {MFU} | 0.5 | - |" in text
    assert text.endswith(f"\n\n- fp8, {MFU}: no peak is known.")


@pytest.mark.parametrize("name", ["Qwen2.5-7B-Instruct", "Llama-3.1-8B-Instruct", "Qwen3-8B"])
def test_a_random_model_has_the_dimensions_that_it_is_planned_with(tmp_path: Path, name: str) -> None:
    from transformers import AutoTokenizer

    small = {"hidden": 64, "heads": 4, "groups": 2, "head_dim": 16, "ffn": 96, "vocabulary": 1024, "layers": 3}
    model = replace(find_architecture(name), **small)
    folder = tmp_path / "model"
    parameters = write_random_model(model, ["two words"] * 50, folder, "bfloat16")
    assert replace(find_architecture(str(folder)), name=model.name) == model
    require_same(model, folder)
    with pytest.raises(SystemExit, match="is 3 layers of width 64 from an earlier start, and now 4 of 64 are asked"):
        require_same(replace(model, layers=4), folder)
    assert parameters == build(model, find_gpu("h100-80"), Settings(gpus_per_node=1)).ranks[0].parameters.total
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == model.vocabulary
    assert tokenizer.decode(tokenizer.encode("two <think> words")) == "two <think> words"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--steps", "2", "--skip", "2"], 1, "--skip is 2, which leaves none of 2 --steps"),
        (["--precision", "fp8"], 2, "override_transformer_config.fp8 is 'hybrid'"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(
    tmp_path: Path, arguments: list[str], code: int, sentence: str
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, str(SCRIPT), "--machine", "cpu", "--out", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code and sentence in done.stderr and "Traceback" not in done.stderr
    assert not out.exists()


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_whole_stack_on_the_cpu(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--machine", "cpu", "--steps", "3", "--skip", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    cells = {row.split(" | ")[0].lstrip("| "): row.split(" | ")[1:] for row in done.stdout.splitlines() if " | " in row}
    for row in ("training, tokens/s", "rollout, tokens/s", "weight sync, s", "seconds of a step", PEAK_PREDICTED):
        assert float(cells[row][0].rstrip(" |").replace(",", "")) > 0, row
    # In float32 trainer and rollout are one model, to the seventh digit.
    assert abs(float(cells["log-probability, rollout less trainer, mean"][0].rstrip(" |"))) < 1e-4
    assert float(cells["probability, difference, largest"][0].rstrip(" |")) < 1e-4
    assert cells[MFU] == ["- |"] and "no peak FLOP/s of this processor is known" in done.stdout
    # What is there is not run again.
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.stdout == done.stdout and "bf16: done before" in again.stderr


def test_a_column_that_is_there_is_shown_and_not_run_again(tmp_path: Path) -> None:
    for name in ("data", "weights"):
        write(tmp_path, Result(name, DONE))
    write(tmp_path, Result("bf16", DONE, figures={MFU: 0.25}))
    write(tmp_path, Result("fp8", FAILED, error="out of memory"))
    command = [sys.executable, str(SCRIPT), "--machine", "cpu", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "bf16: done before" in done.stderr and "$ medu1" not in done.stderr
    assert "| | bf16 |" in done.stdout and f"| {MFU} | 0.25 |" in done.stdout
