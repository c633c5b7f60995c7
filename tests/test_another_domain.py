"""examples/chemistry: small, built on public names only, and known to every command once it is installed."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "chemistry"
PAGE = (ROOT / "docs" / "another-domain.md").read_text()
FILES = [file for file in EXAMPLE.rglob("*") if file.is_file() and file.suffix in (".py", ".toml", ".yaml")]
OURS = ("reward_score", "verl_medu1")


def medu1(env: dict[str, str], *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "verl_medu1.cli.app", *map(str, arguments)]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def prepared(with_chemistry, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("data")
    prompts = EXAMPLE / "prompts.yaml"
    medu1(with_chemistry, "prepare", "--source", "combustion=200", "--prompts", prompts, "--warmup", 32, "--out", out)
    return out


def test_it_has_at_most_a_hundred_lines():
    lines = [line for file in FILES for line in file.read_text().splitlines() if line.strip()]
    assert 50 < len(lines) <= 100


def test_it_uses_documented_modules_and_no_private_name():
    imported = set()
    for file in EXAMPLE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
                imported |= {(node.module, alias.name) for alias in node.names}
            if isinstance(node, ast.Import):
                assert not [alias for alias in node.names if alias.name.split(".")[0] in OURS]
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_"), (file, node.attr)
    assert imported
    for module, name in imported:
        assert not any(part.startswith("_") for part in [*module.split("."), name]), (module, name)
        row = next((line for line in PAGE.splitlines() if line.startswith(f"| `{module}` |")), None)
        assert row and f"`{name}`" in row, f"{module}.{name} is not documented"


def test_gold_answers_are_right(with_chemistry, prepared):
    for split in ("train", "test"):
        assert "gold answers are right" in medu1(with_chemistry, "validate", prepared / f"{split}.parquet").stdout


def test_what_is_prepared(prepared):
    rows = pq.read_table(prepared / "train.parquet").to_pylist()
    assert {row["ability"] for row in rows} == {"chemical_equation"}
    assert rows[0]["prompt"][0]["content"].startswith("You are a careful chemist")
    source = json.loads((prepared / "manifest.json").read_text())["sources"]["combustion"]
    assert source["licence"] == "Apache-2.0" and source["read"] == 200 and source["unscorable"] == []


# (answer, whether it is right)
ANSWERS = [
    ("CH4 + 2 O2 -> CO2 + 2 H2O", True),
    ("2O2 + CH4 = 2H2O + CO2", True),
    ("CH₄ + 2 O₂ → CO₂ + 2 H₂O", True),
    ("2 CH4 + 4 O2 -> 2 CO2 + 4 H2O", False),  # not the smallest
    ("CH4 + O2 -> CO2 + H2O", False),
    ("C + O2 -> CO2", False),
    ("0 CH4 + O2 -> CO2 + H2O", False),
    ("CH4 + 2 O2", False),
    ("CH4 + 2 O2 -> CO2 + 2 H2O -> CO2", False),
    ("", False),
    ("+" * 10_000, False),
    ("A" * 1_000_000, False),
]


def test_verdicts(with_chemistry, tmp_path):
    row = {"data_source": "combustion", "ground_truth": "CH4 + 2O2 -> CO2 + 2H2O"}
    rows = [row | {"response": f"<think>So.</think><answer>{answer}</answer>"} for answer, _ in ANSWERS]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    scored = [json.loads(line) for line in medu1(with_chemistry, "score", file, "--json").stdout.splitlines()]
    assert not any(one["error"] for one in scored)
    for one, (answer, right) in zip(scored, ANSWERS, strict=True):
        assert one["acc"] == right, answer[:50]


def test_the_recipe_composes(with_chemistry):
    shown = medu1(with_chemistry, "train", "recipe=chemistry-cpu", "--cfg", "job", "--resolve").stdout
    assert re.search(r"train_files: outputs/chemistry/data/train\.parquet", shown)
    assert "tensor_model_parallel_size: 2" in shown and "experiment_name: chemistry-cpu" in shown


def test_without_it_nothing_of_it_is_known(tmp_path):
    import os

    done = medu1(dict(os.environ), "prepare", "--source", "combustion=9", "--out", tmp_path, check=False)
    assert done.returncode == 2 and "there is no source 'combustion'" in done.stderr


def test_a_number_that_is_none_is_told(with_chemistry, tmp_path):
    done = medu1(with_chemistry, "prepare", "--source", "combustion=many", "--out", tmp_path, check=False)
    assert done.returncode == 2 and "write combustion=N" in done.stderr and "Traceback" not in done.stderr
    done = medu1(with_chemistry, "prepare", "--source", "combustion=9", "--out", tmp_path, check=False)
    assert done.returncode == 2 and "instructions.chemical_equation" in done.stderr
