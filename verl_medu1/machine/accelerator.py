"""Finds out whether this machine has an accelerator."""

import functools


@functools.cache
def has_accelerator() -> bool:
    """Return whether one of verl's own platforms (CUDA, ROCm, NPU) is present on this machine.

    torch.cuda.is_available() would not do: Ray hides the GPUs from processes that reserved none, so it is False in the
    driver even on a GPU node. verl's check looks for the vendor's tool instead.
    """
    from verl.plugin.platform.platform_manager import PlatformRegistry

    for name in PlatformRegistry.registered_names():
        platform = PlatformRegistry.get(name)
        if name != "cpu" and platform is not None and platform().is_platform_available(use_smi_check=True):
            return True
    return False
