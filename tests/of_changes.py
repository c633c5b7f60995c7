"""Prints the tests of what differs from the last commit, or from another one, for `make check`.

usage: python -m tests.of_changes [COMMIT]

A file `verl_medu1/ROOM/NAME.py` has its tests in `tests/ROOM/test_NAME*.py`, or, if there are none, in `tests/ROOM`; so
has one of `reward_score/`. A changed test file is run itself. Tests that start the real stack are left to `make test`.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

SLOW = ("e2e", "slurm", "twins", "gpu_stack", "cluster")


def affected(changed: Iterable[str], root: Path) -> list[str]:
    """Return the test files, or folders, of changed files; paths from `root`.

    Example:
        >>> affected(["verl_medu1/length/budget.py", "README.md"], Path(__file__).parents[1])
        ['tests/length/test_budget.py']
    """
    return sorted({test for file in changed for test in _tests(Path(file), root) if test.split("/")[1] not in SLOW})


def _tests(file: Path, root: Path) -> Iterator[str]:
    if file.suffix != ".py" or not (root / file).is_file():
        return
    if file.parts[0] == "tests":
        if file.name.startswith("test_"):
            yield str(file)
        return
    if file.parts[0] not in ("verl_medu1", "reward_score"):
        return
    room = Path("tests", *file.parts[1 if file.parts[0] == "verl_medu1" else 0 : -1])
    found = sorted(str(test.relative_to(root)) for test in (root / room).glob(f"test_{file.stem}*.py"))
    if not found and (root / room).is_dir() and room != Path("tests"):
        found = [str(room)]
    yield from found


def main() -> None:
    commit = sys.argv[1] if len(sys.argv) > 1 else "HEAD"
    root = Path(__file__).parents[1]
    listed = [["diff", "--name-only", commit], ["ls-files", "--others", "--exclude-standard"]]
    changed = [
        name
        for arguments in listed
        for name in subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
        ).stdout.splitlines()
    ]
    print("\n".join(affected(changed, root)))


if __name__ == "__main__":
    main()
