"""A run's config.yaml that was cut off or overwritten."""

from pathlib import Path

import pytest

from verl_medu1.run_folder.reader import read_run


@pytest.mark.parametrize("content", [b"{", b"\x80\x81\x00", b"- a list"])
def test_a_broken_configuration_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.yaml (can't be read|is not the configuration of a run).*; copy it"):
        read_run(tmp_path)


def test_an_empty_configuration_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(ValueError, match=r"RUN_DIR .* has no tensorboard"):
        read_run(tmp_path)
