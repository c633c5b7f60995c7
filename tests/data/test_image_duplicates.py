"""Duplicates by image: of the same words about another image there is none, and an image of a benchmark is known."""

import io
import json
from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.data.test_image_sources import SLAKE, VQA_RAD, picture, slake_records, write, write_images
from verl_medu1.cli.prepare import prepare
from verl_medu1.cli.validate import validate
from verl_medu1.data.benchmark import read_benchmark
from verl_medu1.data.duplicates import Duplicate, DuplicateFinder
from verl_medu1.data.example import Example
from verl_medu1.data.images.decode import decode
from verl_medu1.data.images.encode import encode
from verl_medu1.data.images.likeness import BITS, MOST_DIFFERENT, LikenessIndex, looks_like, perceptual_hash
from verl_medu1.evaluate.questions import read_questions

QUESTION, OTHER = "Is there a fracture of the left arm?", "Is there a tumour in the right lung of this patient?"


def again(data: bytes, kind: str = "JPEG", scale: float = 1.0, **options) -> bytes:
    """The same image, saved another time."""
    image = Image.open(io.BytesIO(data)).convert("L")
    image = image.resize((round(image.width * scale), round(image.height * scale)))
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def example(question: str, *images: bytes, gold: str = "A", group: str = "") -> Example:
    options = (("A", "yes"), ("B", "no"))
    return Example("SLAKE", "1", "multiple_choice", question, gold, options, images=images, group=group)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("change", [{"quality": 60}, {"scale": 0.5}, {"scale": 2.0}, {"kind": "PNG"}])
def test_the_same_image_saved_again_looks_the_same(seed, change):
    first, second = (perceptual_hash(encode(decode(data))) for data in (picture(seed), again(picture(seed), **change)))
    assert looks_like(first, second)


def test_other_images_and_mirrored_ones_do_not():
    hashes = [perceptual_hash(picture(seed)) for seed in range(60)]
    assert not any(looks_like(hashes[a], hashes[b]) for a in range(60) for b in range(a))
    file = io.BytesIO()
    ImageOps.mirror(Image.open(io.BytesIO(picture(0)))).save(file, "PNG")
    assert not looks_like(perceptual_hash(file.getvalue()), hashes[0])


def test_even_images_are_all_the_same():
    hashes = set()
    for shade in (0, 17, 255):
        file = io.BytesIO()
        Image.fromarray(np.full((30, 40), shade, np.uint8)).save(file, "PNG")
        hashes.add(perceptual_hash(file.getvalue()))
    assert len(hashes) == 1


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 2**BITS - 1), min_size=1, max_size=8),
    st.data(),
)
def test_the_index_finds_what_comparing_all_pairs_finds(values, data):
    for value in list(values):
        flipped = data.draw(st.sets(st.integers(0, BITS - 1), max_size=MOST_DIFFERENT + 3))
        values.append(value ^ sum(1 << bit for bit in flipped))
    index = LikenessIndex([[value] for value in values])
    for value in values:
        assert index.rows_like([value]) == [i for i, other in enumerate(values) if looks_like(value, other)]


@pytest.mark.parametrize(
    ("first", "second", "duplicate"),
    [
        (example(QUESTION, picture(1)), example(QUESTION, picture(1)), Duplicate(0, exact=True)),
        (example(QUESTION, picture(1)), example(QUESTION, again(picture(1))), Duplicate(0, exact=False)),
        (example(QUESTION, picture(1)), example(QUESTION, picture(2)), None),
        (example(QUESTION, picture(1)), example(QUESTION), None),
        (example(QUESTION), example(QUESTION), Duplicate(0, exact=True)),
        (example(QUESTION, picture(1)), example(OTHER, picture(1)), None),
        (example(QUESTION, picture(1)), example(QUESTION, again(picture(1)), gold="B"), None),
        (example(QUESTION, picture(1), picture(2)), example(QUESTION, picture(1)), None),
        (example(QUESTION, picture(1), picture(2)), example(QUESTION, picture(2), picture(1)), None),
    ],
)
def test_what_is_a_duplicate(first, second, duplicate):
    finder = DuplicateFinder()
    found = finder.within(finder.sketch([first, second]))
    assert found.get(1) == duplicate


@pytest.mark.parametrize(
    ("row", "known"),
    [
        (example(QUESTION, picture(1)), True),
        (example(OTHER, again(picture(1), scale=0.5)), True),
        (example(QUESTION, picture(3), picture(1)), True),
        (example(QUESTION, picture(3)), False),
        (example(QUESTION), False),
        (example(OTHER), True),
    ],
)
def test_an_image_of_a_benchmark_is_known_whatever_is_asked(row, known):
    finder = DuplicateFinder()
    benchmark = finder.sketch([example(QUESTION, picture(1)), example(OTHER)])
    assert bool(finder.across(finder.sketch([row]), benchmark)) == known


def test_many_questions_of_the_same_words_are_told_apart():
    rows = [example(QUESTION, picture(seed)) for seed in range(100)]
    finder = DuplicateFinder()
    assert finder.within(finder.sketch([*rows, rows[7]])) == {100: Duplicate(7, exact=True)}


