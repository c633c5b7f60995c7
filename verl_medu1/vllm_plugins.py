"""vLLM's general plugins: what its processes need on a machine without an accelerator, and nothing on any other.

vLLM imports the entry points of all packages in each of its processes, on GPUs as well. Only where vLLM itself runs on
the CPU do they import `verl_medu1.cpu`.
"""


def keep_weights_loadable() -> None:
    """See `verl_medu1.cpu.vllm_plugin`."""
    if _runs_on_cpu():
        from verl_medu1.cpu.vllm_plugin import register

        register()


def choose_port() -> None:
    """See `verl_medu1.cpu.vllm_port`."""
    if _runs_on_cpu():
        from verl_medu1.cpu.vllm_port import choose

        choose()


def _runs_on_cpu() -> bool:
    from vllm.platforms import current_platform

    return current_platform.is_cpu()
