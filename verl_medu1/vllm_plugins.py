"""vLLM's general plugins: what its processes need on a machine without an accelerator.

vLLM imports the entry points of all packages in each of its processes, on GPUs as well. They do nothing there, and
import `verl_medu1.cpu` only if vLLM itself runs on the CPU.
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


def draw_noise_once() -> None:
    """See `verl_medu1.cpu.faster.seeded_sampling`."""
    if _runs_on_cpu():
        from verl_medu1.cpu.faster.seeded_sampling import register

        register()


def _runs_on_cpu() -> bool:
    from vllm.platforms import current_platform

    return current_platform.is_cpu()
