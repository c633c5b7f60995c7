"""Several processes that want to write the same folder: one does, and the others are told so."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

# Each fails in the middle, so that the next one can begin as soon as the folder beside is removed.
FAILING = """
import pathlib, sys
from verl_medu1.models.whole_folder import whole_folder
out, ends = pathlib.Path(sys.argv[1]), []
for _ in range(300):
    try:
        with whole_folder(out) as folder:
            folder.mkdir()
            (folder / "a").write_text("a")
            raise KeyError
    except (KeyError, ValueError, OSError) as error:
        ends.append(type(error).__name__ + (": " + str(error) if isinstance(error, OSError) else ""))
print("\\n".join(ends))
"""


def test_who_loses_the_race_is_told_and_breaks_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FAILING, str(tmp_path / "out")]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    ends = Counter(line for process in racing for line in process.communicate(timeout=100)[0].splitlines())
    assert ends.keys() <= {"KeyError", "ValueError"}, ends
    assert ends["KeyError"] and ends.total() == 900
    assert list(tmp_path.iterdir()) == []
