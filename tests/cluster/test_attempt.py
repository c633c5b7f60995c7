"""What the record of an attempt says once the attempt is over, however it ended."""

import json
import subprocess
from pathlib import Path

LIB = Path(__file__).resolve().parents[2] / "slurm" / "lib"
PROGRAM = """
set -euo pipefail
source "$LIB/common.sh"
source "$LIB/attempt.sh"
SLURM_JOB_ID=17 MEDU1_HOSTS="node1 node2"
attempt() { requeue_count=$1 MEDU1_ATTEMPT_DIR=$FOLDER/$1; begin_attempt; }
"""


def run(folder: Path, program: str) -> dict[str, dict[str, object]]:
    """Records by attempt, after a part of job.sh."""
    environment = {"LIB": str(LIB), "FOLDER": str(folder), "PATH": "/usr/bin:/bin"}
    subprocess.run(["bash", "-c", PROGRAM + program], check=True, env=environment, capture_output=True, text=True)
    return {file.parent.name: json.loads(file.read_text()) for file in folder.glob("*/attempt.json")}


def test_the_end_is_recorded_before_slurm_may_end_the_script(tmp_path):
    records = run(tmp_path, 'attempt 0; reason="lost node2: it said nothing"; record_end 70')
    assert records["0"]["exit_code"] == 70 and records["0"]["reason"] == "lost node2: it said nothing"
    assert records["0"]["ended"] and records["0"]["nodes"] == ["node1", "node2"]


def test_an_attempt_that_was_killed_does_not_look_as_if_it_ran(tmp_path):
    records = run(tmp_path, 'attempt 0; attempt 1; reason="stopped"; record_end 85; attempt 2')
    assert [records[number]["reason"] for number in "012"] == [
        "ended by Slurm before it could be recorded why",
        "stopped",
        "running",
    ]
    assert records["0"]["exit_code"] is None
