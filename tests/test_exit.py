"""Exit codes, and a user's mistake in one sentence."""

import re
from pathlib import Path

import pytest

from verl_medu1.exit import ExitCode, Problem, in_one_sentence, raise_all, say, say_through

ROOT = Path(__file__).resolve().parents[1]


def test_the_job_script_has_the_same_codes():
    text = (ROOT / "slurm" / "lib" / "common.sh").read_text()
    found = {name: int(code) for name, code in re.findall(r"\bEXIT_(\w+)=(\d+)", text)}
    assert found and found == {name: ExitCode[name] for name in found}


def test_the_page_on_faults_names_each_code_that_a_run_ends_with():
    page = (ROOT / "docs" / "faults.md").read_text()
    for code in (ExitCode.STALLED, ExitCode.PART_DIED, ExitCode.DISK_FULL):
        assert re.search(rf"\| {code:d} \|", page), code


def test_a_mistake_is_one_line_and_code_2(capsys):
    with pytest.raises(SystemExit) as ended, in_one_sentence():
        raise ValueError("lr is 'abc'; give a number.")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "medu1: lr is 'abc'; give a number.\n"


def test_all_problems_are_told_at_once_a_line_each(capsys):
    with pytest.raises(SystemExit) as ended, in_one_sentence():
        raise_all([Problem("lr", "lr is 'abc'; give a number."), "n is 0; give at least 1."])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "medu1: lr is 'abc'; give a number.\nmedu1: n is 0; give at least 1.\n"


def test_an_error_of_the_program_keeps_its_traceback():
    with pytest.raises(TypeError), in_one_sentence():
        raise TypeError


def test_say_goes_where_it_is_sent(capsys, monkeypatch):
    monkeypatch.setattr("verl_medu1.exit._tell", print)  # put back after the test
    lines: list[str] = []
    say_through(lines.append)
    say("a line")
    assert lines == ["a line"] and capsys.readouterr().err == ""
