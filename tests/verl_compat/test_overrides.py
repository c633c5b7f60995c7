"""verl's methods that we override are looked at before a run starts."""

from pathlib import Path

import pytest

from verl_medu1.verl_compat.overrides import changed_methods
from verl_medu1.verl_compat.table import Extended

OURS = """
class Trainer(Base):
    def __init__(self, config):
        super().__init__(config, None)

    @override
    def _step(self, batch, metrics):
        return super()._step(batch, metrics)

    @override
    async def run(self, data, *, priority=0):
        return await super().run(data, priority=priority)

    def _own(self, anything):
        return anything
"""


def found(tmp_path: Path, theirs: str | None) -> list[str]:
    (tmp_path / "ours.py").write_text(OURS)
    if theirs is not None:
        (tmp_path / "theirs.py").write_text(theirs)
    return list(changed_methods([Extended("ours.py", ("theirs.py",), "", "")], tmp_path, tmp_path))


def test_the_installed_verl_is_what_we_extend() -> None:
    assert list(changed_methods()) == []


def test_the_same_methods_are_no_change(tmp_path: Path) -> None:
    same = "class Base:\n    def _step(self, batch, metrics): ...\n    async def run(self, data, priority=0): ...\n"
    assert found(tmp_path, same) == []


@pytest.mark.parametrize(
    ("theirs", "sentences"),
    [
        (None, ["no theirs.py"]),
        ("class Base:\n    def run(self, data, priority): ...\n", ["_step is gone"]),
        (
            "class Base:\n    def _step(self, batch, metrics, timing): ...\n    def run(self, data, priority): ...\n",
            ["_step takes (batch, metrics, timing) now"],
        ),
    ],
)
def test_what_changed_is_said(tmp_path: Path, theirs: str | None, sentences: list[str]) -> None:
    for violation, sentence in zip(found(tmp_path, theirs), sentences, strict=True):
        assert sentence in violation
