"""Prompts with images: the processor of a model that sees them, and the tokens and images that the model gets.

verl's own data set and agent loop do the same in training (verl/utils/dataset/rl_dataset.py): images go through
qwen_vl_utils, which makes their sides multiples of what a token covers, and then through the model's processor.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from verl_medu1.data.images.placeholders import PLACEHOLDER


class Seen(NamedTuple):
    """A prompt as vLLM takes it: tokens in which one stands for each image, and the images."""

    tokens: list[int]
    images: list[Any]
    length: int  # with all the tokens of each image


def load_processor(model: str, key: str) -> Any:
    """Load a model's processor as verl does.

    Args:
        model: folder in Hugging Face format, or name on the hub.
        key: the key or option that names the model, for the error.

    Raises:
        ValueError: the model has no processor that verl knows. verl itself would only warn, and train without images.
    """
    # On its own: what verl imports takes seconds that a run of text alone does not need.
    from verl.utils.tokenizer import hf_processor

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        processor = hf_processor(model)
    if processor is None:
        reasons = [str(each.message) for each in warned if "processor" in str(each.message)]
        reason = " ".join(reasons[-1].split())[:300] if reasons else "it has no processor"
        raise ValueError(
            f"{key} is {model!r}, with which verl can't show images ({reason}); take a model such as Qwen2.5-VL or "
            "Qwen3-VL, or data without images."
        )
    return processor


def with_images(messages: Sequence[Mapping[str, str]], images: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return messages whose placeholders are images, in the form that chat templates of such models take.

    Args:
        messages: with `role` and `content`, in which each `<image>` stands for an image.
        images: encoded, as many as there are placeholders.

    Example:
        >>> with_images([{"role": "user", "content": "Why?"}], [])
        [{'role': 'user', 'content': [{'type': 'text', 'text': 'Why?'}]}]
    """
    from PIL import Image

    left = iter(images)

    def parts(text: str) -> list[dict[str, Any]]:
        pieces = [piece for piece in re.split(f"({PLACEHOLDER})", text) if piece]
        return [
            {"type": "image", "image": Image.open(io.BytesIO(next(left)))}
            if piece == PLACEHOLDER
            else {"type": "text", "text": piece}
            for piece in pieces
        ]

    return [{"role": message["role"], "content": parts(message["content"])} for message in messages]


def see(
    processor: Any, messages: Sequence[Mapping[str, str]], images: Sequence[bytes], arguments: Mapping[str, Any]
) -> Seen:
    """Render a prompt with images.

    Args:
        processor: from `load_processor`.
        messages: with a placeholder for each image.
        images: encoded.
        arguments: of the chat template.
    """
    from qwen_vl_utils import process_vision_info

    shown = with_images(messages, images)
    text = processor.apply_chat_template(shown, **{**arguments, "tokenize": False, "add_generation_prompt": True})
    pictures = process_vision_info(shown, image_patch_size=processor.image_processor.patch_size)[0]
    tokens = list(processor.tokenizer(text)["input_ids"])
    return Seen(tokens, pictures or [], len(processor(text=[text], images=pictures)["input_ids"][0]))
