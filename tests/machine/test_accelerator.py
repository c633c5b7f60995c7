"""Where there is an accelerator, nothing of verl_medu1.cpu is imported."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What verl asks to find out whether there is a GPU.
SMI = "#!/bin/sh\necho 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0)'\n"
PROGRAM = """
import importlib, sys
from types import SimpleNamespace
import verl  # loads its plugins, and ours with them
import vllm.platforms
from verl_medu1.machine.accelerator import has_accelerator
if not {is_cpu}:
    vllm.platforms._current_platform = SimpleNamespace(is_cpu=lambda: False)
for plugin in {plugins}:
    module, _, function = plugin.partition(":")
    getattr(importlib.import_module(module), function)()
cpu = sorted(name for name in sys.modules if name.startswith("verl_medu1.cpu"))
print(has_accelerator(), "verl_medu1.plugin" in sys.modules, cpu)
"""


def imported(tmp_path: Path, is_cpu: bool) -> list[str]:
    """What a process that loads the plugins of verl and vLLM prints: GPU or not, our plugin, modules of cpu/."""
    if not is_cpu:
        (tmp_path / "nvidia-smi").write_text(SMI)
        (tmp_path / "nvidia-smi").chmod(0o755)
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    program = PROGRAM.format(is_cpu=is_cpu, plugins=list(groups["vllm.general_plugins"].values()))
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=110, env=os.environ | {"PATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split(maxsplit=2)


def test_with_a_gpu_nothing_of_it_is_imported(tmp_path):
    assert imported(tmp_path, is_cpu=False) == ["True", "True", "[]"]


def test_without_one_it_is(tmp_path):
    found = imported(tmp_path, is_cpu=True)
    assert found[:2] == ["False", "True"]
    assert "'verl_medu1.cpu.vllm_plugin'" in found[2] and "'verl_medu1.cpu.patches'" in found[2]


def test_a_plugin_that_fails_is_told(tmp_path):
    """verl goes on without a plugin that raises, and says so at the level debug."""
    program = """
import sys
from verl_medu1.machine import accelerator
def fail():
    raise RuntimeError("something moved")
accelerator.has_accelerator = fail
import verl
print("verl goes on")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert done.stdout == "verl goes on\n"
    assert "verl's plugin medu1 can't be loaded, and verl runs without it:" in done.stderr
    assert "RuntimeError: something moved" in done.stderr
