"""What must hold before a training with images, and that nothing of it is asked without images."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_module

from verl_medu1.checks.images import demonstrated_image_violations, files_with_images, image_violations
from verl_medu1.config.recipes import SFT, TRAIN, register_recipes


def configured(pictured: Path, *overrides: str) -> Any:
    register_recipes()
    keys = [
        "recipe=images-cpu",
        f"data.train_files={pictured}/data/train.parquet",
        f"data.val_files={pictured}/data/test.parquet",
        f"actor_rollout_ref.model.path={pictured}/model",
    ]
    with initialize_config_module("verl_medu1.config", version_base="1.3"):
        return compose("medu1", overrides=[*keys, *overrides])


def test_the_recipe_passes(pictured: Path) -> None:
    assert list(image_violations(configured(pictured))) == []


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["actor_rollout_ref.model.use_remove_padding=true"], "use_remove_padding is true, which needs flash-attn"),
        (["model_engine=megatron"], "without a GPU only FSDP2 takes these; set model_engine=dp."),
        (
            ["actor_rollout_ref.rollout.agent.default_agent_loop=medu1_episode"],
            "default_agent_loop is 'medu1_episode', which shows no images, and data.train_files is",
        ),
        (["data.max_prompt_length=40"], "data.max_prompt_length is 40, and 24 of the 24 prompts of data.train_files"),
    ],
)
def test_each_mistake_has_its_sentence(pictured: Path, overrides: list[str], sentence: str) -> None:
    assert any(sentence in said for said in image_violations(configured(pictured, *overrides)))


def test_long_prompts_are_left_to_verl_where_it_drops_them(pictured: Path) -> None:
    overrides = ["data.max_prompt_length=40", "data.filter_overlong_prompts=true"]
    assert list(image_violations(configured(pictured, *overrides))) == []


def test_a_model_that_sees_no_images_is_refused_by_name(pictured: Path) -> None:
    config = configured(pictured, f"actor_rollout_ref.model.path={pictured}/blind")
    (said,) = image_violations(config)
    assert said.startswith(f"actor_rollout_ref.model.path is '{pictured}/blind', with which verl can't show images")


def test_images_are_bytes_and_no_addresses(pictured: Path, tmp_path: Path) -> None:
    table = pq.read_table(pictured / "data" / "train.parquet").drop_columns(["images"])
    addresses = pa.array([["https://example.org/1.png"]] * len(table))
    pq.write_table(table.append_column("images", addresses), tmp_path / "train.parquet")
    (said,) = image_violations(configured(pictured, f"data.train_files={tmp_path}/train.parquet"))
    assert "whose column images is list<element: string> and not a list of {bytes}" in said


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (None, "its text has 1 <image>, and it has 0 images"),
        ([{"bytes": None}], "image: it has no bytes"),
        ([{"bytes": b"<html>"}], "image: it is none of PNG"),
    ],
)
def test_rows_of_another_program_are_looked_at(pictured: Path, tmp_path: Path, images: Any, reason: str) -> None:
    rows = pq.read_table(pictured / "data" / "train.parquet").to_pylist()
    rows[3]["images"] = images
    schema = pq.read_schema(pictured / "data" / "train.parquet")
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "train.parquet")
    (said,) = image_violations(configured(pictured, f"data.train_files={tmp_path}/train.parquet"))
    assert f"whose row 3 can't be shown ({reason}" in said and said.endswith("prepare it with `medu1 prepare`.")


def test_a_warm_up_needs_a_model_that_sees_images(pictured: Path) -> None:
    register_recipes(SFT)
    keys = ["recipe=images-cpu", f"data.train_files={pictured}/data/warmup.parquet"]
    try:
        with initialize_config_module("verl_medu1.config", version_base="1.3"):
            right, wrong = (
                compose("sft", overrides=[*keys, f"model.path={pictured}/{model}", *more])
                for model, more in (("model", []), ("blind", ["model.use_remove_padding=true"]))
            )
    finally:
        register_recipes(TRAIN)
    assert list(demonstrated_image_violations(right)) == []
    packed, blind = demonstrated_image_violations(wrong)
    assert packed.startswith("model.use_remove_padding is true") and blind.startswith("model.path is")


def test_text_alone_asks_nothing(configure) -> None:
    assert files_with_images(configure()) == [] == list(image_violations(configure()))
