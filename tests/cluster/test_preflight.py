"""The preflight: each node's facts by a real process, and each thing that can differ, with the bad node named."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from verl_medu1.cluster.node_checks import needed_packages, problems_of
from verl_medu1.machine.facts import Facts, GPUFacts, node_facts
from verl_medu1.machine.processors import given_processors
from verl_medu1.plan.architecture import find_architecture
from verl_medu1.plan.settings import Settings

COMMAND = [sys.executable, "-m", "verl_medu1.cluster.preflight"]
PACKAGES = {"Python": "3.12.3", "verl-medu1": "0.1.0", "verl": "0.9.1", "torch": "2.11.0", "vllm": "0.24.0"}
PACKAGES |= {"ray": "2.60.0", "transformers": "5.9.0", "megatron-core": "0.18.2", "megatron-bridge": "0.5.1"}
H100 = GPUFacts("NVIDIA H100 80GB HBM3", "580.65.06", 81559, (9, 0))
# A node as the recipes for GPUs want it.
GOOD = Facts(
    host="node1",
    time=1000.0,
    gpus=[H100] * 8,
    gpu_failure=None,
    packages=PACKAGES,
    cuda="13.0",
    transformer_engine="",
    apex=False,
    flash_attn=False,
    interface="ib0",
    address="10.0.0.1",
    interfaces=["eth0", "ib0", "lo"],
    busy_ports=[],
    run_dir="/shared/run",
    run_dir_writable=True,
    run_dir_gib=5000.0,
    scratch="/tmp",
    scratch_writable=True,
    scratch_gib=500.0,
    shm_gib=500.0,
    memory_gib=900.0,
    cpus=96,
)
MODEL = find_architecture("Qwen2.5-7B-Instruct")
# As config/engine_on/gpu_megatron.yaml.
SETTINGS = Settings(nodes=3, tp=2, accumulation_fusion=False, attention="fused")
FP8 = replace(
    SETTINGS,
    fp8="hybrid",
    fp8_recipe="blockwise",
    optimizer_fp8_recipe="blockwise",
    environment={"NVTE_FP8_BLOCK_SCALING_FP32_SCALES": "1"},
)
A100 = GPUFacts("NVIDIA A100-SXM4-80GB", "580.65.06", 81920, (8, 0))


def judged(bad: Facts, settings: Settings = SETTINGS, **others) -> list[str]:
    """Sentences about three nodes, of which the second is bad."""
    nodes = [GOOD, replace(bad, host="node2"), replace(GOOD, host="node3")]
    needed = needed_packages(settings)
    found = problems_of(nodes, settings, MODEL, needed, started=990.0, now=1010.0, **others)
    assert {problem.host for problem in found} <= {"node2"}
    return [problem.sentence for problem in found]


def test_good_nodes_have_no_problem():
    assert judged(GOOD) == judged(GOOD, FP8) == []


@pytest.mark.parametrize(
    ("changes", "settings", "sentence"),
    [
        ({"gpus": [H100] * 7}, SETTINGS, "node2 has 7 GPUs for the job, and trainer.n_gpus_per_node is 8"),
        (
            {"gpus": [], "gpu_failure": "no driver"},
            SETTINGS,
            "node2: nvidia-smi fails (no driver); have its driver fixed",
        ),
        ({"gpus": [A100] * 8}, SETTINGS, "node2 has GPU NVIDIA A100-SXM4-80GB, and the other nodes have NVIDIA H100"),
        (
            {"gpus": [replace(H100, driver="570.1")] * 8},
            SETTINGS,
            "node2 has driver 570.1, and the other nodes have 580",
        ),
        (
            {"packages": PACKAGES | {"torch": "2.10.0"}},
            SETTINGS,
            "node2 has torch 2.10.0, and the other nodes have 2.11.0",
        ),
        ({"packages": PACKAGES | {"Python": "3.12.1"}}, SETTINGS, "node2 has Python 3.12.1, and the other"),
        ({"packages": PACKAGES | {"vllm": None}}, SETTINGS, "node2 lacks vllm; run `medu1 doctor` there"),
        ({"packages": PACKAGES | {"verl": "0.8.0"}}, SETTINGS, "node2 has verl 0.8.0, and this package extends 0.9.1"),
        (
            {"transformer_engine": None},
            SETTINGS,
            "node2: actor_rollout_ref.actor.strategy is 'megatron', and Transformer",
        ),
        ({"transformer_engine": "undefined symbol: x"}, FP8, "(importing Transformer Engine: undefined symbol: x)"),
        ({"gpus": [A100] * 8}, FP8, "needs compute capability 9.0 or more, and the GPU has 8.0"),
        ({"cuda": "12.8"}, FP8, "which needs CUDA 12.9 or more, and here is 12.8"),
        (
            {"address": None},
            SETTINGS,
            "node2 has no IPv4 address on interface 'ib0'; set interface in the site file to one",
        ),
        ({"busy_ports": [10010]}, SETTINGS, "node2 has port 10010 of the job's in use"),
        ({"run_dir_writable": False}, SETTINGS, "node2 can't write to run_dir '/shared/run'"),
        ({"run_dir_gib": 100.0}, SETTINGS, "node2 has 100.0 GiB free in run_dir '/shared/run', and 114.5 are needed"),
        ({"scratch_gib": 0.5}, SETTINGS, "node2 has 0.5 GiB free in scratch '/tmp'"),
        ({"shm_gib": 0.0625}, SETTINGS, "node2 has 64 MiB free in /dev/shm, and 256 are needed"),
        ({"memory_gib": 16.0}, SETTINGS, "node2 has 16 GiB of memory for the job, and what is offloaded takes"),
        ({"time": 950.0}, SETTINGS, "node2 has a clock that is at least 40 s behind"),
        ({"time": 1030.0}, SETTINGS, "node2 has a clock that is at least 20 s ahead"),
    ],
)
def test_each_problem_names_the_node_and_the_way_out(changes, settings, sentence):
    found = judged(replace(GOOD, **changes), settings)
    assert any(sentence in one for one in found), found


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            replace(SETTINGS, accumulation_fusion=None),
            "gradient_accumulation_fusion is not set, so that Megatron-Bridge",
        ),
        (replace(SETTINGS, attention="flash"), "attention_backend is 'flash', and flash-attn is not installed"),
    ],
)
def test_kernels_that_a_run_uses_must_be_there(settings, sentence):
    (problem,) = problems_of([GOOD], settings, MODEL)
    assert problem.sentence.startswith("node1: ") and sentence in problem.sentence


def test_with_lora_the_optimizer_takes_little_host_memory():
    """All of a 70B's states take 789 GiB, its adapters' 2.3."""
    large, one = find_architecture("Llama-3.1-70B-Instruct"), replace(SETTINGS, nodes=1, tp=8)
    sentences = [problem.sentence for problem in problems_of([replace(GOOD, memory_gib=500.0)], one, large)]
    assert [sentence for sentence in sentences if "what is offloaded takes 920" in sentence]
    adapters = replace(one, lora_rank=16)
    assert problems_of([replace(GOOD, memory_gib=500.0)], adapters, large) == []


def test_where_two_nodes_differ_the_head_counts():
    other = replace(GOOD, host="node2", packages=PACKAGES | {"ray": "2.59.0"})
    assert [problem.host for problem in problems_of([GOOD, other], SETTINGS, None)] == ["node2"]


def test_the_facts_of_this_machine(tmp_path):
    """Of a process: what importlib and the kernel say, without torch."""
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = os.environ | {"MEDU1_PORT_BASE": str(port), "SLURMD_NODENAME": "node7"}
        arguments = [
            "--out",
            tmp_path / "facts",
            "--interface",
            "lo",
            "--shared",
            tmp_path,
            "--scratch",
            tmp_path / "none",
        ]
        before = time.time()
        subprocess.run([*COMMAND, "facts", *arguments], check=True, env=environment, timeout=300)
    found = json.loads((tmp_path / "facts/node7.json").read_text())
    assert found["address"] == "127.0.0.1" and "lo" in found["interfaces"]
    assert port in found["busy_ports"] and len(found["busy_ports"]) < 9
    assert before <= found["time"] <= time.time()
    assert found["packages"]["verl"] == "0.9.1" and found["packages"]["Python"] == sys.version.split()[0]
    assert found["run_dir_writable"] and not found["scratch_writable"] and found["scratch_gib"] == 0
    assert found["memory_gib"] > 1 and found["cpus"] == given_processors()


def test_the_memory_is_what_slurm_gave(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1024")
    assert node_facts("lo", tmp_path, tmp_path).memory_gib == 1.0


def test_facts_need_no_torch():
    code = "import sys, verl_medu1.cluster.preflight; print(sorted({'torch', 'verl', 'vllm'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def attempt(tmp_path) -> Path:
    """Facts of this machine under two names, as an attempt's folder has them."""
    folder = tmp_path / "000" / "preflight"
    arguments = ["--out", folder, "--interface", "lo", "--shared", tmp_path, "--scratch", tmp_path]
    started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    subprocess.run([*COMMAND, "facts", *arguments], check=True, env=os.environ | {"SLURMD_NODENAME": "node1"})
    found = json.loads((folder / "node1.json").read_text())
    (folder / "node2.json").write_text(json.dumps(found | {"host": "node2"}))
    (folder.parent / "attempt.json").write_text(json.dumps({"started": started}))
    return folder


