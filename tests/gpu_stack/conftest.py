"""The packages of a GPU machine, on a machine without a GPU: what stands in for the GPU and its driver."""

import ctypes
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from verl_medu1.machine import accelerator


def require(distribution: str, what: str) -> None:
    """Skip the test if a package is missing."""
    try:
        version(distribution)
    except PackageNotFoundError:
        pytest.skip(f"{what} ({distribution}) is not installed; make test-gpu-stack installs it")


@pytest.fixture(scope="session", autouse=True)
def packages_of_gpus() -> Iterator[None]:
    """verl and Megatron-Bridge as on GPUs, without our layer for the CPU, which the plugin would install."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        pytest.skip("this machine has NVIDIA's driver, and these tests are for machines without it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accelerator, "has_accelerator", lambda: True)
        from verl.plugin.platform import get_platform

        assert get_platform().device_name == "cuda"
        yield


@pytest.fixture(scope="session")
def vllm_as_on_h100(tmp_path_factory: pytest.TempPathFactory) -> None:
    """vLLM's CUDA build, imported with libcuda.c for the driver, and told that its device is an H100 of 80 GB."""
    require("vllm", "vLLM's CUDA build")
    library = tmp_path_factory.mktemp("libcuda") / "libcuda.so.1"
    source = Path(__file__).with_name("libcuda.c")
    # The kernels ask for the library by its soname, and the linker takes the one that is loaded already.
    subprocess.run(["cc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library, source], check=True)
    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)

    from vllm import platforms
    from vllm.platforms.cuda import NonNvmlCudaPlatform
    from vllm.platforms.interface import DeviceCapability

    class H100(NonNvmlCudaPlatform):
        """vLLM's platform for CUDA, with answers that it would get from the driver."""

        @classmethod
        def get_device_capability(cls, device_id: int = 0) -> DeviceCapability:
            return DeviceCapability(9, 0)

        @classmethod
        def get_device_name(cls, device_id: int = 0) -> str:
            return "NVIDIA H100 80GB HBM3"

        @classmethod
        def get_device_total_memory(cls, device_id: int = 0) -> int:
            return 80 * 2**30

        @classmethod
        def is_fully_connected(cls, physical_device_ids: list[int]) -> bool:
            return True

        @classmethod
        def num_compute_units(cls, device_id: int = 0) -> int:
            return 132

    platforms.current_platform = H100()
