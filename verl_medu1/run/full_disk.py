"""A disk that is full, told from the error that it causes somewhere in a run."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

# How Python, safetensors and TensorBoard tell it, and torch.save, which does not pass the reason of a failed write on.
_SIGNS = re.compile(
    r"No space left on device|Disk quota exceeded"
    r"|PytorchStreamWriter failed writing|inline_container\.cc:\d+\] \. unexpected pos"
)
# Python's own errors name the file, which may lie elsewhere than in the run's folders.
_FILE = re.compile(r"(?:No space left on device|Disk quota exceeded): '(/[^']+)'")

# Megatron's writers keep the reason to themselves: a save that failed where less than this is free had no room.
_FULL_BELOW = 16 * 2**20


def full_disk(error: BaseException, folders: Iterable[Path], saving: bool = False) -> str | None:
    """The disk on which a write failed, with what is free there; None if the error is another one.

    Args:
        error: what ended the run; a remote error's text has the remote traceback.
        folders: where the run writes; if the error names no file, the one with least space is meant.
        saving: whether a checkpoint was being written.
    """
    free, folder = min((shutil.disk_usage(folder).free, folder) for folder in folders if folder.is_dir())
    text = f"{error!r} {error}"
    sign = _SIGNS.search(text)
    if not sign and not (saving and free < _FULL_BELOW):
        return None
    if file := _FILE.search(text):
        # The nearest folder that is there: the file may be another node's.
        folder = next(parent for parent in Path(file[1]).parents if parent.is_dir())
        free = shutil.disk_usage(folder).free
    if sign and sign[0] == "Disk quota exceeded":
        return f"your quota on the disk of {folder} is used up"
    if free >= _FULL_BELOW:
        return f"a disk is full, that of {folder} or another one that the run writes to (`df -h` and `df -i` show them)"
    return f"the disk of {folder} is full ({free / 2**20:.0f} MiB free)"
