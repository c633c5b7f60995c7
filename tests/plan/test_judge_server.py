"""The GPUs of a judge on the job's own nodes: who has them, and a sentence where they leave no room."""

import json
from dataclasses import replace

import pytest

from verl_medu1.cli.app import main
from verl_medu1.machine.gpus import find_gpu
from verl_medu1.plan.judge_server import JudgeServer, judge_server, server_sentence, server_violations
from verl_medu1.plan.settings import Settings

ELSEWHERE = "serve the judge elsewhere (scoring.judge.base_url) and unset MEDU1_JUDGE_MODEL"
SEVEN = "Qwen/Qwen2.5-7B-Instruct"  # 28 heads


@pytest.mark.parametrize(
    ("variables", "gpus"),
    [
        ({}, None),
        ({"MEDU1_JUDGE_GPUS": "2"}, None),
        ({"MEDU1_JUDGE_MODEL": ""}, None),
        ({"MEDU1_JUDGE_MODEL": "m"}, 1),
        ({"MEDU1_JUDGE_MODEL": "m", "MEDU1_JUDGE_GPUS": ""}, 1),
        ({"MEDU1_JUDGE_MODEL": "m", "MEDU1_JUDGE_GPUS": "4", "HOME": "/"}, 4),
    ],
)
def test_the_server_is_what_the_environment_asks_for(variables, gpus):
    found = judge_server(variables)
    assert (found.gpus if found else None) == gpus
    if found:
        assert found.variables == {name: value for name, value in variables.items() if value and name != "HOME"}


@pytest.mark.parametrize("gpus", ["0", "-1", "1.5", "two", "²"])
def test_a_number_that_is_none_is_refused(gpus):
    with pytest.raises(ValueError, match=r"^MEDU1_JUDGE_GPUS is .*; give a whole number of at least 1\.$"):
        judge_server({"MEDU1_JUDGE_MODEL": "m", "MEDU1_JUDGE_GPUS": gpus})


@pytest.mark.parametrize(
    ("training", "judge", "model", "sentences"),
    [
        (7, 1, SEVEN, []),
        (4, 4, SEVEN, []),
        (4, 4, "/nodes/only", []),  # nothing is known of it
        (
            8,
            1,
            SEVEN,
            [
                "trainer.n_gpus_per_node is 8 and MEDU1_JUDGE_GPUS is 1, and a node has 8 GPUs; lower "
                f"trainer.n_gpus_per_node to 7 or less, or {ELSEWHERE}."
            ],
        ),
        (
            1,
            8,
            "owner/unknown",
            [
                "MEDU1_JUDGE_GPUS is 8, and a node has 8 GPUs, of which the training needs one; lower it to 7 or less, "
                f"or {ELSEWHERE}."
            ],
        ),
        (
            4,
            3,
            SEVEN,
            [
                f"MEDU1_JUDGE_GPUS is 3, {why}; near it are 1, 2, 4."
                for why in (
                    "which does not divide the model's 28 attention heads",
                    "which does not divide the model's 18944 columns of the feed-forward layer",
                    "neither a divisor nor a multiple of the model's 4 key-value heads",
                )
            ],
        ),
    ],
)
def test_training_and_judge_share_a_node(training, judge, model, sentences):
    server = JudgeServer(model, judge, {})
    settings = Settings(gpus_per_node=training)
    found = [str(problem) for problem in server_violations(server, settings, 8, "a node")]
    assert found == sentences
    assert list(server_violations(None, settings, 8, "a node")) == []


def test_a_judge_needs_gpus():
    [problem] = server_violations(JudgeServer("m/m", 1, {}), replace(Settings(), device="cpu"), 8, "a node")
    assert str(problem) == f"MEDU1_JUDGE_MODEL is 'm/m', which needs GPUs, and trainer.device is 'cpu'; {ELSEWHERE}."


@pytest.mark.parametrize(
    ("model", "gpus", "words"),
    [
        (SEVEN, 1, "on GPUs of its own, 1 of each node; each has 14.2 GiB of weights in bfloat16, of 79.1"),
        (SEVEN, 4, "on GPUs of its own, 4 of each node; each has 3.5 GiB of weights in bfloat16, of 79.1"),
        (
            "Qwen/Qwen2.5-72B-Instruct",
            1,
            "GiB of weights in bfloat16, of 79.1, which is too little: raise MEDU1_JUDGE_GPUS",
        ),
        ("/nodes/only", 1, "its memory is not planned: MEDU1_JUDGE_MODEL is '/nodes/only', which has no config.json"),
    ],
)
def test_the_plan_says_what_its_weights_take(model, gpus, words):
    assert words in server_sentence(JudgeServer(model, gpus, {}), find_gpu("h100-80"))


def plan(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["medu1", "plan", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0), *capsys.readouterr()


def test_the_command_counts_the_judge_beside_the_training(monkeypatch, capsys):
    recipe = "recipe=qwen2.5-7b-1x8h100-tp2-pp1"
    monkeypatch.setenv("MEDU1_JUDGE_MODEL", SEVEN)
    monkeypatch.setenv("MEDU1_JUDGE_GPUS", "4")
    code, _, err = plan(monkeypatch, capsys, recipe)
    assert code == 2 and "trainer.n_gpus_per_node is 8 and MEDU1_JUDGE_GPUS is 4, and a node of h100-80 has 8" in err
    code, out, err = plan(monkeypatch, capsys, recipe, "trainer.n_gpus_per_node=4")
    assert code == 0 and f"Judge: {SEVEN} on GPUs of its own, 4 of each node; each has 3.5 GiB" in out, err
    code, out, _ = plan(monkeypatch, capsys, recipe, "trainer.n_gpus_per_node=4", "--json")
    found = json.loads(out)
    assert found["judge"]["gpus_per_node"] == 4 and found["settings"]["trainer.n_gpus_per_node"] == 4
