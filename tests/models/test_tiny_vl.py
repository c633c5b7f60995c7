"""The small model that sees images: the same seed gives the same model, and what it says depends on the image."""

from pathlib import Path

import pytest

from verl_medu1.models.tiny_vl import IMAGE, write_tiny_vl_model

TEXTS = ["Which side is it? A. left B. right <think>look left</think><answer>A</answer>"] * 9


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    assert 500_000 < write_tiny_vl_model(TEXTS, folder, seed=3) < 1_000_000
    return folder


def test_a_seed_gives_one_model(model: Path, tmp_path: Path) -> None:
    for seed, same in ((3, True), (4, False)):
        write_tiny_vl_model(TEXTS, tmp_path / str(seed), seed)
        name = "model.safetensors"
        assert ((tmp_path / str(seed) / name).read_bytes() == (model / name).read_bytes()) == same


def test_each_image_changes_what_comes_after_it(model: Path) -> None:
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor, network = AutoProcessor.from_pretrained(model), AutoModelForImageTextToText.from_pretrained(model)
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which side is it?"}]}
    prompt = processor.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
    seen = []
    for colour in ("black", "white"):
        inputs = processor(text=[prompt], images=[Image.new("RGB", (56, 84), colour)], return_tensors="pt")
        tokens = inputs["input_ids"][0].tolist()
        # 28 x 28 pixels are a token.
        assert tokens.count(processor.tokenizer.convert_tokens_to_ids(IMAGE)) == 2 * 3
        with torch.no_grad():
            seen.append((tokens.index(processor.image_token_id), network(**inputs).logits[0]))
    (start, black), (_, white) = seen
    assert torch.equal(black[:start], white[:start])
    assert not torch.allclose(black[-1], white[-1], atol=1e-3)


def test_a_text_of_the_same_words_needs_no_image(model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    # verl renders text alone as strings, and with images as parts.
    as_text = [{"role": "user", "content": "Which side is it?"}]
    as_parts = [{"role": "user", "content": [{"type": "text", "text": "Which side is it?"}]}]
    assert tokenizer.apply_chat_template(as_text, tokenize=False) == tokenizer.apply_chat_template(
        as_parts, tokenize=False
    )
