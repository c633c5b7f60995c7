"""The column of images: verl reads it, text-only files have none, and no text brings a placeholder of its own."""

import io
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from PIL import Image

from verl_medu1.data.budget import Budget
from verl_medu1.data.demonstrations import format_demonstrations, passage_demonstration
from verl_medu1.data.example import Example
from verl_medu1.data.generated.rows import dialogue_of
from verl_medu1.data.images.placeholders import PLACEHOLDER, placeholder_fault, with_placeholders
from verl_medu1.data.prompts import load_prompts
from verl_medu1.data.schema import DEMONSTRATIONS, QUESTIONS, question_row, with_images
from verl_medu1.data.storage import IMAGE_GROUP_ROWS, write_data_set

OPTIONS = (("A", "left"), ("B", "right"))


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 6), shade, np.uint8)).save(file, "PNG")
    return file.getvalue()


PICTURED = Example("MedQA", "1", "multiple_choice", "Which side?", "A", OPTIONS, images=(png(0), png(200)))
TEXT = Example("MedQA", "2", "multiple_choice", "Which side?", "B", OPTIONS)


def row(example: Example) -> dict:
    return question_row(example, load_prompts().messages(example, Budget()), Budget(), "train", 0)


def test_verl_puts_each_image_in_the_place_of_its_placeholder(tmp_path):
    from verl.utils.dataset.rl_dataset import RLHFDataset

    later = replace(PICTURED, question="Is <image> later than <image>?")
    rows = [row(example) for example in (PICTURED, later, TEXT)]
    write_data_set(tmp_path, {"train.parquet": (with_images(QUESTIONS), rows)}, {})
    config = OmegaConf.create({"filter_overlong_prompts": False, "cache_dir": str(tmp_path)})
    asked = RLHFDataset(str(tmp_path / "train.parquet"), tokenizer=None, config=config, processor=object())
    contents = [asked[place]["raw_prompt"][1]["content"] for place in range(3)]
    assert [part["type"] for part in contents[0]] == ["image", "image", "text"]
    assert contents[0][2]["text"].startswith("Which side?\nA. left")
    assert [part.get("text", "").split("\n")[0] for part in contents[1]] == ["Is ", "", " later than ", "", "?"]
    assert [part["image"].getpixel((0, 0)) for part in contents[1] if part["type"] == "image"] == [0, 200]
    assert contents[2].startswith("Which side?")


def test_demonstrations_have_the_images_of_their_questions():
    (worked,) = format_demonstrations([row(PICTURED)], {})
    passage = passage_demonstration(replace(PICTURED, reasoning="It is seen."), [])
    talked = dialogue_of(PICTURED, [("assistant", "Left.")], load_prompts())
    for demonstration in (worked, passage, talked):
        assert [image["bytes"] for image in demonstration["images"]] == list(PICTURED.images)
    assert worked["messages"][1]["content"].startswith("<image><image>Which side?")


def test_a_file_without_images_has_no_column_and_one_with_images_has_small_groups(tmp_path):
    rows = [row(TEXT)] * (IMAGE_GROUP_ROWS + 1)
    tables = {
        "text.parquet": (QUESTIONS, rows),
        "images.parquet": (with_images(QUESTIONS), rows),
        "worked.parquet": (DEMONSTRATIONS, list(format_demonstrations(rows, {}))),
    }
    write_data_set(tmp_path, tables, {})
    text, images, worked = (pq.ParquetFile(tmp_path / name) for name in tables)
    assert "images" not in (*text.schema_arrow.names, *worked.schema_arrow.names)
    assert (text.num_row_groups, images.num_row_groups) == (1, 2)
    # verl's data set for supervised training can't take the length of a null.
    assert images.read(["images"])["images"].null_count == 0


@pytest.mark.parametrize(
    ("question", "images", "fault"),
    [
        ("Which side?", 0, ""),
        ("Which side?", 2, ""),
        ("Is <image> later than <image>?", 2, ""),
        ("Is pO2 <90 and the image > 2 weeks old?", 0, ""),
        ("Is <image> normal?", 0, "its text has 1 <image>, and it has 0 images"),
        ("Is <image> normal?", 2, "its text has 1 <image>, and it has 2 images"),
        ("<image><image>Which side?", 1, "its text has 2 <image>, and it has 1 images"),
        ("Which <video>?", 1, "its text has <video>, which stands for a picture in some models"),
        ("Which <|image_pad|>?", 0, "its text has <|image_pad|>, which stands for a picture in some models"),
        ("<|vision_start|>Which?", 1, "its text has <|vision_start|>, which stands for a picture in some models"),
        ("<start_of_image>Which?", 1, "its text has <start_of_image>, which stands for a picture in some models"),
    ],
)
def test_placeholders_must_be_as_many_as_images(question, images, fault):
    assert placeholder_fault([with_placeholders(question, images)], images) == fault


@pytest.mark.parametrize("options", [OPTIONS, (("A", "left <image>"), ("B", "right"))])
@pytest.mark.parametrize("images", [(), (png(0),)])
@pytest.mark.parametrize("question", ["Which side?", "Which <image> <image>?", "<audio>Which side?"])
def test_no_prompt_has_placeholders_without_images(options, images, question):
    example = replace(PICTURED, question=question, options=options, images=images)
    if "<" in question or "<" in options[0][1]:
        with pytest.raises(ValueError, match="1 can't be shown: its text has"):
            load_prompts().messages(example, Budget())
    else:
        assert load_prompts().messages(example, Budget())[1]["content"].count(PLACEHOLDER) == len(images)


@given(st.lists(st.sampled_from(["<image>", "<", "image", ">", "a", " ", "|"]), max_size=12), st.integers(0, 3))
def test_what_passes_has_one_placeholder_per_image(pieces, images):
    text = with_placeholders("".join(pieces), images)
    if not placeholder_fault([text], images):
        assert text.count(PLACEHOLDER) == images