def judge(folder: Path, *overrides: str, nodes: int = 2) -> subprocess.CompletedProcess[str]:
    arguments = ["--facts", folder, "--nodes", str(nodes), "recipe=quickstart", "trainer.nnodes=2", *overrides]
    environment = os.environ | {"MEDU1_HOSTS": " ".join(f"node{number}" for number in range(1, nodes + 1))}
    return subprocess.run([*COMMAND, "judge", *arguments], capture_output=True, text=True, env=environment, timeout=300)


def test_two_good_nodes_pass(attempt):
    done = judge(attempt)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "node1" in done.stdout and "node2" in done.stdout and "127.0.0.1" in done.stdout


def test_a_bad_node_is_named_in_the_table_and_in_the_last_line(attempt):
    file = attempt / "node2.json"
    found = json.loads(file.read_text())
    found["packages"]["ray"] = "2.59.0"
    found["time"] -= 3600
    file.write_text(json.dumps(found))
    done = judge(attempt)
    assert done.returncode == 1
    row = next(line for line in done.stdout.splitlines() if "node2" in line)
    assert "packages, clock" in row
    assert done.stdout.splitlines()[-1].startswith("node2 has ray 2.59.0") and "(1 more above)" in done.stdout


def test_a_node_with_too_few_processors_for_rays_actors_is_named(attempt):
    for name, cpus in (("node1", 9), ("node2", 8)):
        file = attempt / f"{name}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"cpus": cpus}))
    assert judge(attempt).returncode == 0  # the recipe's own number counts
    done = judge(attempt, "ray_kwargs.ray_init.num_cpus=null")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("node2 has 8 processors, and the run asks Ray for 9 on a node")


