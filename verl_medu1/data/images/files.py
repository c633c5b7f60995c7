"""Finds the file of an image in a source's folder, and never outside of it or in the network."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from verl_medu1.data.images.limits import check_bytes
from verl_medu1.data.images.words import ImageFault

# http:, data:, file: and C:, too.
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*:")


def read_image(name: str, folders: Sequence[Path]) -> bytes:
    """Return the bytes of an image file.

    Args:
        name: its path in a folder, as a record has it.
        folders: where it may be; the first that has it counts.

    Raises:
        ImageFault: the name is an address, an absolute path, leads out of the folder (also by a link), names no file
            or one that is too large or can't be read; or there is no folder.
    """
    if _ADDRESS.match(name):
        raise ImageFault("it is an address; images are read from files, never from the network", name)
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ImageFault("its name leads out of the folder of images", name)
    if not folders:
        raise ImageFault("it is a file, and no folder is known for it; give --images NAME=FOLDER", name)
    try:
        for folder in folders:
            file = folder / path
            if file.is_file():
                return _read(file, folder)
    except OSError as error:
        raise ImageFault(f"it can't be read ({error.strerror})", name) from None
    except ImageFault as fault:
        raise fault.of(name) from None
    raise ImageFault(f"there is no such file in {' or '.join(map(str, folders))}; see --images", name)


def _read(file: Path, folder: Path) -> bytes:
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ImageFault("it is a link out of the folder of images; put the file itself there")
    check_bytes(file.stat().st_size)
    return file.read_bytes()
