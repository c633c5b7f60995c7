"""Prompts with images: the same tokens and pixels as verl's agent loop, and processors that verl does not know."""

import asyncio
import io
import warnings
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from verl_medu1.data.images.shown import data_url, length_with_images, load_processor, see, with_images, with_urls
from verl_medu1.models.tiny_vl import write_tiny_vl_model

MESSAGES = [
    {"role": "system", "content": "Think, then answer."},
    {"role": "user", "content": "<image>Which differs from <image>, and how?"},
]


def png(width: int, height: int, grey: int = 90) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height), grey).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_tiny_vl_model(["Which differs, and how? Think, then answer. <think>a</think><answer>B</answer>"] * 9, folder)
    return folder


@pytest.fixture(scope="module")
def processor(model: Path) -> Any:
    return load_processor(str(model), "model.path")


def test_messages_are_split_at_their_images() -> None:
    system, user = with_images(MESSAGES, [png(3, 4), png(5, 6)])
    assert system["content"] == [{"type": "text", "text": "Think, then answer."}]
    assert [part["type"] for part in user["content"]] == ["image", "text", "image", "text"]
    assert [part["image"].size for part in user["content"] if part["type"] == "image"] == [(3, 4), (5, 6)]
    *_, user = with_urls(MESSAGES, [png(3, 4), b"\xff\xd8\xff"])
    urls = [part["image_url"]["url"].partition(",")[0] for part in user["content"] if part["type"] == "image_url"]
    assert urls == ["data:image/png;base64", "data:image/jpeg;base64"]
    assert data_url(b"RIFF").startswith("data:image/webp;")


@pytest.mark.parametrize("sizes", [[(56, 56), (56, 56)], [(1, 1), (300, 30)], [(640, 480), (57, 90)]])
def test_the_prompt_is_that_of_verls_agent_loop(processor: Any, sizes: list[tuple[int, int]]) -> None:
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset
    from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder
    from verl.workers.rollout.utils import qwen2_5_vl_dedup_image_tokens

    images = [png(*size) for size in sizes]
    seen = see(processor, MESSAGES, images, {})

    rows = object.__new__(RLHFDataset)
    rows.image_key, rows.video_key, rows.audio_key, rows.processor = "images", "videos", "audios", processor
    row = {"prompt": [dict(message) for message in MESSAGES], "images": [{"bytes": image} for image in images]}
    messages = rows._build_messages(row, "prompt")
    theirs, _, _ = asyncio.run(RLHFDataset.process_multi_modal_info(messages, 14, OmegaConf.create()))
    builder = create_continuous_token_builder(processor.tokenizer, hf_model_type="qwen2_5_vl", processor=processor)
    tokens = builder.build_initial_tokens(messages, images=theirs)

    assert [image.tobytes() for image in seen.images] == [image.tobytes() for image in theirs]
    assert seen.tokens == qwen2_5_vl_dedup_image_tokens(tokens, processor)
    assert seen.length == len(tokens) == length_with_images(processor, MESSAGES, images, {})


def test_a_model_without_a_processor_that_verl_knows_is_refused_by_name(tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPProcessor, Qwen2Tokenizer

    tokenizer = Qwen2Tokenizer(eos_token="<end>", pad_token="<pad>")
    CLIPProcessor(CLIPImageProcessor(), tokenizer).save_pretrained(tmp_path)
    CLIPConfig().save_pretrained(tmp_path)
    with warnings.catch_warnings(), pytest.raises(ValueError, match=r"model\.path is .*CLIPProcessor.*Qwen2\.5-VL"):
        load_processor(str(tmp_path), "model.path")


def test_a_model_of_text_alone_is_refused(tmp_path: Path) -> None:
    from verl_medu1.models.tiny import write_tiny_model

    write_tiny_model(["Which one?"] * 9, tmp_path)
    with pytest.raises(ValueError, match=r"with which verl can't show images"):
        load_processor(str(tmp_path), "actor_rollout_ref.model.path")