@pytest.mark.parametrize("keep", [False, True])
def test_prepare_drops_images_of_a_benchmark_and_counts_them(tmp_path, keep):
    write_images(tmp_path, [f"imgs/xmlab{place}/source.jpg" for place in range(30)])
    file = write(tmp_path / "train.json", slake_records(30))
    # Three of the images, saved again by others, with questions of theirs.
    (tmp_path / "rad").mkdir()
    records = []
    for place in (4, 5, 6):
        image = (tmp_path / "imgs" / f"xmlab{place}" / "source.jpg").read_bytes()
        (tmp_path / "rad" / f"synpic{place}.jpg").write_bytes(again(image, scale=2, quality=70))
        records.append({**VQA_RAD, "qid": place, "image_name": f"synpic{place}.jpg"})
    benchmark = write(tmp_path / "rad" / "rad.json", records)
    prepare([f"slake={file}"], tmp_path / "out", benchmark=[f"vqa-rad={benchmark}"], keep_contaminated=keep)
    entry = json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"]["slake"]
    assert (entry["contaminated"], entry["by_image"]) == (9, 9)
    assert entry["train"] + entry["test"] == (90 if keep else 81)


@pytest.mark.parametrize(("gold", "is_duplicate"), [("right", False), ("Left.", True)])
def test_what_an_open_ended_answer_depends_on_may_be_too_small_for_a_hash(gold, is_duplicate):
    first, second = (
        Example("q", "1", "open_ended", "On which side is the clip?", answer, images=(image,))
        for answer, image in (("left", picture(1)), (gold, again(picture(1))))
    )
    finder = DuplicateFinder()
    assert finder.within(finder.sketch([first, second])) == ({1: Duplicate(0, exact=False)} if is_duplicate else {})


@pytest.mark.parametrize(
    ("images", "reason", "is_in_header"),
    [
        (None, "its text has 1 <image>, and it has 0 images", True),
        ([{"bytes": None}], "image: it has no bytes", True),
        ([{"bytes": b"%!PS"}], "image: it is none of PNG", True),
        ([{"bytes": picture(1)[:200]}], "image: it is cut off or broken", False),
    ],
)
def test_a_prepared_file_whose_images_another_program_changed_is_looked_at(tmp_path, images, reason, is_in_header):
    write_images(tmp_path, [f"imgs/xmlab{place}/source.jpg" for place in range(12)])
    prepare([f"slake={write(tmp_path / 'train.json', slake_records(12))}"], tmp_path / "first")
    file = tmp_path / "first" / "train.parquet"
    rows = pq.read_table(file).to_pylist()
    rows[2]["images"] = images
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(file)), file)
    with pytest.raises(ValueError, match=f"--benchmark {file}, row 2: {reason}"):
        read_benchmark(str(file))
    with pytest.raises(ValueError, match=f"--data {file}, row 2: {reason}") if is_in_header else nullcontext():
        read_questions(file)
    with pytest.raises(typer.Exit):
        validate(str(file))


def test_a_prepared_file_with_images_is_a_benchmark(tmp_path):
    write_images(tmp_path, [f"imgs/xmlab{place}/source.jpg" for place in range(12)])
    prepare([f"slake={write(tmp_path / 'train.json', slake_records(12))}"], tmp_path / "first")
    test = tmp_path / "first" / "test.parquet"
    images = {image["bytes"] for row in pq.read_table(test).to_pylist() for image in row["images"]}
    read = read_benchmark(str(test)).examples
    assert {image for example in read for image in example.images} == images
    assert all(len(example.images) == 1 for example in read)
    prepare([f"slake={tmp_path / 'train.json'}"], tmp_path / "second", benchmark=[str(test)], test_share=0)
    rows = pq.read_table(tmp_path / "second" / "train.parquet").to_pylist()
    assert len(rows) == 36 - 3 * len(images) and not images & {row["images"][0]["bytes"] for row in rows}


def test_an_own_split_has_no_image_on_both_sides_even_saved_again(tmp_path):
    names = [f"imgs/xmlab{place}/source.jpg" for place in range(40)]
    write_images(tmp_path, names)
    for place in range(20):  # the second half is the first, saved again
        first = (tmp_path / names[place]).read_bytes()
        (tmp_path / names[place + 20]).write_bytes(again(first, quality=70))
    records = [
        {
            **SLAKE,
            "img_name": name.removeprefix("imgs/"),
            "qid": place,
            "question": f"{QUESTION} {place}?",
            "answer": "Yes",
        }
        for place, name in enumerate(names)
    ]
    prepare([f"slake={write(tmp_path / 'train.json', records)}"], tmp_path / "out", test_share=0.2)
    sides = {}
    for side in ("train", "test"):
        rows = pq.read_table(tmp_path / "out" / f"{side}.parquet").to_pylist()
        sides[side] = [perceptual_hash(row["images"][0]["bytes"]) for row in rows]
    assert len(sides["test"]) == 8
    assert not any(looks_like(a, b) for a in sides["train"] for b in sides["test"])
