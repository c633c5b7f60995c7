"""examples/calculator: small, built on documented names, and an environment for every command once it is installed."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "calculator"
PAGE = (ROOT / "docs" / "another-domain.md").read_text()
# Holds one conversation from outside: the replies, the counters, and what the checks before a run say of it.
CONVERSATION = """
import asyncio, json, sys
from verl_medu1.environments.environment import make_environment
session = make_environment("calculator", {}).start({})
replies = [asyncio.run(session.step(turn)) for turn in json.load(sys.stdin)]
print(json.dumps([replies, session.calls, session.invalid, session.failed, session.told("5"), dict(session.facts())]))
"""


def python(env: dict[str, str], *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=env, input=given, capture_output=True, text=True, timeout=100)


def hold(env: dict[str, str], turns: list[str]) -> list[object]:
    done = python(env, "-c", CONVERSATION, given=json.dumps(turns))
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_it_has_about_sixty_lines_and_uses_documented_names() -> None:
    files = [file for file in EXAMPLE.rglob("*") if file.suffix in (".py", ".toml")]
    assert len([line for file in files for line in file.read_text().splitlines() if line.strip()]) <= 75
    for file in EXAMPLE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("verl_medu1", "reward_score")):
                row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{node.module}` |"))
                assert all(f"`{alias.name}`" in row for alias in node.names)


def calc(text: str) -> str:
    return f"<think>a</think><calc>{text}</calc>"


HINT = "Write one calculation with numbers, or the answer."


def test_it_calculates_and_takes_nothing_else(with_calculator: dict[str, str]) -> None:
    right = {"70 / 1.75 ** 2": "22.8571", "-(3 - 5)": "2", "1e3*2": "2000"}
    hostile = [
        "9**9**9**9",
        "1/0",
        "(-1)**0.5",
        "__import__('os')",
        "x",
        "1,2",
        "'a'*9",
        "True",
        "",
        "(" * 150,
        "1" * 300,
    ]
    replies, calls, invalid, failed, told, facts = hold(with_calculator, [calc(text) for text in [*right, *hostile]])
    assert replies == [*right.values(), *[HINT] * len(hostile)]
    assert (calls, invalid, failed, told, facts) == (len(right), len(hostile), 0, "", {})
    others = ["<think><calc>1</calc></think>", calc("1") + "<calc>+2</calc>", "<think>a</think><answer>5</answer>"]
    assert hold(with_calculator, others)[0] == [HINT, HINT, None]


@pytest.mark.parametrize(("settings", "sentence"), [((), ""), (("+episodes.settings.a=1",), "the calculator has none")])
def test_a_run_finds_it(
    with_calculator: dict[str, str], inputs: Path, tmp_path: Path, settings: tuple[str, ...], sentence: str
) -> None:
    loop = "actor_rollout_ref.rollout.agent.default_agent_loop=medu1_episode"
    keys = {
        "run_dir": tmp_path / "run",
        "data.train_files": inputs / "data" / "train.parquet",
        "data.val_files": inputs / "data" / "test.parquet",
        "actor_rollout_ref.model.path": inputs / "model",
        "episodes.environment": "calculator",
        "episodes.max_turn_tokens": 40,
        "episodes.max_observation_tokens": 16,
        "actor_rollout_ref.rollout.enable_chunked_prefill": "false",
    }
    overrides = [loop, *(f"{key}={value}" for key, value in keys.items()), *settings]
    checks = "import sys; from verl_medu1.config.compose import compose_config; "
    checks += "from verl_medu1.checks.episodes import episode_violations; "
    checks += "print(*episode_violations(compose_config(['recipe=quickstart', *sys.argv[1:]])))"
    done = python(with_calculator, "-c", checks, *overrides)
    assert done.returncode == 0, done.stderr
    assert (sentence in done.stdout) if sentence else not done.stdout.strip()
