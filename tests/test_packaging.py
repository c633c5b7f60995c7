"""The wheel: everything `medu1` needs from any folder, and nothing that would get in another package's way."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    # A copy, so that the build writes nothing into the checkout.
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source],
        check=True,
    )
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_top_level_packages(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"verl_medu1", "reward_score"}


@pytest.mark.parametrize(
    "pattern",
    [
        "verl_medu1/config/medu1.yaml",
        "verl_medu1/config/machine/cpu.yaml",
        "verl_medu1/recipes/quickstart/recipe.yaml",
        "verl_medu1/data/prompts.yaml",
        "verl_medu1/plan/architectures.yaml",
        "verl_medu1/machine/gpus.yaml",
        "verl_medu1/plan/assumptions.yaml",
        "verl_medu1/data/calculators/notes.yaml",
        "verl_medu1/data/sources/pubmedqa_test_pmids.txt",
        "reward_score/word_roles.csv",
        "verl_medu1/report/templates/",
        "verl_medu1/evaluate/formats.yaml",
        "verl_medu1/evaluate/lm_eval_tasks/_medu1_yaml",
        "verl_medu1/evaluate/lm_eval_tasks/medu1_medqa.yaml",
        "verl_medu1/evaluate/lm_eval_tasks/utils.py",
        "verl_medu1/export/card.md.j2",
    ],
)
def test_package_data_is_included(wheel, pattern):
    assert any(name.startswith(pattern) for name in wheel.namelist())


def test_examples_are_no_part_of_it(wheel):
    assert not [name for name in wheel.namelist() if "examples" in name or "chemistry" in name]


def test_entry_points(wheel):
    name = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    text = wheel.read(name).decode()
    assert "medu1 = verl_medu1.plugin" in text
    assert "medu1 = verl_medu1.cli.app:main" in text


def test_a_supervised_recipe_is_a_file_of_its_folder(wheel):
    assert "verl_medu1/recipes/cold-start/sft.yaml" in wheel.namelist()
