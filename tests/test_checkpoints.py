"""Which checkpoint a run continues from, and what is removed after a save that failed."""

import pytest

from verl_medu1.checkpoints import TRACKER, mend_tracker, newest_step, remove_half_written, way_on


@pytest.fixture
def checkpoints(tmp_path):
    for step in (1, 2, 3):
        (tmp_path / f"global_step_{step}").mkdir()
    (tmp_path / TRACKER).write_text("2")
    return tmp_path


def test_the_newest_is_the_one_that_the_tracker_names(checkpoints):
    assert newest_step(checkpoints) == 2
    assert way_on(checkpoints) == f"the same command continues from {checkpoints}/global_step_2"


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


@pytest.mark.parametrize("text", [None, "4"])
def test_none_without_a_tracker_that_names_one(checkpoints, text):
    (checkpoints / TRACKER).unlink() if text is None else (checkpoints / TRACKER).write_text(text)
    assert newest_step(checkpoints) is None
    assert "begins the run again" in way_on(checkpoints)


def test_a_half_written_one_is_removed_and_a_whole_one_is_kept(checkpoints):
    remove_half_written(checkpoints, 3)
    remove_half_written(checkpoints, 2)
    remove_half_written(checkpoints, 9)
    assert {folder.name for folder in checkpoints.glob("global_step_*")} == {"global_step_1", "global_step_2"}
