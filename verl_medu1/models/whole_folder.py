"""A folder that appears only once everything in it is written."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

# In OUT.partial; without it that folder is not ours.
MARKER = ".medu1-unfinished"


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield the path of a folder for the caller to make, which becomes `out` if nothing is raised, else is removed.

    It is made in a folder beside `out`, `OUT.partial`, which is locked meanwhile. What a killed process has left there
    is removed first; a folder of that name that was made by anybody else is refused.

    Args:
        out: folder to write; its parents are made.

    Raises:
        ValueError: `out` exists, another process is writing it, or `OUT.partial` exists and is not ours.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "model"
        >>> with whole_folder(out) as folder:
        ...     folder.mkdir()
        ...     out.exists()
        False
        >>> out.is_dir(), [path.name for path in out.parent.iterdir()]
        (True, ['model'])
    """
    partial = _partial(out)
    with _locked(out, partial / MARKER):
        try:
            # The process that had the lock before may have finished.
            require_new(out)
            shutil.rmtree(partial / out.name, ignore_errors=True)
            yield partial / out.name
            (partial / out.name).rename(out)
        finally:
            # The marker last: without it, the next process begins.
            shutil.rmtree(partial / out.name, ignore_errors=True)
            shutil.rmtree(partial, ignore_errors=True)


def _locked(out: Path, marker: Path) -> TextIO:
    """Make, lock and return the marker. Until it is ours, whoever had the lock before may remove it with its folder."""
    while True:
        require_new(out)
        try:
            marker.parent.mkdir(parents=True, exist_ok=True)
            file = marker.open("a")
        except (FileNotFoundError, FileExistsError):
            if not out.parent.is_dir():
                raise
            continue  # it was removed just now
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.close()
            raise ValueError(
                f"--out {out} is being written by another process; wait for it, or give another --out."
            ) from None
        except OSError:  # a file system without locks
            return file
        with suppress(FileNotFoundError):
            if marker.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        file.close()


def require_new(out: Path) -> None:
    """Check that a folder can be made.

    Raises:
        ValueError: see `whole_folder`.
    """
    if out.exists():
        raise ValueError(f"--out {out} exists; give a folder that does not, or remove it.")
    partial = _partial(out)
    is_ours = partial.is_dir() and not partial.is_symlink()
    # An empty one may be of a process that was killed before it could mark it.
    if is_ours and ((partial / MARKER).is_file() or _is_empty_or_gone(partial)):
        return
    if partial.exists() or partial.is_symlink():
        raise ValueError(
            f"{partial} exists, which is needed until --out is whole, and medu1 did not make it; move it, or give "
            "another --out."
        )


def _is_empty_or_gone(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return True


def _partial(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial")
