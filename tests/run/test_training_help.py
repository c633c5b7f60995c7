"""`medu1 train --help` says what the command takes, and which recipes there are, without composing one."""

import pytest
from typer.testing import CliRunner

from verl_medu1.cli.app import app
from verl_medu1.config.recipes import SFT, TRAIN, recipe_names


@pytest.mark.parametrize(("command", "stage"), [("train", TRAIN), ("sft", SFT)])
@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["recipe=quickstart", "--help"], ["recipe=x", "-h"]])
def test_help(command: str, stage: str, arguments: list[str]) -> None:
    shown = CliRunner().invoke(app, [command, *arguments])
    assert shown.exit_code == 0
    assert f"{command} recipe=NAME key=value" in shown.output
    assert "--cfg job" in shown.output
    assert [line.strip() for line in shown.output.partition("Recipes")[2].splitlines()[1:]] == recipe_names(stage)
