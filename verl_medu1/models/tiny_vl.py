"""A small, randomly initialised Qwen2.5-VL with tokenizer and processor, for images on two CPU cores and for tests."""

from collections.abc import Sequence
from pathlib import Path

from verl_medu1.models.folder import correct_description
from verl_medu1.models.tiny import text_settings, train_tokenizer

IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"
VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
# Pixels of a patch's side; 2 x 2 patches are one token, so that an image of 56 x 56 pixels has four.
PATCH, MERGED = 14, 2

# Qwen's chat format with images, without a default system message: verl renders message by message.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tiny_vl_model(texts: Sequence[str], out: Path, seed: int = 0) -> int:
    """Write a randomly initialised Qwen2.5-VL, its tokenizer and its processor as a Hugging Face folder (fp32).

    Two layers of width 128 read, and two of width 64 see. An image of H x W pixels, multiples of 28, is H W / 28^2
    tokens (arXiv 2502.13923, 2.1); smaller ones are enlarged to 56 x 56.

    Args:
        texts: training texts of the tokenizer.
        out: folder to write.
        seed: seed of the weights.

    Returns:
        The number of parameters.
    """
    import torch
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer = train_tokenizer(texts, special=(VISION_START, VISION_END, IMAGE, VIDEO))
    tokenizer.chat_template = CHAT_TEMPLATE
    token_id = tokenizer.convert_tokens_to_ids
    # A rope base so small that even the slowest rotations, those of an image's columns, tell neighbours apart.
    text = text_settings(tokenizer, rope_theta=10.0)
    text["rope_parameters"]["mrope_section"] = [4, 6, 6]
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 192,
            "num_heads": 4,
            "patch_size": PATCH,
            "spatial_merge_size": MERGED,
            "out_hidden_size": text["hidden_size"],
            "fullatt_block_indexes": [1],
            "initializer_range": text["initializer_range"],
        },
        image_token_id=token_id(IMAGE),
        video_token_id=token_id(VIDEO),
        vision_start_token_id=token_id(VISION_START),
        vision_end_token_id=token_id(VISION_END),
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config)
    side = PATCH * MERGED
    sizes = {"shortest_edge": 4 * side**2, "longest_edge": 64 * side**2}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(patch_size=PATCH, merge_size=MERGED, size=sizes),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(patch_size=PATCH, merge_size=MERGED, size=sizes),
        chat_template=CHAT_TEMPLATE,
    )
    model.save_pretrained(out)
    processor.save_pretrained(out)
    correct_description(out)
    return model.num_parameters()
