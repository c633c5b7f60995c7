"""`medu1 slurm` and `medu1 status` with a real Slurm, whose nodes have GPUs that it only counts. No job gets to run."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]
ROOT = Path(__file__).resolve().parents[2]
VIRTUAL = Path(__file__).parent / "cluster" / "virtual.py"
MEDU1 = [sys.executable, "-m", "verl_medu1.cli.app"]
SEVEN = "recipe=qwen2.5-7b-1x8h100-tp2-pp1"


def medu1(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*MEDU1, *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def slurm_conf(cluster) -> Iterator[str]:
    """SLURM_CONF of a cluster with GPUs, in a process of its own; `cluster` skips where none can be."""
    command = [sys.executable, str(VIRTUAL), "--nodes", "2", "--gpus", "8"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["SLURM_CONF"]
        process.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A user's folder: questions, a model, and site files."""
    folder = tmp_path_factory.mktemp("user")
    for arguments in (
        ["prepare", "--source", "quickstart", "--out", "outputs/quickstart/data"],
        ["model", "tiny", "--data", "outputs/quickstart/data", "--out", "outputs/quickstart/model"],
    ):
        done = medu1(folder, *arguments)
        assert done.returncode == 0, done.stderr
    node = {"cpus_per_node": 64, "memory_gib_per_node": 60, "signal_s": 60, "time": "10:00:00"}
    for name, differences in {
        "cpu": {"gpu": None},
        "gres": {},
        "per-node": {"gpu_option": "gpus-per-node"},
        "nowhere": {"gpu": None, "partition": "nowhere"},
        "later": {"gpu": None, "sbatch": ["--begin=now+1hour", "--comment=one hour"]},
    }.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(node | differences))
    return folder


QUESTIONS = [
    f"data.{key}_files=outputs/quickstart/data/{file}.parquet" for key, file in (("train", "train"), ("val", "test"))
]


@pytest.mark.parametrize(
    ("site", "arguments", "nodes"),
    [
        ("cpu", ["recipe=quickstart"], "2 processors on nodes node1 "),
        (
            "cpu",
            ["recipe=quickstart", "trainer.nnodes=2", "trainer.n_gpus_per_node=1"],
            "2 processors on nodes node[1-2] ",
        ),
        ("gres", [SEVEN, *QUESTIONS], "64 processors on nodes node1 "),
        ("per-node", [SEVEN, *QUESTIONS], "64 processors on nodes node1 "),
        ("gres", ["recipe=qwen3-8b-2x8h100-tp2-pp1-cp4", *QUESTIONS], "128 processors on nodes node[1-2] "),
    ],
)
def test_slurm_would_take_the_job(slurm_conf, folder, site, arguments, nodes):
    done = medu1(folder, "slurm", *arguments, "--site", f"{site}.yaml", "--test-only", SLURM_CONF=slurm_conf)
    assert done.returncode == 0, done.stderr
    assert "to start at" in done.stdout and nodes in done.stdout


PAGE = (ROOT / "docs" / "slurm.md").read_text()


@pytest.mark.parametrize("line", [line for line in PAGE.splitlines() if line.startswith("sbatch ")])
def test_slurm_would_take_the_pages_command(slurm_conf, line):
    command = ["sbatch", "--test-only", *shlex.split(line)[1:]]
    environment = os.environ | {"SLURM_CONF": slurm_conf}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "to start at" in done.stderr, done.stderr


def test_slurms_own_words_where_it_refuses(slurm_conf, folder):
    for mode in (["--test-only"], []):
        done = medu1(folder, "slurm", "recipe=quickstart", "--site", "nowhere.yaml", *mode, SLURM_CONF=slurm_conf)
        assert done.returncode == 2 and done.stderr.startswith("medu1: sbatch refuses: "), done.stderr
        assert "invalid partition" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_job_that_waits(slurm_conf, folder):
    """Submitted, shown, not submitted a second time, cancelled."""
    command = ["slurm", "recipe=quickstart", "--site", "later.yaml"]
    done = medu1(folder, *command, SLURM_CONF=slurm_conf)
    assert done.returncode == 0, done.stderr
    number = done.stdout.split("Job ")[1].split()[0]
    assert f"medu1 status {number}" in done.stdout
    environment = os.environ | {"SLURM_CONF": slurm_conf}
    shown = subprocess.run(["scontrol", "show", "job", number], env=environment, capture_output=True, text=True).stdout
    for part in ("JobName=quickstart", "NumCPUs=2", "TimeLimit=10:00:00", "Comment=one hour", f"WorkDir={folder}"):
        assert part in shown, shown
    assert f"StdOut={folder}/outputs/quickstart/slurm-{number}.out" in shown
    for argument in (number, "outputs/quickstart"):
        done = medu1(folder, "status", argument, SLURM_CONF=slurm_conf)
        assert done.returncode == 0 and f"Job: {number}, PENDING (BeginTime)" in done.stdout, done.stderr
    # From another folder Slurm says where the run is.
    done = medu1(folder.parent, "status", number, SLURM_CONF=slurm_conf)
    assert f"Run: {folder}/outputs/quickstart" in done.stdout, done.stderr
    done = medu1(folder, *command, SLURM_CONF=slurm_conf)
    assert done.returncode == 2 and f"job {number} works there already; `scancel {number}`" in done.stderr
    subprocess.run(["scancel", number], env=environment, check=True)
    done = medu1(folder, "status", number, SLURM_CONF=slurm_conf)
    assert f"Job: {number}, not in the queue" in done.stdout


