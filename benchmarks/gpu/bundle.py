"""An offline bundle: the wheels of a set, in parts of a limited size, with hashes and an install script.

    python benchmarks/gpu/bundle.py engine --wheels MY_WHEELS    # what benchmarks/gpu/engine.py needs on a GPU
    python benchmarks/gpu/bundle.py engine-cpu                   # the same without Transformer Engine, to rehearse it
    python benchmarks/gpu/bundle.py all --wheels MY_WHEELS       # everything, with vLLM

For a machine that reaches no index and takes files only in small amounts. It has Python 3.12 and, for the first two
sets, torch with CUDA. OUT/part-00, OUT/part-01, ... hold at most --part MiB each; a wheel that is larger is cut into
pieces. On the machine, `bash install.sh SITE` checks every piece, joins and checks the wheels, and installs them into
the folder SITE. docs/gpu.md has the whole order.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from packaging.utils import canonicalize_name, parse_wheel_filename

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MIB = 2**20
BUILT = "gpu-built.txt"
SCRIPTS = ("engine.py", "stack.py", "device.py", "model.py", "results.py", "rows.py", "table.py")


class Set(StrEnum):
    """What a bundle is for."""

    engine = "engine"
    engine_cpu = "engine-cpu"
    all = "all"


@dataclass(frozen=True)
class Piece:
    """A part of a file, or all of it.

    Attributes:
        file: that it is from.
        start: its first byte.
        size: in bytes.
        name: under which it is carried.
    """

    file: Path
    start: int
    size: int
    name: str


def pinned(path: Path) -> dict[str, str]:
    """Name -> version of a list of requirements of the form name==version."""
    lines = re.findall(r"^([\w.-]+)==([^\s\\;]+)", path.read_text(), re.M)
    return {canonicalize_name(name): version for name, version in lines}


def wanted(chosen: Set, lists: Path, names: Iterable[str], own: Mapping[str, str]) -> dict[str, str]:
    """Name -> version of all packages of a set.

    Args:
        chosen: the set.
        lists: folder of stack.txt, which both machines install, of gpu.txt, which a GPU needs besides, and of
            gpu-built.txt, which is of that what no index has a wheel of.
        names: what the engine imports.
        own: name -> version of own wheels, which come before the lists' versions.

    Raises:
        SystemExit: a list or a package is missing.
    """
    both = pinned(lists / "stack.txt")
    if chosen == Set.engine_cpu:
        return {name: both[name] for name in names if name in both}
    for name in ("gpu.txt", BUILT):
        if not (lists / name).is_file():
            raise SystemExit(f"{lists / name} is missing, and the set {chosen.value} needs it; choose engine-cpu.")
    built = pinned(lists / BUILT)
    known = {**both, **pinned(lists / "gpu.txt"), **built, **own}
    found = known if chosen == Set.all else {name: known.get(name, "") for name in names}
    if missing := [name for name, version in found.items() if not version]:
        raise SystemExit(f"no list in {lists} and no wheel of --wheels has {', '.join(missing)}; add them there.")
    if missing := [f"{name}=={version}" for name, version in built.items() if name in found and name not in own]:
        raise SystemExit(f"no index has a wheel of {', '.join(missing)}; build it, and name its folder with --wheels.")
    return found


def cut(files: Iterable[Path], limit: int) -> list[Piece]:
    """Pieces of at most `limit` bytes; a file that is smaller is one piece under its own name."""
    pieces = []
    for file in files:
        size = file.stat().st_size
        if size <= limit:
            pieces.append(Piece(file, 0, size, file.name))
            continue
        starts = range(0, size, limit)
        pieces += [
            Piece(file, start, min(limit, size - start), f"{file.name}.{number:03}")
            for number, start in enumerate(starts)
        ]
    return pieces


def parts_of(pieces: Iterable[Piece], limit: int) -> list[list[Piece]]:
    """Put pieces into as few parts of at most `limit` bytes as the largest-first rule finds."""
    parts: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: (-piece.size, piece.name)):
        for part in parts:
            if sum(other.size for other in part) + piece.size <= limit:
                part.append(piece)
                break
        else:
            parts.append([piece])
    return parts


def sha256_of(data: Path) -> str:
    """The hash of a file, in hexadecimal digits."""
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_parts(wheels: list[Path], out: Path, limit: int) -> dict[str, dict[str, object]]:
    """Write part-00, part-01, ... and the two lists of hashes that install.sh checks.

    Returns:
        Wheel -> its bytes, its hash, and its pieces with bytes and hash.
    """
    manifest: dict[str, dict[str, object]] = {
        wheel.name: {"bytes": wheel.stat().st_size, "sha256": sha256_of(wheel), "pieces": {}} for wheel in wheels
    }
    sums = []
    for number, part in enumerate(parts_of(cut(wheels, limit), limit)):
        folder = out / f"part-{number:02}"
        folder.mkdir(parents=True)
        for piece in part:
            target = folder / piece.name
            with piece.file.open("rb") as file:
                file.seek(piece.start)
                target.write_bytes(file.read(piece.size))
            name, digest = f"{folder.name}/{piece.name}", sha256_of(target)
            sums.append(f"{digest}  {name}\n")
            manifest[piece.file.name]["pieces"][name] = {"bytes": piece.size, "sha256": digest}  # type: ignore[index]
    (out / "pieces.sha256").write_text("".join(sums))
    (out / "wheels.sha256").write_text("".join(f"{kept['sha256']}  {name}\n" for name, kept in manifest.items()))
    return manifest


def pip_wheel(*arguments: str | Path) -> None:
    """Download wheels, or build them from pure Python."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-qq", "--no-deps"]
    if subprocess.run([*command, *map(str, arguments)]).returncode:
        raise SystemExit("pip could not get all wheels; the lines above say which.")


