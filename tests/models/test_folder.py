"""What a model's folder says of itself: the precision of its weights, and what transformers 4 and 5 read."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoTokenizer

from verl_medu1.models.folder import correct_description, dtype_of_weights, needs_transformers_5
from verl_medu1.models.tiny import train_tokenizer, write_tiny_model

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 1024,
}


def describe(folder, config):
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"} | config))
    correct_description(folder)
    return json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], "float16"),  # without weights it stays what it is
        ([torch.float32], "float32"),
        ([torch.bfloat16, torch.bfloat16], "bfloat16"),
        ([torch.bfloat16, torch.bfloat16, torch.float32], "bfloat16"),  # most of the numbers
        ([torch.float8_e4m3fn], "float16"),  # the precision of the parts that are not FP8
    ],
)
def test_the_precision_is_that_of_the_weights(tmp_path, files, expected):
    for number, dtype in enumerate(files):
        save_file({"weight": torch.zeros(4, 4).to(dtype)}, tmp_path / f"model-{number}.safetensors")
    found = describe(tmp_path, {"torch_dtype": "float16"})
    assert found.get("dtype", found.get("torch_dtype")) == expected
    assert len({"dtype", "torch_dtype"} & set(found)) == 1


@pytest.mark.parametrize(
    ("rope", "flat"),
    [
        ({"rope_theta": 100.0, "rope_type": "default"}, {"rope_theta": 100.0}),
        ({"rope_theta": 5e5, **LLAMA3}, {"rope_theta": 5e5, "rope_scaling": LLAMA3}),
        ({"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}, {}),
    ],
)
def test_the_rope_base_stands_where_transformers_4_reads_it(tmp_path, rope, flat):
    found = describe(tmp_path, {"rope_parameters": rope})
    assert {name: found[name] for name in ("rope_theta", "rope_scaling") if name in found} == flat
    assert needs_transformers_5(tmp_path) == (not flat)
    if flat:
        assert dict(AutoConfig.from_pretrained(tmp_path).rope_parameters) == rope


def test_a_configuration_of_version_4_stays(tmp_path):
    before = {"model_type": "llama", "rope_theta": 5e5, "rope_scaling": LLAMA3, "torch_dtype": "float16"}
    assert describe(tmp_path, before) == before and not needs_transformers_5(tmp_path)


def test_the_tokenizer_is_the_same_to_version_5_and_has_version_4s_names(tmp_path):
    texts = ["Which dose of the drug is right?"] * 20
    written = train_tokenizer(texts)
    write_tiny_model(texts, tmp_path, hidden=8, layers=1)
    found = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert found["additional_special_tokens"] == ["<|im_start|>"] and "extra_special_tokens" not in found
    read = AutoTokenizer.from_pretrained(tmp_path)
    text = "<|im_start|>user\nWhich dose? <think>two</think><|im_end|>"
    assert read(text)["input_ids"] == written(text)["input_ids"]
    assert set(read.all_special_tokens) == set(written.all_special_tokens)
    assert dtype_of_weights(tmp_path) == "float32"
