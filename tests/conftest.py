"""What holds for all tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from verl_medu1.cpu.collection import collect_seldom

# torch, verl and vLLM leave millions of objects, which the garbage collector would visit again and again.
collect_seldom()

# How long an example takes says something about the machine and what else it does, and nothing about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--third",
        type=int,
        choices=(0, 1, 2),
        help="run every third of the chosen tests, beginning with this one (CI takes turns with the long ones)",
    )


@pytest.hookimpl(trylast=True)  # after -m and -k have chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    third = config.getoption("--third")
    if third is not None:
        chosen = items[third::3]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


@pytest.fixture(scope="session", autouse=True)
def empty_working_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests run in an empty folder and with no Hugging Face cache, so that none reads what a user's commands left.

    None may leave anything there either.
    """
    folder = tmp_path_factory.mktemp("working-folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("huggingface")))
        yield
    assert not list(folder.iterdir()), "a test left these in the current folder"


@pytest.fixture(scope="session")
def with_chemistry(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which examples/chemistry is installed beside ours, from no index."""
    return _with_example("chemistry", tmp_path_factory)


@pytest.fixture(scope="session")
def with_calculator(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which examples/calculator is installed beside ours, from no index."""
    return _with_example("calculator", tmp_path_factory)


def _with_example(name: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp(name)
    # A copy, so that the build writes nothing into the checkout.
    shutil.copytree(Path(__file__).resolve().parents[1] / "examples" / name, folder / "source")
    target = folder / "installed"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"),
            *("--target", target, folder / "source"),
        ],
        check=True,
    )
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH", "")]))}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's data and model, both small."""
    from verl_medu1.cli.prepare import prepare
    from verl_medu1.models.tiny import read_warmup_texts, write_tiny_model

    out = tmp_path_factory.mktemp("inputs")
    prepare(["quickstart"], out / "data", train=64, warmup=50)
    write_tiny_model(read_warmup_texts(out / "data"), out / "model")
    return out


@pytest.fixture(scope="module")
def configure(inputs: Path):
    """Composes the quickstart's configuration with overrides."""
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import DictConfig, OmegaConf

    from verl_medu1.config.recipes import register_recipes

    register_recipes()
    GlobalHydra.instance().clear()
    fixed = [
        "recipe=quickstart",
        f"data.train_files={inputs}/data/train.parquet",
        f"data.val_files={inputs}/data/test.parquet",
        f"actor_rollout_ref.model.path={inputs}/model",
        f"run_dir={inputs}/run",
    ]
    with initialize_config_module("verl_medu1.config", version_base="1.3"):
        quickstart = compose("medu1", overrides=fixed)

        def get(*overrides: str) -> DictConfig:
            if any("." not in override.partition("=")[0] or override[0] == "+" for override in overrides):
                return compose("medu1", overrides=[*fixed, *overrides])
            # Values alone: Hydra takes a second to compose all of it again.
            config = quickstart.copy()
            for override in OverridesParser.create().parse_overrides(list(overrides)):
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
            return config

        yield get
