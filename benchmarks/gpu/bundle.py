"""An offline bundle: the packages of an environment, in parts of a limited size, with hashes and an install script.

    make install-gpu VENV=.venv-gpu DRIVER=later
    .venv-gpu/bin/python benchmarks/gpu/bundle.py

For a machine that reaches no index, takes files only in small amounts, and has Python 3.12 and torch with CUDA. It
carries the packages of this interpreter, less those of machine.txt and unused.txt beside this file. OUT/part-00,
OUT/part-01, ... hold a piece of at most --part MiB each. On the machine, `python install.py` checks the pieces, and
installs them into its interpreter. docs/gpu.md has the whole order.
"""

import fnmatch
import hashlib
import io
import json
import re
import shutil
import sysconfig
import tarfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Annotated

import typer
from packaging.utils import canonicalize_name
from thin import thin
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
MIB = 2**20
# Files of packages that are carried, which nothing reaches on a Hopper GPU.
LEFT_OUT = (
    "*.pyc",
    "pulp/solverdir/*",  # solvers of integer programs
    "ray/dashboard/client/*",
    "ray/jars/*",  # Ray for Java
    "vllm/third_party/deep_gemm/_C.cpython-31[0134]-*",  # other Pythons
    "vllm/third_party/fmha_sm100/*",  # kernels for Blackwell
    "vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so",  # on Hopper vLLM takes the third version
)


def names_in(path: Path) -> set[str]:
    """Names of packages, one in a line; a line that starts with # is a comment."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return {canonicalize_name(line) for line in lines if line and not line.startswith("#")}


def is_link(package: Distribution) -> bool:
    """Return whether a package only points to a folder elsewhere, as this project does (pip install -e)."""
    source = json.loads(package.read_text("direct_url.json") or "{}")
    return bool(source.get("dir_info", {}).get("editable"))


def carried(site: Path, without: set[str]) -> list[Distribution]:
    """The packages in a folder, sorted by name, less those named and those that are links to another folder."""
    found = {canonicalize_name(package.name): package for package in distributions(path=[str(site)])}
    kept = (found[name] for name in sorted(found) if name not in without)
    return [package for package in kept if not is_link(package)]


def files_of(package: Distribution, site: Path) -> Iterator[Path]:
    """The files of a package that are carried, relative to the folder."""
    for file in package.files or ():
        path = str(file)
        # Commands lie in a folder beside it, and start another interpreter.
        if not path.startswith("..") and not any(fnmatch.fnmatch(path, left) for left in LEFT_OUT):
            if (site / path).is_file():
                yield Path(path)


def write_archive(packages: list[Distribution], site: Path, archive: Path, architecture: int) -> dict[str, str]:
    """Write the packages' files into one compressed archive, libraries with GPU code for one architecture only.

    Returns:
        Package -> version.
    """
    found = {}
    with tarfile.open(archive, "w:xz", preset=3) as tar:
        for package in tqdm(packages, unit="package"):
            for name in files_of(package, site):
                data = (site / name).read_bytes()
                if ".so" in name.suffixes:
                    data = thin(data, architecture)
                about = tarfile.TarInfo(str(name))
                about.size, about.mode = len(data), (site / name).stat().st_mode & 0o777
                tar.addfile(about, io.BytesIO(data))
            found[package.name] = package.version
    return found


def write_parts(archive: Path, out: Path, limit: int) -> list[dict[str, str | int]]:
    """Cut a file into OUT/part-00/piece, OUT/part-01/piece, ... of at most `limit` bytes; their sizes and hashes."""
    pieces: list[dict[str, str | int]] = []
    with archive.open("rb") as file:
        while data := file.read(limit):
            piece = out / f"part-{len(pieces):02}" / "piece"
            piece.parent.mkdir(parents=True)
            piece.write_bytes(data)
            name = f"{piece.parent.name}/{piece.name}"
            pieces.append({"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    return pieces


def main(
    out: Annotated[Path, typer.Option(help="Folder of the bundle; it must not exist.")] = Path("outputs/bundle"),
    part: Annotated[int, typer.Option(help="MiB of a part at most.", min=1)] = 56,
    capability: Annotated[str, typer.Option(help="Compute capability of the GPU; code for others stays out.")] = "9.0",
    packages: Annotated[Path | None, typer.Option(help="Folder of the packages.  [default: this Python's]")] = None,
    machine: Annotated[Path, typer.Option(help="List of what the machine has.")] = HERE / "machine.txt",
) -> None:
    """Make an offline bundle of an environment's packages."""
    if out.exists():
        raise SystemExit(f"--out {out} exists; choose another folder.")
    if not re.fullmatch(r"\d+\.\d", capability):
        raise SystemExit(f"--capability is {capability}; give it as in 9.0.")
    site = packages or Path(sysconfig.get_path("purelib"))
    there = names_in(machine)
    found = carried(site, there | names_in(HERE / "unused.txt"))
    if not found:
        raise SystemExit(f"{site} has no package that is not listed in {machine}; choose other --packages.")
    out.mkdir(parents=True)
    archive = out / "site.tar.xz"
    versions = write_archive(found, site, archive, int(capability.replace(".", "")))
    pieces = write_parts(archive, out, part * MIB)
    archive.unlink()
    about = {"packages": versions, "machine": sorted(there), "pieces": pieces}
    (out / "manifest.json").write_text(json.dumps(about, indent=1) + "\n")
    shutil.copy(HERE / "install.py", out)
    size = sum(int(piece["bytes"]) for piece in pieces) / MIB
    typer.echo(f"{out}: {len(versions)} packages, {size:.1f} MiB in {len(pieces)} parts")


if __name__ == "__main__":
    typer.run(main)
