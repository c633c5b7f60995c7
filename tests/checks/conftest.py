"""A data set with pictures, and models for it."""

from pathlib import Path

import pytest

from verl_medu1.data.generated.images_files import prepare_images
from verl_medu1.data.generated.prepare import PROMPTS_FILE
from verl_medu1.data.prompts import load_prompts
from verl_medu1.models.tiny import read_warmup_texts, write_tiny_model
from verl_medu1.models.tiny_vl import write_tiny_vl_model


@pytest.fixture(scope="package")
def pictured(tmp_path_factory) -> Path:
    """Generated pictures, a model that sees them, and one that does not."""
    out = tmp_path_factory.mktemp("pictured")
    prepare_images(out / "data", load_prompts(PROMPTS_FILE), 24, 24, seed=0)
    write_tiny_vl_model(read_warmup_texts(out / "data"), out / "model")
    write_tiny_model(read_warmup_texts(out / "data"), out / "blind")
    return out
