"""slurm/lib/judge.sh on this machine, with a small HTTP server in place of vLLM's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SLURM = Path(__file__).resolve().parents[2] / "slurm"
# Called as MEDU1_PYTHON: records what vLLM's server is called with and answers /health; all else is Python.
INTERPRETER = f"""#!/usr/bin/env bash
[[ $2 == vllm.entrypoints.openai.api_server ]] || exec {sys.executable} "$@"
echo "$*; gpus $CUDA_VISIBLE_DEVICES; key $VLLM_API_KEY" >"$FOLDER/called"
[[ $FOLDER != *dies* ]] || exit 1
port=$(sed 's/.*--port \\([0-9]*\\).*/\\1/' <<<"$*")
exec {sys.executable} -c '
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()' "$port"
"""
SCRIPT = """
set -euo pipefail
for part in common ray judge; do source "$MEDU1_SLURM_DIR/lib/$part.sh"; done
host=n1 ray_pid="" watch_pid="" judge_pid="" ended_file=$FOLDER/ended
trap '[[ ! $judge_pid ]] || kill $judge_pid 2>/dev/null || true' EXIT
start_judge
set -- recipe=x ${judge_overrides[@]+"${judge_overrides[@]}"}
printf '%s\\n' "$@" "gpus ${CUDA_VISIBLE_DEVICES-}" "token ${MEDU1_JUDGE_TOKEN-}" "own key ${VLLM_API_KEY-}"
[[ ! $judge_pid ]] || { kill $judge_pid && wait $judge_pid || true; check_cluster; }
"""


def run(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    python = folder / "python"
    python.write_text(INTERPRETER)
    python.chmod(0o755)
    (folder / "token").write_text("secret")
    port = 20000 + os.getpid() % 10000
    given = {
        "FOLDER": str(folder),
        "MEDU1_SLURM_DIR": str(SLURM),
        "MEDU1_ATTEMPT_DIR": str(folder),
        "MEDU1_PYTHON": str(python),
        "MEDU1_PORT_BASE": str(port),
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "CUDA_VISIBLE_DEVICES": "0,1,2,3",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MEDU1_", "VLLM_"))}
    return subprocess.run(
        ["bash", "-c", SCRIPT], env=environment | given | variables, capture_output=True, text=True, timeout=100
    )


def test_without_a_model_nothing_is_started(tmp_path):
    done = run(tmp_path / "job")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["recipe=x", "gpus 0,1,2,3", "token ", "own key "]
    assert not (tmp_path / "job" / "called").exists()


def test_the_judge_gets_gpus_of_its_own_and_the_driver_its_address(tmp_path):
    folder = tmp_path / "job"
    done = run(folder, MEDU1_JUDGE_MODEL="a/model", MEDU1_JUDGE_GPUS="2", MEDU1_JUDGE_OPTIONS="--max-model-len 2048")
    lines = done.stdout.splitlines()
    [url] = [line for line in lines if "base_url" in line]
    port = re.fullmatch(r"scoring\.judge\.base_url='http://127\.0\.0\.1:(\d+)/v1'", url)[1]
    assert "scoring.judge.model='a/model'" in lines and "scoring.judge.api_key_env=MEDU1_JUDGE_TOKEN" in lines
    assert "gpus 0,1" in lines and "token secret" in lines and "own key " in lines
    called = (folder / "called").read_text()
    assert called.startswith("-m vllm.entrypoints.openai.api_server --model a/model --host 127.0.0.1 --port " + port)
    assert "--tensor-parallel-size 2 --max-model-len 2048; gpus 2,3; key secret" in called
    # The script ends it at the end, and the watch over the node sees that.
    assert done.returncode == 70 and "the judge on n1 ended" in (folder / "reason").read_text()


def test_a_judge_that_dies_ends_the_job(tmp_path):
    done = run(tmp_path / "dies", MEDU1_JUDGE_MODEL="m")
    assert done.returncode == 70
    assert "the judge on n1 ended; see" in (tmp_path / "dies" / "reason").read_text()


@pytest.mark.parametrize(("gpus", "devices"), [("4", "0,1,2,3"), ("1", "0"), ("1", ""), ("0", "0,1")])
def test_the_training_keeps_a_gpu(tmp_path, gpus, devices):
    done = run(tmp_path / "job", MEDU1_JUDGE_MODEL="m", MEDU1_JUDGE_GPUS=gpus, CUDA_VISIBLE_DEVICES=devices)
    assert done.returncode == 2
    assert f"MEDU1_JUDGE_GPUS is {gpus}, and n1 has" in (tmp_path / "job" / "reason").read_text()
