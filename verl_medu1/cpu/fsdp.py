"""verl's FSDP engine on the CPU: what LoRA sends to vLLM keeps its precision, and answers share their prompt."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.distributed.tensor import DTensor


def cpu_engine(base: Any) -> Any:
    """Return the engine for device "cpu".

    Works around verl/workers/engine/fsdp/transformer_impl.py, FSDPEngine._merged_lora_per_tensor_param. It rounds the
    sum of weights and adapters to bfloat16. vLLM has float32 here, and would differ from the trainer in the third
    digit.
    """
    from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

    from verl_medu1.cpu.faster import shared_attention
    from verl_medu1.cpu.faster.shared_prompts import SharedPrompts

    shared_attention.register()
    bases = (SharedPrompts, base) if base is FSDPEngineWithLMHead else (base,)

    class CPUFSDPEngine(*bases):  # type: ignore[misc]
        def _merged_lora_per_tensor_param(self) -> Iterator[tuple[str, torch.Tensor]]:
            from verl.utils.fsdp_utils import merged_lora_context, normalize_peft_param_name
            from verl.utils.model import convert_weight_keys

            with merged_lora_context(self.module, backup_adapters=True):
                merged = convert_weight_keys(normalize_peft_param_name(self.module.state_dict()), self.module)
                for name, weight in merged.items():
                    # A copy: at the end of the context the weights are the base model's again.
                    yield name, (weight.full_tensor() if isinstance(weight, DTensor) else weight.detach()).clone()

    CPUFSDPEngine.__name__ = f"CPU{base.__name__}"
    return CPUFSDPEngine