def project_wheel(folder: Path) -> None:
    """Build this project from a copy of the working tree, so that the build writes nothing into it."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    with tempfile.TemporaryDirectory() as copy:
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                target = Path(copy, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)
        pip_wheel("--no-build-isolation", "-w", folder, copy)


def main(
    chosen: Annotated[Set, typer.Argument(metavar="SET", help="engine, engine-cpu or all.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; it must not exist.")] = Path("outputs/bundle"),
    part: Annotated[int, typer.Option(help="MiB of a part at most.", min=1)] = 56,
    wheels: Annotated[Path | None, typer.Option(help="Folder of own wheels, which come before the lists.")] = None,
) -> None:
    """Make an offline bundle of wheels."""
    if out.exists():
        raise SystemExit(f"--out {out} exists; choose another folder.")
    files = sorted(wheels.glob("*.whl")) if wheels else []
    own = {name: str(version) for name, version, *_ in (parse_wheel_filename(file.name) for file in files)}
    lines = (HERE / "engine.txt").read_text().splitlines()
    names = [canonicalize_name(line) for line in lines if line and not line.startswith("#")]
    packages = wanted(chosen, ROOT / "requirements", names, own)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for file in files:
            if parse_wheel_filename(file.name)[0] in packages:
                shutil.copy(file, folder)
        others = [f"{name}=={version}\n" for name, version in packages.items() if name not in own]
        listed = folder / "requirements.txt"
        listed.write_text("".join(others))
        typer.echo(f"{len(packages)} packages and this project ...", err=True)
        pip_wheel("-w", folder, "-r", listed)
        project_wheel(folder)
        found = sorted(folder.glob("*.whl"))
        manifest = write_parts(found, out, part * MIB)
    exact = [f"{name}=={version}\n" for name, version, *_ in map(parse_wheel_filename, manifest)]
    (out / "requirements.txt").write_text("".join(exact))
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    about = {"set": chosen.value, "commit": commit.stdout.strip(), "part MiB": part, "wheels": manifest}
    (out / "manifest.json").write_text(json.dumps(about, indent=1) + "\n")
    shutil.copy(HERE / "install.sh", out)
    (out / "benchmarks").mkdir()
    for name in SCRIPTS:
        shutil.copy(HERE / name, out / "benchmarks")
    sizes = {path.name: sum(file.stat().st_size for file in path.iterdir()) for path in sorted(out.glob("part-*"))}
    for name, size in sizes.items():
        typer.echo(f"{name}  {size / MIB:6.1f} MiB  {len(list((out / name).iterdir()))} files")
    typer.echo(f"{out}: {len(manifest)} wheels, {sum(sizes.values()) / MIB:.1f} MiB in {len(sizes)} parts")


if __name__ == "__main__":
    typer.run(main)
