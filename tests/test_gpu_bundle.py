"""benchmarks/gpu/bundle.py and install.py: what is carried, how it is cut, and what another Python has afterwards."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gpu.thin import MACHINE_CODE, PTX, thin

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu"
MIB = 2**20


def container(*entries: tuple[int, int, bytes]) -> bytes:
    """Kernels as cuobjdump finds them in a library: kind, architecture and code of each."""
    body = b""
    for kind, architecture, code in entries:
        header = struct.pack("<HHIQ", kind, 0x101, 64, len(code)) + bytes(12) + struct.pack("<I", architecture)
        body += header.ljust(64, b"\0") + code
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


@pytest.mark.parametrize(
    ("entries", "kept"),
    [
        ([(MACHINE_CODE, 80), (MACHINE_CODE, 90), (MACHINE_CODE, 100), (PTX, 120)], [1]),
        # Two of a kind, for sm_90 and sm_90a.
        ([(MACHINE_CODE, 90), (MACHINE_CODE, 90), (PTX, 90)], [0, 1]),
        # Machine code of another generation does not run: the driver compiles the newest PTX that it may.
        ([(MACHINE_CODE, 80), (PTX, 75), (PTX, 80), (PTX, 120)], [2]),
        ([(MACHINE_CODE, 100), (PTX, 120)], []),
    ],
)
def test_only_code_that_a_hopper_gpu_loads_is_left(entries, kept):
    codes = [bytes([65 + number]) * 24 for number in range(len(entries))]
    kernels = container(*((*entry, code) for entry, code in zip(entries, codes, strict=True)))
    data = b"\x7fELF before" + kernels + b"after"
    found = thin(data, 90)
    assert len(found) == len(data) and found.startswith(b"\x7fELF before") and found.endswith(b"after")
    assert [number for number, code in enumerate(codes) if code in found] == kept
    assert thin(found, 90) == found


def test_a_gpu_runs_machine_code_of_its_generation_that_is_not_newer():
    data = container(*((MACHINE_CODE, number, bytes([number]) * 24) for number in (75, 80, 86, 89, 90)))
    found = thin(data, 87)
    assert [number for number in (75, 80, 86, 89, 90) if bytes([number]) * 24 in found] == [86]


@given(before=st.binary(max_size=200), cut=st.integers(0, 300))
def test_what_is_no_container_stays_as_it_is(before, cut):
    assert thin(before, 90) == before
    # The magic number alone, or a container that is cut off, is data of another kind.
    broken = container((MACHINE_CODE, 80, b"x" * 100))[:-1][:cut]
    assert thin(before + broken, 90) == before + broken


def package(site: Path, name: str, version: str, files: dict[str, bytes], editable: bool = False) -> None:
    """Install a package as pip does."""
    about = f"{name}-{version}.dist-info"
    kept = {f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(), **files}
    if editable:
        kept[f"{about}/direct_url.json"] = b'{"url": "file:///somewhere", "dir_info": {"editable": true}}'
    for path, data in kept.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(data)
    listed = [*kept, f"{about}/RECORD", f"../../../bin/{name}"]
    (site / about / "RECORD").write_text("".join(f"{path},,\n" for path in listed))


def run(*command: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=100)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A large library, a small package, and what is not carried, in parts of one MiB."""
    site = tmp_path / "site"
    noise = b"".join(struct.pack("<Q", number * 0x9E3779B97F4A7C15 % 2**64) for number in range(250_000))
    package(site, "large", "1.0", {"large/__init__.py": b"VALUE = 1\n", "large/kernels.so": noise})
    package(site, "small", "2.0", {"small.py": b"VALUE = 2\n", "small.pyc": b"?", "ray/jars/ray.jar": b"?"})
    package(site, "there_already", "1.0", {"there_already.py": b""})
    package(site, "link", "1.0", {"link.pth": b"/somewhere\n"}, editable=True)
    (tmp_path / "machine.txt").write_text("# a comment\nThere.Already\nscipy\n")
    out = tmp_path / "bundle"
    options = ("--packages", site, "--machine", tmp_path / "machine.txt", "--part", "1", "--out", out)
    done = run(sys.executable, FOLDER / "bundle.py", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{out}: 2 packages, ")
    assert all(
        (out / piece["name"]).stat().st_size <= MIB
        for piece in json.loads((out / "manifest.json").read_text())["pieces"]
    )
    assert len(list(out.glob("part-*"))) > 1
    return out


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Another Python, with an older version of one of the packages."""
    assert run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv").returncode == 0
    (site,) = (tmp_path / "venv").glob("lib/python3.*/site-packages")
    package(site, "small", "1.0", {"small.py": b"VALUE = 1\n", "small_old.py": b""})
    return tmp_path / "venv" / "bin" / "python"


def test_another_python_has_the_packages_afterwards(bundle, python, tmp_path):
    # Twice: a second start on the same machine replaces the first.
    for _ in range(2):
        done = run(python, bundle / "install.py")
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 packages in ")
    assert "neither here nor in the bundle: scipy, there-already; install them" in done.stdout
    code = "import large, small, importlib.metadata as m; print(large.VALUE, small.VALUE, m.version('small'))"
    assert run(python, "-c", code).stdout.split() == ["1", "2", "2.0"]
    (site,) = (tmp_path / "venv").glob("lib/python3.*/site-packages")
    assert (site / "large" / "kernels.so").read_bytes() == (tmp_path / "site" / "large" / "kernels.so").read_bytes()
    # The older version is gone; what is left out, listed or a link is not there.
    for name in ("small_old.py", "small-1.0.dist-info", "ray", "small.pyc", "there_already.py", "link.pth"):
        assert not (site / name).exists()


@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_a_piece_that_did_not_arrive_is_named(bundle, python, harm):
    piece = bundle / "part-01" / "piece"
    if harm == "damaged":
        piece.write_bytes(piece.read_bytes()[:-1] + b"!")
    else:
        piece.unlink()
    done = run(python, bundle / "install.py")
    assert done.returncode == 1 and done.stderr == "missing or damaged: part-01/piece; copy these again.\n"
    assert run(python, "-c", "import small; print(small.VALUE)").stdout == "1\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--out", "."), "--out . exists; choose another folder."),
        (("--capability", "hopper"), "--capability is hopper; give it as in 9.0."),
        (("--packages", "empty"), "has no package that"),
    ],
)
def test_a_mistake_is_told(tmp_path, options, said):
    done = run(sys.executable, FOLDER / "bundle.py", "--out", tmp_path / "bundle", *options)
    assert done.returncode == 1 and said in done.stderr and not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("name", ["machine.txt", "unused.txt"])
def test_the_lists_of_packages_that_are_not_carried_are_sorted(name):
    names = [line for line in (FOLDER / name).read_text().splitlines() if not line.startswith("#")]
    assert names == sorted(set(names))
