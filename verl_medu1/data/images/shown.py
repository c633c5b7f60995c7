"""Prompts with images: the processor of a model that sees them, and the tokens and images that the model gets.

verl's own data set and agent loop do the same in training (verl/utils/dataset/rl_dataset.py): images go through
qwen_vl_utils, which makes their sides multiples of what a token covers, and then through the model's processor.
"""

import base64
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from verl_medu1.data.images.decode import size_of
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
        return [
            {"type": "image", "image": Image.open(io.BytesIO(next(left)))}
            if piece == PLACEHOLDER
            else {"type": "text", "text": piece}
            for piece in _pieces(text)
        ]

    return [{"role": message["role"], "content": parts(message["content"])} for message in messages]


def with_urls(messages: Sequence[Mapping[str, str]], images: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return messages with images as data in their URLs, as OpenAI-compatible servers take them.

    Example:
        >>> message = with_urls([{"role": "user", "content": "<image>Why?"}], [b"GIF89a"])[0]
        >>> message["content"][0]["image_url"], message["content"][1]["text"]
        ({'url': 'data:image/gif;base64,R0lGODlh'}, 'Why?')
    """
    left = iter(images)

    def parts(text: str) -> list[dict[str, Any]]:
        return [
            {"type": "image_url", "image_url": {"url": data_url(next(left))}}
            if piece == PLACEHOLDER
            else {"type": "text", "text": piece}
            for piece in _pieces(text)
        ]

    return [{"role": message["role"], "content": parts(message["content"])} for message in messages]


def data_url(image: bytes) -> str:
    """Return an encoded image as a URL that contains it.

    Example:
        >>> data_url(b"GIF89a")
        'data:image/gif;base64,R0lGODlh'
    """
    kinds = {b"\x89PNG": "png", b"\xff\xd8": "jpeg", b"GIF8": "gif"}
    kind = next((name for start, name in kinds.items() if image.startswith(start)), "webp")
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def length_with_images(
    processor: Any, messages: Sequence[Mapping[str, str]], images: Sequence[bytes], arguments: Mapping[str, Any]
) -> int:
    """Return the number of tokens of a prompt with images, of which only the sizes are read.

    Args:
        processor: from `load_processor`.
        messages: with a placeholder for each image.
        images: encoded.
        arguments: of the chat template.
    """
    from qwen_vl_utils.vision_process import SPATIAL_MERGE_SIZE, smart_resize

    factor = processor.image_processor.patch_size * SPATIAL_MERGE_SIZE
    sizes = [size_of(image) for image in images]
    resized = [smart_resize(height, width, factor) for width, height in sizes]
    of_images = processor._get_num_multimodal_tokens(image_sizes=resized)["num_image_tokens"] if resized else []
    text = _rendered(processor, with_images(messages, images), arguments)
    return len(processor.tokenizer(text)["input_ids"]) - len(images) + sum(of_images)


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
    text = _rendered(processor, shown, arguments)
    pictures = process_vision_info(shown, image_patch_size=processor.image_processor.patch_size)[0]
    tokens = list(processor.tokenizer(text)["input_ids"])
    return Seen(tokens, pictures or [], len(processor(text=[text], images=pictures)["input_ids"][0]))


def _pieces(text: str) -> list[str]:
    return [piece for piece in re.split(f"({PLACEHOLDER})", text) if piece]


def _rendered(processor: Any, messages: Sequence[Mapping[str, Any]], arguments: Mapping[str, Any]) -> str:
    forced = {"tokenize": False, "add_generation_prompt": True}
    return str(processor.apply_chat_template(messages, **{**arguments, **forced}))
