"""Entry points of other packages: found without an import, and told of by name where they can't be used."""

from pathlib import Path

import pytest

from verl_medu1 import extensions
from verl_medu1.config.recipes import recipe_names, register_recipes
from verl_medu1.data.sources import find_source, load_source


def install(folder: Path, name: str, entry_points: str, **modules: str) -> None:
    """A distribution as pip leaves it."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_nothing_is_imported_to_know_the_names(site):
    install(site, "one", "[medu1.sources]\nlaws = laws_a:READER\n", laws_a="raise RuntimeError('imported')")
    assert extensions.added(extensions.SOURCES)["laws"].value == "laws_a:READER"
    with pytest.raises(ValueError, match=r"one of medcalc.*, laws with =FILE"):
        find_source("nobody")


def test_a_package_that_cannot_be_loaded_is_named(site):
    install(site, "one", "[medu1.sources]\nlaws = laws_b:READER\n", laws_b="raise RuntimeError('no such statute')")
    with pytest.raises(
        ValueError, match=r"'laws' of medu1\.sources \(laws_b:READER\) can't be loaded \(no such statute"
    ):
        load_source("laws", "a.json")
    assert find_source("medqa")


def test_what_is_no_source_is_refused(site):
    install(site, "one", "[medu1.sources]\nlaws = laws_c:READER\n", laws_c="READER = 7")
    with pytest.raises(ValueError, match="is a int, no Reader or Generator"):
        find_source("laws")


def test_two_packages_with_one_name_are_refused(site):
    for name in ("one", "two"):
        install(site, name, f"[medu1.sources]\nlaws = laws_{name}:READER\n")
    with pytest.raises(ValueError, match="two packages add 'laws'"):
        find_source("laws")


def test_recipes_of_another_package(site):
    install(site, "one", "[medu1.recipes]\nlaw = law_recipes\n")
    for name in ("law-cpu", "quickstart"):
        (site / "law_recipes" / name).mkdir(parents=True)
        (site / "law_recipes" / name / "recipe.yaml").write_text("run_dir: outputs/law\n")
    (site / "law_recipes" / "__init__.py").touch()
    assert {"law-cpu", "quickstart"} <= set(recipe_names())
    with pytest.raises(ValueError, match="two recipes are called 'quickstart'"):
        register_recipes()