def test_slurm_reads_a_folder_with_a_space(slurm_conf, folder):
    arguments = ["recipe=quickstart", *QUESTIONS, "actor_rollout_ref.model.path=outputs/quickstart/model"]
    done = medu1(folder, "slurm", *arguments, "run_dir='outputs/a b'", "--site", "later.yaml", SLURM_CONF=slurm_conf)
    assert done.returncode == 0, done.stderr
    number = done.stdout.split("Job ")[1].split()[0]
    environment = os.environ | {"SLURM_CONF": slurm_conf}
    shown = subprocess.run(["scontrol", "show", "job", number], env=environment, capture_output=True, text=True).stdout
    subprocess.run(["scancel", number], env=environment, check=True)
    assert f"StdOut={folder}/outputs/a b/slurm-{number}.out\n" in shown, shown
    assert f"Command={folder}/outputs/a b/job.sbatch\n" in shown


def test_the_preflight_of_a_job_names_the_bad_node(slurm_conf, folder, wait_for):
    """The GPUs of these nodes are Slurm's only: facts on the node, the judgement, and the end of the job are real.

    Submitted twice, the run has both jobs' attempts.
    """
    arguments = ["slurm", SEVEN, *QUESTIONS, "run_dir=outputs/bad", "--site", "gres.yaml"]
    for attempt in ("000", "001"):
        done = medu1(folder, *arguments, SLURM_CONF=slurm_conf)
        assert done.returncode == 0, done.stderr
        number = done.stdout.split("Job ")[1].split()[0]
        logs = folder / "outputs/bad/attempts" / attempt
        record = logs / "attempt.json"
        assert wait_for(lambda record=record: record.is_file() and json.loads(record.read_text())["ended"], 600)
        ended = json.loads(record.read_text())
        assert ended["exit_code"] == 2 and str(ended["job_id"]) == number
        assert ended["reason"].startswith("preflight: node1 has 0 GPUs for the job, and trainer.n_gpus_per_node is 8")
        row = next(line for line in (logs / "preflight.log").read_text().splitlines() if "│ node1" in line)
        assert "GPUs, packages" in row
        said = medu1(folder, "status", number, SLURM_CONF=slurm_conf).stdout
        assert f"│ {attempt} " in said and "preflight: node1 has 0 GPUs for the job" in said
        # Its number waits in the queue until Slurm has written it off.
        assert wait_for(
            lambda number=number: "not in the queue" in medu1(folder, "status", number, SLURM_CONF=slurm_conf).stdout,
            600,
        )


def test_the_stages_of_a_pipeline_wait_for_each_other(slurm_conf, folder):
    """Four jobs, shown; no second time while one of them waits; without their first they are cancelled."""
    environment = os.environ | {"SLURM_CONF": slurm_conf}
    command = [
        *("pipeline", "recipe=wingpt-cpu", "run_dir=outputs/stages", "--slurm", "--site", "later.yaml"),
        *("verifier:scoring.judge.base_url=http://127.0.0.1:8000/v1", "verifier:scoring.judge.model=judge"),
    ]
    (folder / "outputs" / "stages").mkdir()
    for name in ("data", "model"):
        (folder / "outputs" / "stages" / name).symlink_to(folder / "outputs" / "quickstart" / name)
    # The questions of this folder have exact budgets, for which the recipe's penalty is not.
    command += ["rules:algorithm.length_penalty.name=relative_distance"]
    done = medu1(folder, *command, SLURM_CONF=slurm_conf)
    assert done.returncode == 0, done.stderr
    jobs = dict(line.split(": job ") for line in done.stdout.splitlines() if ": job " in line)
    assert list(jobs) == ["cold-start", "rules", "verifier", "merged"]
    numbers = list(jobs.values())
    for number, before in zip(numbers, [None, *numbers], strict=False):
        shown = subprocess.run(["scontrol", "show", "job", number], env=environment, capture_output=True, text=True)
        assert ("Dependency=(null)" if before is None else f"Dependency=afterok:{before}") in shown.stdout, shown.stdout
    shown = medu1(folder, "status", "outputs/stages", SLURM_CONF=slurm_conf).stdout
    assert all(f"{number}, PENDING" in shown for number in numbers), shown
    assert shown.count("waits") == 4 and shown.count("(Dependency)") == 3
    done = medu1(folder, *command, SLURM_CONF=slurm_conf)
    assert done.returncode == 2 and f"job {numbers[0]} works there already" in done.stderr
    subprocess.run(["scancel", *numbers], env=environment, check=True)
    shown = medu1(folder, "status", "outputs/stages", SLURM_CONF=slurm_conf).stdout
    assert shown.count("not in the queue") == 4
