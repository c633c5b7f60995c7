"""Transformer Engine is imported on a machine whose CUDA toolkit has libraries of another version."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu_stack.conftest import require

pytestmark = pytest.mark.gpu_stack

# The import, as a training does it or not, and which libraries are loaded then.
CODE = """
import sys
if sys.argv[1] == "ours":
    from verl_medu1.verl_compat import te_libraries
    te_libraries.install()
import transformer_engine.pytorch
names = {line.split()[-1] for line in open("/proc/self/maps") if "libcudnn.so" in line}
print(*sorted(names), sep="\\n")
"""


@pytest.fixture
def toolkit(tmp_path: Path) -> Path:
    """A CUDA toolkit with a cuDNN and others that have nothing in them."""
    require("transformer-engine-torch", "Transformer Engine's part for torch")
    (tmp_path / "lib64").mkdir()
    for name, number in (("cudnn", 9), ("nvrtc", 13), ("curand", 10)):
        library = tmp_path / "lib64" / f"lib{name}.so"
        soname = f"-Wl,-soname,lib{name}.so.{number}"
        subprocess.run(["cc", "-shared", "-x", "c", "/dev/null", soname, "-o", library], check=True)
    return tmp_path


def test_it_takes_those_of_its_environment(toolkit):
    environment = os.environ | {"CUDA_HOME": str(toolkit)}
    command = [sys.executable, "-c", CODE]
    bare = subprocess.run([*command, "bare"], env=environment, capture_output=True, text=True, timeout=300)
    assert bare.returncode or str(toolkit) in bare.stdout, "Transformer Engine no longer prefers the toolkit's"
    ours = subprocess.run([*command, "ours"], env=environment, capture_output=True, text=True, timeout=300)
    assert ours.returncode == 0, ours.stderr[-2000:]
    assert ours.stdout.split() and all("site-packages/nvidia/cudnn" in name for name in ours.stdout.split())
