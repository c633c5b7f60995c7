"""What holds for all tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something about the machine and what else it does, and nothing about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def with_chemistry(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which examples/chemistry is installed beside ours, from no index."""
    folder = tmp_path_factory.mktemp("chemistry")
    # A copy, so that the build writes nothing into the checkout.
    shutil.copytree(Path(__file__).resolve().parents[1] / "examples" / "chemistry", folder / "source")
    target = folder / "installed"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"),
            *("--target", target, folder / "source"),
        ],
        check=True,
    )
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH", "")]))}
