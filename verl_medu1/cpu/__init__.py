"""Everything that lets the production stack run without a GPU, and what makes it faster there.

Nothing here is imported on a machine with an accelerator, and nothing in site-packages is edited: each patch is applied
at run time, is small, and names the function of verl, Megatron, vLLM or torch that it works around.

    platform.py       verl's platform "cpu": devices, memory, gloo
    patches.py        functions of verl and torch that assume an accelerator or are slow without one
    engines.py        verl's FSDP2 and Megatron engines for device "cpu"
    fsdp.py           the precision of what FSDP2 with LoRA sends to vLLM, and shared prompts
    megatron/         megatron-core and Megatron-Bridge on gloo
    vllm_plugin.py    keeps the weights of vLLM-CPU replaceable
    vllm_port.py      where vLLM looks for free ports
    collection.py     less frequent garbage collection while processes import
    faster/           forks Ray's workers instead of starting each, and shares prompts in packed batches
"""

import logging
import os

from verl_medu1.verl_compat.versions import version_mismatches

logger = logging.getLogger(__name__)


def install() -> None:
    """Apply all patches in this process. The plugin calls it once if there is no accelerator."""
    # megatron-core compiles small functions with torch.compile; on the CPU that takes minutes and gains nothing.
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    for mismatch in version_mismatches():
        logger.warning("%s", mismatch)
    from verl_medu1.cpu import engines, patches, platform

    platform.install()
    patches.install()
    engines.install()
