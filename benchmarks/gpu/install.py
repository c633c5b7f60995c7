"""Installs a bundle of benchmarks/gpu/bundle.py into this interpreter, without a network: python install.py

Packages of the same name that are there are removed first. Needs nothing but Python 3.12 and the right to write there.
"""

import compileall
import hashlib
import io
import json
import shutil
import sys
import sysconfig
import tarfile
import time
from importlib.metadata import distributions
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Pieces(io.RawIOBase):
    """Files, one after the other, as one."""

    def __init__(self, paths: list[Path]) -> None:
        self.files = [path.open("rb") for path in paths]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while self.files:
            if count := self.files[0].readinto(buffer):
                return count
            self.files.pop(0).close()
        return 0


def damaged(pieces: list[dict[str, str]]) -> list[str]:
    """Names of pieces that are missing or whose hash differs."""
    return [
        piece["name"]
        for piece in pieces
        if not (HERE / piece["name"]).is_file()
        or hashlib.sha256((HERE / piece["name"]).read_bytes()).hexdigest() != piece["sha256"]
    ]


def normal(name: str) -> str:
    """A package's name as all spellings of it have it."""
    return name.lower().replace("_", "-").replace(".", "-")


def remove(names: set[str], site: Path) -> None:
    """Remove packages of these names, but not what others have put into the same folders."""
    for package in list(distributions(path=[str(site)])):
        if normal(package.name) in names:
            for file in package.files or ():
                path = site / str(file)
                if not str(file).startswith("..") and path.is_file():
                    path.unlink()
            shutil.rmtree(package._path, ignore_errors=True)  # type: ignore[attr-defined]


def main() -> None:
    """Check, remove, unpack, compile."""
    start = time.monotonic()
    if sys.version_info[:2] != (3, 12):
        raise SystemExit(f"This is Python {sys.version.split()[0]}, and the bundle is for 3.12; start it with that.")
    manifest = json.loads((HERE / "manifest.json").read_text())
    if names := damaged(manifest["pieces"]):
        raise SystemExit(f"missing or damaged: {', '.join(names)}; copy these again.")
    site = Path(sysconfig.get_path("purelib"))
    remove({normal(name) for name in manifest["packages"]}, site)
    pieces = io.BufferedReader(Pieces([HERE / piece["name"] for piece in manifest["pieces"]]), 2**20)
    with tarfile.open(fileobj=pieces, mode="r|xz") as tar:
        tar.extractall(site, filter="tar")
    print(f"{len(manifest['packages'])} packages in {site}: {time.monotonic() - start:.0f} s")
    here = {normal(package.name) for package in distributions()}
    if missing := [name for name in manifest["machine"] if normal(name) not in here]:
        print(f"neither here nor in the bundle: {', '.join(missing)}; install them, or take them out of machine.txt")
    # A run starts a dozen processes that import the same modules.
    compileall.compile_dir(site, quiet=2, workers=0)
    print(f"compiled: {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
