"""The commands of the documentation are commands: their subcommands, options, keys and files exist."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from verl_medu1.cli.app import app
from verl_medu1.config.compose import compose_config
from verl_medu1.config.recipes import SFT, TRAIN, recipe_names

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "reward_score/README.md")),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("recipes/*/README.md"),
]
# Parts of others, and trl_step.py needs TRL.
PARTS = (
    "consultation_gap.py",
    "figures.py",
    "measure.py",
    "pictures.py",
    "published_rule.py",
    "rank_memory.py",
    "scale_commands.py",
    "scale_queue.py",
    "scale_step.py",
    "study_data.py",
    "study_plan.py",
    "study_tables.py",
    "trainings.py",
    "trl_step.py",
    "turn_cost_loop.py",
)
BENCHMARKS = [file for file in ROOT.glob("benchmarks/*.py") if file.name not in PARTS]
BENCHMARKS += [ROOT / "benchmarks" / "gpu" / name for name in ("bundle.py", "engine.py", "stack.py")]
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.M | re.S)
BENCHMARK = re.compile(r"`(?:python )?(benchmarks/[\w/]+\.py)")


def commands(program: str) -> list[str]:
    lines = [
        line.split(" # ")[0].strip()
        for page in PAGES
        for block in BLOCK.findall(page.read_text().replace("\\\n", " "))
        for line in block.splitlines()
    ]
    return sorted({line for line in lines if line.startswith(f"{program} ")})


@pytest.mark.parametrize("line", commands("make"))
def test_make_knows_the_target(line):
    subprocess.run(["make", "--dry-run", *shlex.split(line)[1:]], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("line", commands("medu1"))
def test_medu1_takes_the_arguments(line, with_chemistry):
    name, *arguments = shlex.split(line)[1:]
    if name in ("train", "sft"):
        if any("chemistry" in argument for argument in arguments):  # of a package that is installed for this test alone
            command = [sys.executable, "-m", f"verl_medu1.run.{name}", *arguments, "--cfg", "job"]
            subprocess.run(command, env=with_chemistry, check=True, capture_output=True, timeout=60)
        else:
            compose_config(arguments, {"train": TRAIN, "sft": SFT}[name])
        return
    command = typer.main.get_command(app).commands[name]
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    command.make_context(name, arguments)


@pytest.mark.parametrize("file", BENCHMARKS, ids=lambda file: file.name)
def test_each_benchmark_starts(file, monkeypatch):
    monkeypatch.syspath_prepend(str(file.parent))
    program = typer.Typer()
    program.command()(runpy.run_path(str(file))["main"])
    result = CliRunner().invoke(program, ["--help"])
    assert result.exit_code == 0 and "Usage" in result.output


def test_the_pages_are_read_and_the_benchmarks_they_name_exist():
    assert commands("make") and commands("medu1") and BENCHMARKS
    named = {name for page in PAGES for name in BENCHMARK.findall(page.read_text())}
    assert named and all((ROOT / name).is_file() for name in named)


def test_links_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)#]+)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), (page.name, link)


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "README.md").read_text()
    names = [str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")]
    assert [name for name in names if f"]({name})" not in index] == ["README.md"]


def test_the_recipes_of_the_readme_are_recipes():
    named = re.findall(r"^\| (`[a-z][^|]+`) \|[^|]+\|[^|]+\|$", (ROOT / "README.md").read_text(), re.M)
    names = [name for row in named for name in re.findall(r"`([^`]+)`", row)]
    assert len(names) > 5 and set(names) <= set(recipe_names())


def test_no_page_has_a_gap_where_a_table_belongs():
    assert not [line for page in PAGES for line in page.read_text().splitlines() if re.fullmatch("[A-Z]{4,}", line)]
