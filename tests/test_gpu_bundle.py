"""benchmarks/gpu/bundle.py: what is in a set, how it is cut, and a bundle that is installed from its parts."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.gpu.bundle import HERE, ROOT, Set, cut, parts_of, pinned, wanted, write_parts

STACK = "# what both install\nTransformers==5.9.0\nray==2.60.0 \\\n    --hash=sha256:00\nverl==0.9.1\n"
GPU, BUILT = "transformer-engine==2.15.0\nvllm==0.24.0\n", "transformer_engine_torch==2.15.0\n"
NAMES = ["transformers", "verl", "transformer-engine", "transformer-engine-torch"]
OWN = {"transformer-engine-torch": "2.12.0"}


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    (tmp_path / "stack.txt").write_text(STACK)
    (tmp_path / "gpu.txt").write_text(GPU)
    (tmp_path / "gpu-built.txt").write_text(BUILT)
    return tmp_path


@pytest.mark.parametrize(
    ("chosen", "own", "expected"),
    [
        (Set.engine_cpu, {}, {"transformers": "5.9.0", "verl": "0.9.1"}),
        (
            Set.engine,
            OWN,
            {
                "transformers": "5.9.0",
                "verl": "0.9.1",
                "transformer-engine": "2.15.0",
                "transformer-engine-torch": "2.12.0",
            },
        ),
        (
            Set.all,
            OWN,
            {
                "transformers": "5.9.0",
                "ray": "2.60.0",
                "verl": "0.9.1",
                "transformer-engine": "2.15.0",
                "transformer-engine-torch": "2.12.0",
                "vllm": "0.24.0",
            },
        ),
    ],
)
def test_a_set_has_its_packages_in_the_versions_of_the_lists(lists, chosen, own, expected):
    assert wanted(chosen, lists, NAMES, own) == expected


def test_what_a_set_lacks_is_said(lists):
    with pytest.raises(SystemExit, match=r"no index has a wheel of transformer-engine-torch==2.15.0; build"):
        wanted(Set.engine, lists, NAMES, {})
    with pytest.raises(SystemExit, match=r"no list in .* has onnx; add"):
        wanted(Set.engine, lists, [*NAMES, "onnx"], OWN)
    (lists / "gpu.txt").unlink()
    with pytest.raises(SystemExit, match=r"gpu.txt is missing, and the set all needs it; choose engine-cpu\."):
        wanted(Set.all, lists, NAMES, OWN)


def test_the_engines_packages_are_sorted_and_pinned():
    blocks = [
        [line for line in block.splitlines() if not line.startswith("#")]
        for block in (HERE / "engine.txt").read_text().split("\n\n")
    ]
    assert all(names == sorted(set(names)) for names in blocks)
    # The first block runs without a GPU.
    assert set(blocks[0]) <= set(pinned(ROOT / "requirements" / "stack.txt"))


@pytest.mark.parametrize(
    ("sizes", "limit", "expected"),
    [
        ([10], 10, [["0"]]),
        ([10], 4, [["0.000"], ["0.001"], ["0.002"]]),
        ([3, 9, 7], 10, [["1"], ["2", "0"]]),
        # The rest of a wheel that was cut shares its part with others.
        ([14, 5, 1], 10, [["0.000"], ["1", "0.001", "2"]]),
        ([], 10, []),
    ],
)
def test_parts_hold_no_more_than_their_limit(tmp_path, sizes, limit, expected):
    files = [tmp_path / str(number) for number in range(len(sizes))]
    for file, size in zip(files, sizes, strict=True):
        file.write_bytes(b"x" * size)
    parts = parts_of(cut(files, limit), limit)
    assert [[piece.name for piece in part] for part in parts] == expected
    assert all(sum(piece.size for piece in part) <= limit for part in parts)


def wheel(folder: Path, name: str, text: str) -> Path:
    """A wheel of one module."""
    file = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", text)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return file


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Two wheels in parts of 1,000 bytes; the pieces of the larger are in several."""
    names = {"carried_small": "VALUE = 1\n", "carried_large": f"VALUE = {'9' * 4000}\n"}
    wheels = [wheel(tmp_path, name, text) for name, text in names.items()]
    out = tmp_path / "bundle"
    out.mkdir()
    manifest = write_parts(wheels, out, 1000)
    assert {name: kept["sha256"] for name, kept in manifest.items()} == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in wheels
    }
    assert len(manifest["carried_large-1.0-py3-none-any.whl"]["pieces"]) == 5
    assert len(list(out.glob("part-*"))) > 4
    (out / "requirements.txt").write_text("carried-small==1.0\ncarried-large==1.0\n")
    (out / "install.sh").write_text((HERE / "install.sh").read_text())
    return out


def install(bundle: Path, site: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHON": sys.executable}
    command = ["bash", str(bundle / "install.sh"), str(site)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)


def test_a_bundle_is_joined_and_installed(bundle, tmp_path):
    site = tmp_path / "site"
    # Twice: a second start on the same machine replaces the first.
    for _ in range(2):
        done = install(bundle, site)
        assert done.returncode == 0, done.stderr
    assert f"export PYTHONPATH={site}" in done.stdout and "LD_PRELOAD" not in done.stdout
    code = "import carried_small, carried_large, json; print(json.dumps([carried_small.VALUE, carried_large.__file__]))"
    found = subprocess.run([sys.executable, "-c", code], cwd=site, capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == [1, str(site / "carried_large.py")]


def test_a_cublas_of_its_own_is_preloaded(bundle, tmp_path):
    library = tmp_path / "site/nvidia/cu13/lib/libcublas.so.13"
    library.parent.mkdir(parents=True)
    library.touch()
    assert f"LD_PRELOAD={library.parent}/libcublasLt.so.13:{library}" in install(bundle, tmp_path / "site").stdout


@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_a_piece_that_did_not_arrive_is_named(bundle, tmp_path, harm):
    piece = sorted(bundle.glob("part-*/carried_large*.002"))[0]
    if harm == "damaged":
        piece.write_bytes(piece.read_bytes()[:-1] + b"!")
    else:
        piece.unlink()
    done = install(bundle, tmp_path / "site")
    assert done.returncode == 1 and piece.name in done.stdout + done.stderr
    assert "pieces are missing or damaged, see above; copy their parts again." in done.stderr
    assert not list((tmp_path / "site").iterdir())


def test_another_python_is_refused(bundle, tmp_path):
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 3.11\n")
    other.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(other)}
    command = ["bash", str(bundle / "install.sh"), str(tmp_path / "site")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "is Python 3.11, and the wheels are for 3.12" in done.stderr
