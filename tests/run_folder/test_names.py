"""The names of a run's files, where YAML and shell scripts write them out."""

from pathlib import Path

import pytest
import yaml

from verl_medu1.run_folder import stop_request
from verl_medu1.run_folder.attempts import ATTEMPT_VARIABLE, ATTEMPTS, RECORD, this_attempt
from verl_medu1.run_folder.names import CHECKPOINTS, ROLLOUTS, TENSORBOARD, VALIDATION

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "verl_medu1" / "config"


def written(file: Path, *keys: str) -> str:
    value = yaml.safe_load(file.read_text())
    for key in keys:
        value = value[key]
    return value


@pytest.mark.parametrize(
    ("file", "keys", "name"),
    [
        ("medu1.yaml", ["trainer", "default_local_dir"], CHECKPOINTS),
        ("medu1.yaml", ["trainer", "rollout_data_dir"], ROLLOUTS),
        ("medu1.yaml", ["trainer", "validation_data_dir"], VALIDATION),
        ("medu1.yaml", ["ray_kwargs", "ray_init", "runtime_env", "env_vars", "TENSORBOARD_DIR"], TENSORBOARD),
        ("sft.yaml", ["trainer", "default_local_dir"], CHECKPOINTS),
    ],
)
def test_verl_writes_where_we_read(file, keys, name):
    assert written(CONFIG / file, *keys) == f"${{run_dir}}/{name}"


@pytest.mark.parametrize(
    ("script", "path"),
    [
        ("job.sh", f"$MEDU1_RUN_DIR/{stop_request.FILE_NAME}"),
        ("lib/allocation.sh", f"$MEDU1_RUN_DIR/{stop_request.FILE_NAME}"),
        ("lib/environment.sh", f"{ATTEMPT_VARIABLE}=$MEDU1_RUN_DIR/{ATTEMPTS}/"),
        ("lib/attempt.sh", f"${ATTEMPT_VARIABLE}/{RECORD}"),
    ],
)
def test_the_scripts_of_a_job_use_the_same_names(script, path):
    assert path in (ROOT / "slurm" / script).read_text()


def test_an_attempt_has_a_folder_in_a_job_alone(monkeypatch):
    monkeypatch.delenv(ATTEMPT_VARIABLE, raising=False)
    assert this_attempt() is None
    monkeypatch.setenv(ATTEMPT_VARIABLE, "outputs/a/attempts/003")
    assert this_attempt() == Path("outputs/a/attempts/003")