def test_the_gpus_of_a_pool_are_counted(attempt):
    """Ray would start with as many GPUs as the run takes, on a node that has fewer."""
    gpu = asdict(GOOD.gpus[0])
    for name in ("node1", "node2"):
        file = attempt / f"{name}.json"
        found = json.loads(file.read_text()) | {"gpus": [gpu] * (2 if name == "node1" else 3), "gpu_failure": None}
        file.write_text(json.dumps(found))
    done = judge(attempt, "trainer.device=cuda", "judge=pool", "reward.reward_model.model_path=/models/judge")
    assert "node1 has 2 GPUs for the job, and trainer.n_gpus_per_node is 2, with 1 more for the pool" in done.stdout
    assert "node2 has 3 GPUs" not in done.stdout


def test_a_node_that_left_no_facts_is_named(attempt):
    (attempt / "node2.json").unlink()
    done = judge(attempt)
    assert done.returncode == 2 and "node2 left no facts in" in done.stderr and "--exclude=node2" in done.stderr


def test_a_job_with_another_number_of_nodes_is_refused(attempt):
    shutil.copy(attempt / "node1.json", attempt / "node3.json")
    (attempt / "node3.json").write_text((attempt / "node3.json").read_text().replace("node1", "node3"))
    done = judge(attempt, nodes=3)
    assert done.returncode == 2 and "trainer.nnodes is 2, and the job has 3 nodes" in done.stderr
