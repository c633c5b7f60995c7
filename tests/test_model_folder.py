"""What a model's folder says of itself is what its weights are, for transformers 4 and 5."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from verl_medu1.model_folder import correct_description, dtype_of_weights, needs_transformers_5


def folder_of(path: Path, config: dict, **tensors: torch.Tensor) -> Path:
    (path / "config.json").write_text(json.dumps(config))
    if tensors:
        save_file(tensors, path / "model.safetensors")
    return path


@pytest.mark.parametrize(
    ("config", "dtype", "stated"),
    [
        ({"dtype": "bfloat16"}, torch.float32, "float32"),
        ({"torch_dtype": "bfloat16"}, torch.float32, "float32"),
        ({"dtype": "float32"}, torch.bfloat16, "bfloat16"),
        ({}, torch.float16, "float16"),
    ],
)
def test_the_precision_is_that_of_most_weights(tmp_path, config, dtype, stated):
    few = torch.ones(3, dtype=torch.float64)
    folder = folder_of(tmp_path, config, weight=torch.ones(8, 8, dtype=dtype), few=few)
    correct_description(folder)
    written = json.loads((folder / "config.json").read_text())
    assert written["dtype"] == dtype_of_weights(folder) == stated and "torch_dtype" not in written


def test_a_folder_without_weights_keeps_what_it_says(tmp_path):
    correct_description(folder_of(tmp_path, {"dtype": "bfloat16"}))
    assert json.loads((tmp_path / "config.json").read_text()) == {"dtype": "bfloat16"}


def test_rope_stands_where_each_version_reads_it(tmp_path):
    rope = {"rope_type": "llama3", "rope_theta": 100.0, "factor": 8.0}
    correct_description(folder_of(tmp_path, {"rope_parameters": rope}))
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["rope_theta"] == 100.0 and written["rope_parameters"] == rope
    assert written["rope_scaling"] == {"rope_type": "llama3", "factor": 8.0}
    assert not needs_transformers_5(tmp_path)


def test_rope_of_each_kind_of_layer_needs_transformers_5(tmp_path):
    correct_description(folder_of(tmp_path, {"rope_parameters": {"full": {"rope_theta": 1e6}}}))
    assert needs_transformers_5(tmp_path)


def test_a_tokenizer_is_readable_by_transformers_4(tmp_path):
    folder = folder_of(tmp_path, {})
    tokenizer = {"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["<a>"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    correct_description(folder)
    assert json.loads((folder / "tokenizer_config.json").read_text()) == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "additional_special_tokens": ["<a>"],
    }
