"""`medu1 status`: from the folders that attempts leave, with no Slurm."""

import json
import sys
from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from verl_medu1.cli.app import main
from verl_medu1.run_folder.progress import Progress


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs the command in this process, in a folder of its own and without Slurm's commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["medu1", "status", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capsys.readouterr()

    return command


def write_attempt(run_dir: Path, number: int, **values: object) -> None:
    """As slurm/lib/attempt.sh writes it."""
    folder = run_dir / "attempts" / f"{number:03d}"
    folder.mkdir(parents=True)
    record = {
        "job_id": 17,
        "restart": number,
        "nodes": ["node1", "node2"],
        "started": "2026-11-24T10:00:00+00:00",
        "ended": "2026-11-24T11:00:00+00:00",
        "exit_code": 85,
        "reason": "stopped on request after a checkpoint",
    }
    (folder / "attempt.json").write_text(json.dumps(record | values))


@pytest.fixture
def run_dir(tmp_path) -> Path:
    """A run that was stopped once, lost a node, and was killed."""
    folder = tmp_path / "outputs" / "first"
    write_attempt(folder, 0)
    write_attempt(folder, 1, exit_code=70, reason="lost node2")
    write_attempt(folder, 2, nodes=["node1", "node3"], ended=None, exit_code=None, reason="running")
    writer = EventFileWriter(str(folder / "tensorboard"))
    for step, reward in enumerate([0.125, 0.25, 0.75], start=1):
        value = Summary.Value(tag="critic/score/mean", simple_value=reward)
        writer.add_event(Event(step=step, wall_time=step, summary=Summary(value=[value])))
    writer.close()
    (folder / "checkpoints" / "global_step_2").mkdir(parents=True)
    (folder / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("2")
    Progress(folder).report(4, "rollout")
    return folder


def check(out: str, run_dir: Path) -> None:
    rows = [line for line in out.splitlines() if "│" in line]
    assert len(rows) == 3
    for row, parts in zip(
        rows,
        (
            ["000", "17", "node1, node2", "10:00:00", "11:00:00", "85", "stopped on request after a checkpoint"],
            ["001", "70", "lost node2"],
            ["002", "node1, node3", "killed: it wrote no end down"],
        ),
        strict=True,
    ):
        assert all(part in row for part in parts), row
    assert "Job: 17, not in the queue" in out
    assert "Steps: 3 done; reward of the last one 0.750, of the first one 0.125" in out
    assert "Newest checkpoint: step 2" in out and "Last sign of life: step 4, rollout" in out
    assert f"Logs: {run_dir / 'attempts' / '002'}" in out


def test_of_a_folder(run, run_dir):
    code, out, _ = run(str(run_dir))
    assert code == 0
    check(out, run_dir)


def test_of_a_job_that_slurm_has_forgotten(run, run_dir):
    code, out, _ = run("17")
    assert code == 0
    check(out, run_dir.relative_to(run_dir.parents[1]))


def test_of_a_job_that_has_only_been_submitted(run, tmp_path):
    folder = tmp_path / "outputs" / "waiting"
    folder.mkdir(parents=True)
    (folder / "jobs.jsonl").write_text(json.dumps({"job": "18", "submitted": 0, "recipe": "quickstart"}) + "\n")
    code, out, _ = run("18")
    assert code == 0 and "Job: 18, not in the queue" in out and "Steps: none is done" in out


def test_a_slurm_that_does_not_answer_hides_nothing(run, run_dir, tmp_path):
    for name in ("sbatch", "squeue"):
        (tmp_path / name).write_text(
            "#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1"
        )
        (tmp_path / name).chmod(0o755)
    code, out, _ = run(str(run_dir))
    assert code == 0 and "Job: 17, unknown: squeue refuses: slurm_load_jobs error" in out
    assert "Newest checkpoint: step 2" in out


def test_the_newest_job_of_a_run_is_the_one_that_is_told_of(run, run_dir):
    """One that was submitted by hand is known by its attempts only, one that waits by its submission only."""
    (run_dir / "jobs.jsonl").write_text('{"job": "9"}\n{"job": "20"}\n')
    code, out, _ = run(str(run_dir))
    assert code == 0 and "Job: 20, not in the queue" in out


@pytest.mark.parametrize("line", ['{"job": "47', "", "[]", '{"submitted": 0}', '{"job": "Welcome"}', "\udcff{"])
def test_a_line_that_names_no_job_is_counted_and_left_out(run, run_dir, line):
    text = f'{{"job": "20"}}\n{line}\n{{"job": "21"}}\n{line}'
    (run_dir / "jobs.jsonl").write_text(text, errors="surrogateescape")
    left_out = f"lines that name no job are left out: {1 if not line else 2}"
    for argument in (str(run_dir), "20"):
        code, out, err = run(argument)
        assert code == 0 and f"Job: {21 if argument != '20' else 20}, not in the queue" in out
        assert left_out in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("nowhere", "JOB 'nowhere' is neither the number of a job nor a folder; `squeue --me` lists your jobs."),
        ("19", "JOB 19 is known neither to Slurm nor below outputs; give the folder of the run, or --runs."),
        ("outputs", "RUN_DIR outputs has neither attempts/ nor a submitted job; give the run_dir of a job."),
    ],
)
def test_each_mistake_has_its_sentence(run, run_dir, argument, sentence):
    code, _, err = run(argument)
    assert code == 2 and err.strip() == f"medu1: {sentence}"


def test_a_record_that_is_half_written_is_named(run, run_dir):
    (run_dir / "attempts/001/attempt.json").write_text('{"job_id": 17')
    code, _, err = run(str(run_dir))
    assert code == 2 and "attempts/001/attempt.json is not a record of an attempt" in err
