"""pipeline.yaml: what its stages become, what is refused, and the pipelines of our recipes."""

from pathlib import Path

import pytest

from verl_medu1.config.pipeline import read_stages, stages_of
from verl_medu1.config.recipes import PIPELINE, recipe_names
from verl_medu1.run.pipeline import stage_violations

TEXT = """
stages:
  cold-start: [sft, recipe=x, "model.path={run_dir}/model"]
  rules: [train, recipe=x, "actor_rollout_ref.model.path={cold-start}", "per_source={MedQA: 0.2}"]
  merged: [merge, "{rules}", "{cold-start}", --weight, "0.5"]
"""


def read(text=TEXT, *further):
    return read_stages(text, "pipeline.yaml of x", Path("out/p"), further)


def test_folders_of_earlier_stages_and_of_the_stage_itself_are_filled_in():
    first, second, third = read()
    assert first.arguments == ("recipe=x", "model.path=out/p/model", "run_dir=out/p/cold-start")
    assert second.arguments[1:3] == ("actor_rollout_ref.model.path=out/p/cold-start", "per_source={MedQA: 0.2}")
    assert third.arguments == ("out/p/rules", "out/p/cold-start", "--weight", "0.5", "--out", "out/p/merged")
    assert [stage.folder for stage in (first, second, third)] == [
        Path("out/p") / name for name in ("cold-start", "rules", "merged")
    ]
    assert [stage.needs for stage in (first, second, third)] == [(), ("cold-start",), ("rules", "cold-start")]


def test_arguments_of_the_command_line_come_last_and_stay_with_their_stage():
    first, second, third = read(TEXT, "rules:data.seed=3", "merged:--weight=0.25", "rules:a={x: 1}")
    assert second.arguments[-3:] == ("data.seed=3", "a={x: 1}", "run_dir=out/p/rules")
    assert "--weight=0.25" in third.arguments and first == read()[0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must have the key stages"),
        ("stages: {}", "must have the key stages"),
        ("stages: {a: [merge]}\nmore: 1", "and no other key"),
        ("stages: [a", "is not YAML"),
        ("stages: {a: merge}", "stage a of pipeline.yaml of x is 'merge'; give a list of texts"),
        ("stages: {a: [merge, 0.5]}", "give a list of texts"),
        ("stages: {a: []}", "give a list of texts"),
        ("stages: {a: [eval]}", "stage a of .* is 'eval'; choose one of sft, train, export, merge"),
        ("stages: {a: ['rm -rf /']}", "choose one of"),
        ("stages: {../a: [merge]}", r"a stage called '\.\./a'; use small letters"),
        ("stages: {run_dir: [merge]}", "a stage called 'run_dir'"),
        ("stages: {1: [merge]}", "a stage called 1"),
        (
            "stages: {a: [merge, '{b}'], b: [merge]}",
            "stage a .* has '{b}', and 'b' is no earlier stage; use one of run_",
        ),
        ("stages: {a: [merge, '{a}']}", "'a' is no earlier stage"),
        ("stages: {a-b: [merge], c: [merge, '{a_b}']}", "'a_b' is no earlier stage; use one of run_dir, a-b"),
    ],
)
def test_what_is_no_list_of_stages_is_refused(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read(text)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("data.seed=3", "is for no stage; write STAGE:KEY=VALUE, with one of the stages cold-start, rules, merged"),
        ("data.x=a:b", "is for no stage"),
        ("rules:", "is for no stage"),
        ("rule:data.seed=3", "is for stage 'rule', which pipeline.yaml of x lacks; near it are rules"),
        ("rules:actor_rollout_ref.model.path={merged}", "'merged' is no earlier stage"),
    ],
)
def test_an_argument_for_no_stage_is_refused(argument, sentence):
    with pytest.raises(ValueError, match=sentence):
        read(TEXT, argument)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "recipe is '', which has no pipeline.yaml; those with one are .*wingpt-cpu"),
        (["recipe=quickstart"], "recipe is 'quickstart', which has no pipeline.yaml"),
        (["recipe=wingpt-cpu", "run_dir=a b"], "run_dir is 'a b'; use letters"),
        (["recipe=wingpt-cpu", "run_dir=$(id)"], "use letters, digits"),
    ],
)
def test_the_recipe_and_its_folder(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        stages_of(arguments)


def test_the_folder_is_outputs_by_default():
    assert stages_of(["recipe=wingpt-cpu"])[0] == Path("outputs/wingpt-cpu")


JUDGE = ["verifier:scoring.judge.base_url=http://127.0.0.1:8000/v1", "verifier:scoring.judge.model=judge"]


@pytest.mark.parametrize("recipe", recipe_names(PIPELINE))
def test_each_stage_of_a_recipe_composes_and_has_no_unknown_key(recipe):
    stages = stages_of([f"recipe={recipe}", *JUDGE])[1]
    assert [stage.command for stage in stages] == ["sft", "train", "train", "merge"]
    assert [violation for stage in stages for violation in stage_violations(stage)] == []


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("rules:data.sed=3", "stage rules: .*data.sed"),
        ("cold-start:optim.lrr=1", "stage cold-start: .*optim.lrr"),
        ("rules:scoring.judge.when=always", "stage rules: scoring.judge.when is 'always', and scoring.judge.base_url"),
    ],
)
def test_a_wrong_setting_of_a_later_stage_is_told_at_once(argument, sentence):
    stages = stages_of(["recipe=wingpt-cpu", *JUDGE, argument])[1]
    with pytest.raises(ValueError, match=sentence):
        raise ValueError("\n".join(violation for stage in stages for violation in stage_violations(stage)))


def test_what_hydra_fills_in_is_left_to_it() -> None:
    [stage] = read_stages(
        "{stages: {a: [train, recipe=x]}}", "it", Path("out"), ["a:trainer.rollout_data_dir=${run_dir}/r"]
    )
    assert "trainer.rollout_data_dir=${run_dir}/r" in stage.arguments


@pytest.mark.parametrize("argument", ["a:run_dir=elsewhere", "a:--out=elsewhere"])
def test_a_stage_has_no_other_folder(argument: str) -> None:
    with pytest.raises(ValueError, match=r"names another folder, and a stage's is out/a; leave it out"):
        read_stages("{stages: {a: [train, recipe=x]}}", "it", Path("out"), [argument])
