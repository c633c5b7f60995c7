"""Recognises a full disk from the error that it causes somewhere in a run."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

# Messages of Python, safetensors and TensorBoard, and of torch.save, which does not pass on why a write failed.
_SIGNS = re.compile(
    r"No space left on device|Disk quota exceeded"
    r"|PytorchStreamWriter failed writing|inline_container\.cc:\d+\] \. unexpected pos"
)
# Python's own errors name the file, which may be outside the run's folders.
_FILE = re.compile(r"(?:No space left on device|Disk quota exceeded): '(/[^']+)'")

# Megatron's writers do not report the reason. If a save fails with less than this free, the disk was full.
_FULL_BELOW = 16 * 2**20


def full_disk(error: BaseException, folders: Iterable[Path], saving: bool = False) -> str | None:
    """Name the disk on which a write failed and its free space; return None for any other error.

    Args:
        error: what ended the run; the text of a remote error includes the remote traceback.
        folders: where the run writes; if the error names no file, the folder with the least free space is reported.
        saving: whether a checkpoint was being written.
    """
    free, folder = min((shutil.disk_usage(folder).free, folder) for folder in folders if folder.is_dir())
    text = f"{error!r} {error}"
    sign = _SIGNS.search(text)
    if not sign and not (saving and free < _FULL_BELOW):
        return None
    if file := _FILE.search(text):
        # The nearest folder that exists here: the file may be on another node.
        folder = next(parent for parent in Path(file[1]).parents if parent.is_dir())
        free = shutil.disk_usage(folder).free
    if sign and sign[0] == "Disk quota exceeded":
        return f"your quota on the disk of {folder} is used up"
    if free >= _FULL_BELOW:
        return f"a disk is full, that of {folder} or another one that the run writes to (`df -h` and `df -i` show them)"
    return f"the disk of {folder} is full ({free / 2**20:.0f} MiB free)"
