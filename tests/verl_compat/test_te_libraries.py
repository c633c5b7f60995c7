"""Transformer Engine is imported after torch, and told where its environment's libraries are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from verl_medu1.verl_compat.te_libraries import point_to_wheels

NAMES = ("CUDNN_HOME", "NVRTC_HOME", "CURAND_HOME", "JAX_PLATFORMS")


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ((), {}),
        (("cudnn",), {"CUDNN_HOME": "cudnn"}),
        (("cudnn", "cu13"), {"CUDNN_HOME": "cudnn", "NVRTC_HOME": "cu13", "CURAND_HOME": "cu13"}),
    ],
)
def test_only_libraries_that_are_there_are_named(tmp_path, folders, expected):
    for folder in folders:
        (tmp_path / "nvidia" / folder / "lib").mkdir(parents=True)
    point_to_wheels(tmp_path)
    found = {name: os.environ[name] for name in NAMES[:3] if name in os.environ}
    assert found == {name: str(tmp_path / "nvidia" / folder) for name, folder in expected.items()}


def test_what_the_user_says_stays(tmp_path, monkeypatch):
    (tmp_path / "nvidia" / "cudnn" / "lib").mkdir(parents=True)
    monkeypatch.setenv("CUDNN_HOME", "/opt/cudnn")
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    point_to_wheels(tmp_path)
    assert (os.environ["CUDNN_HOME"], os.environ["JAX_PLATFORMS"]) == ("/opt/cudnn", "cuda")


OURS = "from verl_medu1.verl_compat import te_libraries; te_libraries.install()"


@pytest.mark.parametrize("first", ["import verl", OURS])
def test_it_is_prepared_before_its_import(tmp_path, first):
    package = tmp_path / "transformer_engine"
    package.mkdir()
    code = "import os, sys\nprint('seen', 'torch' in sys.modules, os.environ['JAX_PLATFORMS'])\n"
    (package / "__init__.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", f"{first}\nimport transformer_engine"],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert "seen True cpu" in done.stdout
