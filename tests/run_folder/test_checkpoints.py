"""Which checkpoint a run continues from, and what is removed after a save that failed."""

import pytest

from verl_medu1.run_folder.checkpoints import (
    TRACKER,
    holds_lora,
    lost_step,
    mend_tracker,
    newest_model,
    newest_step,
    remove_half_written,
    way_on,
)


@pytest.fixture
def checkpoints(tmp_path):
    for step in (1, 2, 3):
        (tmp_path / f"global_step_{step}").mkdir()
    (tmp_path / TRACKER).write_text("2")
    return tmp_path


def test_the_newest_is_the_one_that_the_tracker_names(checkpoints):
    assert newest_step(checkpoints) == 2
    assert way_on(checkpoints) == f"the same command continues from {checkpoints}/global_step_2"


@pytest.mark.parametrize("adapters", ["lora_train_meta.json", "model/huggingface/adapter/adapter_config.json"])
def test_a_checkpoint_of_lora_has_no_model_before_it_is_exported(tmp_path, adapters):
    step = tmp_path / "checkpoints" / "global_step_2"
    file = step / "actor" / adapters
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    (step.parent / TRACKER).write_text("2")
    assert holds_lora(step.parent)
    with pytest.raises(ValueError, match="holds LoRA's adapters; `medu1 export` makes a whole model of them"):
        newest_model(tmp_path)


@pytest.mark.parametrize("text", ["", "\0"])
def test_a_tracker_that_was_cut_off_means_the_newest(checkpoints, text):
    (checkpoints / TRACKER).write_text(text)
    assert newest_step(checkpoints) == 3
    remove_half_written(checkpoints, 3)
    assert way_on(checkpoints) == f"the same command continues from {checkpoints}/global_step_3"
    mend_tracker(checkpoints)
    assert (checkpoints / TRACKER).read_text() == "3"


def test_a_tracker_that_was_cut_off_before_any_checkpoint_is_removed(tmp_path):
    (tmp_path / TRACKER).touch()
    assert newest_step(tmp_path) is None
    mend_tracker(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_none_without_a_tracker(checkpoints):
    (checkpoints / TRACKER).unlink()
    assert newest_step(checkpoints) is None and lost_step(checkpoints) is None
    assert "begins the run again" in way_on(checkpoints)


@pytest.mark.parametrize(
    ("tracked", "steps", "newest"),
    [
        ("4", (1, 2, 3), 3),
        ("4", (1, 5), 1),  # 5 may be half written
        ("4", (5,), None),
        ("4", (), None),
        ("4", (3, 4), None),
        ("", (1, 2), None),  # cut off, which is mended
    ],
)
def test_a_tracked_step_that_is_gone_is_told_with_the_newest_before_it(tmp_path, tracked, steps, newest):
    checkpoints = tmp_path / "checkpoints"
    for step in steps:
        (checkpoints / f"global_step_{step}").mkdir(parents=True)
    checkpoints.mkdir(exist_ok=True)
    (checkpoints / TRACKER).write_text(tracked)
    lost = lost_step(checkpoints)
    assert (lost is None) == (newest is None)
    if newest is not None:
        assert f"names global_step_4, which is not there; write {newest} into it" in lost
        assert way_on(checkpoints) == lost
        with pytest.raises(ValueError, match="names global_step_4"):
            newest_model(tmp_path)
        # What the sentence says to do is a way on.
        (checkpoints / TRACKER).write_text(str(newest))
        assert newest_step(checkpoints) == newest and lost_step(checkpoints) is None


def test_a_half_written_one_is_removed_and_a_whole_one_is_kept(checkpoints):
    remove_half_written(checkpoints, 3)
    remove_half_written(checkpoints, 2)
    remove_half_written(checkpoints, 9)
    assert {folder.name for folder in checkpoints.glob("global_step_*")} == {"global_step_1", "global_step_2"}
