"""Names of a run's parts, and what the watch says of processes that are no actors, shown with real processes."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from verl_medu1.run.parts import PartWatch, part_name


@pytest.mark.parametrize(
    ("class_name", "name", "part"),
    [
        ("TaskRunnerV1", "", "trainer"),
        ("WorkerDict", "a1B2c3WorkerDict_0:1", "actor worker rank 1"),
        ("WorkerDict", "a1B2c3WorkerDict_2:5", "actor worker rank 21"),
        ("vLLMHttpServer", "vllm_server_3_0", "vLLM server 3"),
        ("vLLMHttpServer", "vllm_server_3_1", "vLLM server 3 on its node 1"),
        ("vLLMHttpServer", "vllm_server_reward_0_0", "vLLM server 0 of the pool of reward models"),
        ("RewardLoopWorker", "reward_loop_worker_7", "reward worker 7"),
        ("AgentLoopWorkerTQ", "agent_loop_worker_2_0123abcd", "agent loop worker 2"),
        ("TransferQueueController", "TransferQueueController", "TransferQueue controller"),
        ("SimpleStorageUnit", "TransferQueueStorageUnit#4", "TransferQueue storage unit 4"),
        ("Another", "", "Ray actor Another"),
        ("Another", "named", "Ray actor named"),
    ],
)
def test_a_part_has_the_name_that_its_user_knows(class_name, name, part):
    assert part_name(class_name, name, workers_per_node=8) == part


@pytest.mark.parametrize(
    ("title", "sentence"),
    [
        ("raylet", "Ray's raylet (process {}) died"),
        ("gcs_server", "Ray's GCS server (process {}) died"),
        ("VLLM::EngineCore", "vLLM engine, VLLM::EngineCore (process {}) died"),
        ("another", None),
    ],
)
def test_a_process_that_is_no_actor_is_missed(tmp_path, title, sentence):
    program = shutil.copy(shutil.which("sleep"), tmp_path / title)
    watch = PartWatch(workers_per_node=1)
    assert watch.look() is None
    process = subprocess.Popen([program, "100"])
    assert watch.look() is None
    process.kill()
    sentence = sentence and sentence.format(process.pid)
    assert watch.last_look(patience_s=1.0) == sentence
    process.wait()
    assert watch.look() == sentence


def test_a_dying_process_keeps_the_name_it_was_first_seen_with():
    """A process that is being ended has lost its command line, and with it all but 15 characters of its name."""
    title = "import setproctitle; setproctitle.setproctitle('{}'); print(flush=True); input();"
    code = title.format("VLLM::EngineCore") + title.format("VLLM::EngineCore"[:15])
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    watch = PartWatch(workers_per_node=1)
    assert watch.look() is None
    print(file=process.stdin, flush=True)
    process.stdout.readline()
    assert watch.look() is None
    process.kill()
    assert watch.last_look() == f"vLLM engine, VLLM::EngineCore (process {process.pid}) died"
    process.communicate()


def test_a_process_that_died_before_the_first_look_is_missed(tmp_path):
    watch = PartWatch(workers_per_node=1)
    process = subprocess.Popen([shutil.copy(shutil.which("sleep"), tmp_path / "raylet"), "100"])
    process.kill()
    assert watch.last_look(patience_s=1.0) == f"Ray's raylet (process {process.pid}) died"
    process.wait()


def test_what_an_engine_starts_has_its_name_for_a_moment_and_is_not_missed():
    code = (
        "import os, setproctitle, sys, time; setproctitle.setproctitle('VLLM::EngineCore'); child = os.fork()\n"
        "if child: print(child, flush=True)\n"
        "time.sleep(100)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    watch = PartWatch(workers_per_node=1)
    assert watch.look() is None
    os.kill(child, signal.SIGKILL)
    assert watch.last_look(patience_s=0.5) is None
    process.kill()
    assert watch.last_look(patience_s=1.0) == f"vLLM engine, VLLM::EngineCore (process {process.pid}) died"
    process.wait()
