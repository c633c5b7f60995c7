"""benchmarks/gpu/engine.py: its results and steps, and the whole of it on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.results import DONE, FAILED, STARTED, Result, read, step, write

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu" / "engine.py"
STEPS = ["machine", "rules", "weights", "reference", "model", "log_probs", "update", "imports"]


def test_a_result_is_written_before_and_after_its_step(tmp_path):
    seen = []

    def work(result: Result) -> None:
        seen.append(read(tmp_path, "one").status)
        result.figures["rows"] = 3

    result = step(tmp_path, "one", work, seen.append)
    assert seen[0] == "one ..." and seen[1] == STARTED and seen[2].startswith("one: done in")
    assert read(tmp_path, "one") == result and result.status == DONE and result.figures == {"rows": 3}


@pytest.mark.parametrize(("status", "runs"), [(DONE, 0), (FAILED, 1), (STARTED, 1), (None, 1)])
def test_only_what_is_done_is_skipped(tmp_path, status, runs):
    if status:
        write(tmp_path, Result("one", status, figures={"rows": 3}))
    ran: list[str] = []
    result = step(tmp_path, "one", lambda result: ran.append(result.name), lambda line: None)
    assert len(ran) == runs and result.status == DONE
    assert result.figures == ({} if runs else {"rows": 3})


def test_a_failure_is_kept_with_its_last_line_and_what_was_found_before_it(tmp_path, capfd):
    def work(result: Result) -> None:
        result.facts["driver"] = "1.0"
        raise OSError("libcublas.so: undefined symbol")

    result = step(tmp_path, "machine", work, lambda line: None)
    assert result.status == FAILED and result.error == "OSError: libcublas.so: undefined symbol"
    assert read(tmp_path, "machine") == result and result.facts == {"driver": "1.0"}
    assert "Traceback" in capfd.readouterr().err


def engine(out: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), "--machine", "cpu", "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_what_a_rule_refuses_ends_with_its_sentence(tmp_path):
    done = engine(tmp_path / "out", "--precision", "fp8")
    assert done.returncode == 1 and "rules: failed" in done.stderr and "Traceback" not in done.stderr
    folder = next((tmp_path / "out").iterdir())
    assert "override_transformer_config.fp8 is 'hybrid'" in read(folder, "rules").error
    assert read(folder, "machine").status == DONE and read(folder, "weights") is None


def results_in(folder: Path) -> dict[str, dict]:
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in STEPS}


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_the_engine_on_the_cpu(tmp_path):
    out = tmp_path / "out"
    done = engine(out, "--attention", "fused", "--updates", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    found = results_in(out / "bf16-fused")
    assert [result["status"] for result in found.values()] == [DONE] * len(STEPS)
    assert found["model"]["figures"]["parameters"] == found["model"]["figures"]["parameters, planned"]
    assert found["model"]["facts"]["transformer"]["attention_backend"].endswith("fused")
    assert found["log_probs"]["figures"]["log-prob, less Hugging Face in float32, largest"] < 1e-5
    assert found["update"]["figures"]["update, tokens/s"] > 0
    losses = found["update"]["facts"]["losses"]
    assert len(losses) == 4 and losses == sorted(losses, reverse=True)
    assert "megatron-bridge" in found["imports"]["facts"]
    assert "| | bf16-fused |" in done.stdout and "nothing counts allocations on the CPU" in done.stdout
    assert "module: 1" in (out / "bf16-fused" / "log.txt").read_text() and "module: 1" not in done.stderr

    # Another backend is compared with the first; a model of other dimensions is refused.
    (out / "bf16-unfused").mkdir()
    for name in ("machine", "rules", "weights", "reference", "update", "imports"):
        write(out / "bf16-unfused", Result(name, DONE))
    (out / "bf16-unfused" / "reference.pt").write_bytes((out / "bf16-fused" / "reference.pt").read_bytes())
    again = engine(out, "--attention", "unfused")
    assert again.returncode == 0 and "update: done before" in again.stderr, again.stdout + again.stderr
    other = json.loads((out / "bf16-unfused" / "log_probs.json").read_text())
    assert other["figures"]["log-prob, less bf16-fused, largest"] < 1e-5
    assert "| | bf16-fused | bf16-unfused |" in again.stdout
    refused = engine(out, "--layers", "3")
    assert refused.returncode == 1 and "is 2 layers of width 128 from an earlier start" in refused.stderr


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_step_that_fails_leaves_the_others_their_turn(tmp_path):
    out = tmp_path / "out"
    assert engine(out, "--attention", "fused", "--updates", "1").returncode == 0
    (out / "model" / "model.safetensors").unlink()
    done = engine(out, "--attention", "flash", "--updates", "1")
    found = results_in(out / "bf16-flash")
    failed = ["reference", "model", "log_probs", "update"]
    assert [name for name, result in found.items() if result["status"] == FAILED] == failed
    assert "model.safetensors" in found["reference"]["error"]
    assert found["update"]["error"] == "RuntimeError: there is no engine; see the step model"
    assert done.returncode == 1 and f"failed: {', '.join(failed)}; see" in done.stderr
    assert "- bf16-flash, model: " in done.stdout
