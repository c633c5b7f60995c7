"""Files with corrections of published gold answers."""

from pathlib import Path

import pytest

from reward_score.label_overrides import find_override, read_overrides

HEADER = "data_source,row_id,published,corrected,reason\n"


def test_a_row_whose_gold_is_another_one_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(HEADER + "MedCalc-Bench,928,09/23/2014,09/11/2014,by arithmetic\n")
    overrides = read_overrides(file)
    assert find_override(overrides, "MedCalc-Bench", "928", " 09/23/2014\n") is not None
    assert find_override(overrides, "MedCalc-Bench", "928", "09/11/2014") is None
    assert find_override(overrides, "MedQA", "928", "09/23/2014") is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"row_id,corrected\n1,2\n", "the first line must be data_source,row_id"),
        ((HEADER + "MedQA,1,A\n").encode(), "line 2: must have 5 columns"),
        ((HEADER + "MedQA,1,A,B,x,y\n").encode(), "line 2: must have 5 columns"),
        ((HEADER + "MedQA,1,A,B,\n").encode(), "line 2: only corrected may be empty"),
        ((HEADER + "MedQA,1,A,B,x\nMedQA,1,A,C,y\n").encode(), "line 3: MedQA 1 stands there twice"),
        (HEADER.encode() + b"MedQA,1,A,B,caf\xe9\n", "can't be read as CSV in UTF-8"),
        (None, "can't be read"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    file = tmp_path / "mine.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=sentence) as error:
        read_overrides(file)
    assert str(error.value).startswith(str(file))
