"""All that lets the production stack run without a GPU, and what makes it faster there.

Nothing here is imported on a machine with an accelerator, and nothing in site-packages is edited: each patch
is set at run time, is small, and names the line of verl, Megatron or vLLM that it works around.

    platform.py       verl's platform "cpu": devices, memory, gloo
    patches.py        lines of verl that assume an accelerator
    engines.py        verl's FSDP2 and Megatron engines under device "cpu"
    megatron/         megatron-core and mbridge on gloo
    vllm_plugin.py    vLLM-CPU with weights that can be replaced
    vllm_port.py      where vLLM looks for free ports
    collection.py     garbage collected less often while processes import
"""

import logging
import os

from verl_medu1.verl_compat.versions import version_mismatches

logger = logging.getLogger(__name__)


def install() -> None:
    """Set all patches in this process. Called once, by the plugin, where no accelerator is present."""
    # megatron-core compiles small functions with torch.compile; on the CPU that costs minutes and brings nothing.
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    for mismatch in version_mismatches():
        logger.warning("%s", mismatch)
    from verl_medu1.cpu import engines, patches, platform

    platform.install()
    patches.install()
    engines.install()
