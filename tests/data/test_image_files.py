"""Where images come from: bytes in a column, or files in a folder, and never from outside of it."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from verl_medu1.data.images.column import MOST_IMAGES, ImageColumns, ImageReader, ImageSettings
from verl_medu1.data.images.files import read_image
from verl_medu1.data.images.words import FIRST_FRAME, ImageFault


def png(shade: int = 0, size: tuple[int, int] = (8, 6)) -> bytes:
    file = io.BytesIO()
    Image.new("L", size, shade).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images, with a secret beside it."""
    inside = tmp_path / "images"
    (inside / "part").mkdir(parents=True)
    for name in ("a.png", "part/b.png", "two words.png"):
        (inside / name).write_bytes(png())
    (tmp_path / "secret.png").write_bytes(png(9))
    (inside / "out.png").symlink_to(tmp_path / "secret.png")
    (inside / "outside").symlink_to(tmp_path)
    (inside / "in.png").symlink_to(inside / "part" / "b.png")
    os.mkfifo(inside / "pipe.png")
    return inside


@pytest.mark.parametrize("name", ["a.png", "part/b.png", "part\\b.png", "./a.png", "two words.png", "in.png"])
def test_a_file_of_the_folder_is_read(folder, name):
    assert read_image(name, [folder / "none", folder]) == png()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.png", "leads out of the folder"),
        ("part/../../secret.png", "leads out of the folder"),
        ("..\\secret.png", "leads out of the folder"),
        ("/etc/passwd", "leads out of the folder"),
        ("a.png\0", "leads out of the folder"),
        ("out.png", "link out of the folder"),
        ("outside/secret.png", "link out of the folder"),
        ("http://example.org/a.png", "never from the network"),
        ("file:///etc/passwd", "never from the network"),
        ("data:image/png;base64,AAAA", "never from the network"),
        ("C:\\a.png", "it is an address"),
        ("none.png", "there is no such file"),
        ("part", "there is no such file"),
        ("pipe.png", "there is no such file"),
        ("a" * 5000, "it can't be read"),
    ],
)
def test_nothing_else_is(folder, name, reason):
    with pytest.raises(ImageFault, match=reason):
        read_image(name, [folder])


def test_without_a_folder_the_way_out_is_told():
    with pytest.raises(ImageFault, match="give --images NAME=FOLDER"):
        read_image("a.png", [])


def test_a_huge_file_is_not_read(folder):
    with (folder / "huge.png").open("wb") as file:
        file.truncate(2**40)  # of holes
    with pytest.raises(ImageFault, match=r"image huge\.png: it has more than 64 MiB"):
        read_image("huge.png", [folder])


@given(name=st.text(st.sampled_from("./\\abC:~ \0é"), max_size=12))
def test_no_name_leads_out(tmp_path_factory, name):
    inside = tmp_path_factory.getbasetemp() / "deep" / "images"
    inside.mkdir(parents=True, exist_ok=True)
    (inside / "a").write_bytes(b"inside")
    (inside.parent / "a").write_bytes(b"outside")
    try:
        assert read_image(name, [inside]) == b"inside"
    except ImageFault as fault:
        assert "\n" not in str(fault)


def reader(folder: Path, needed: bool = True) -> ImageReader:
    return ImageReader(ImageColumns(("image", "images"), needed=needed), [folder], 28)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (png(), 1),
        ({"bytes": png(), "path": "a.png"}, 1),
        ({"bytes": None, "path": "a.png"}, 1),
        ("a.png", 1),
        ("a.png | part/b.png", 2),
        (["a.png", {"bytes": png(), "path": None}], 2),
        ([png(), png(9)], 2),
    ],
)
def test_each_published_form_of_images_is_read(folder, value, number):
    for column in ("image", "images"):
        assert len(reader(folder).read({column: value})) == number


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "image: it is missing"),
        (float("nan"), "image: it is missing"),
        (" ", "image: it is missing"),
        ([], "image: it is missing"),
        (7, "neither a path nor bytes"),
        ([None], "neither a path nor bytes"),
        ({"bytes": None, "path": None}, "neither a path nor bytes"),
        ({"bytes": b"", "path": "scan.png"}, r"image scan\.png: it is empty"),
        ([png()] * (MOST_IMAGES + 1), "more than 8 of them"),
        (["a.png"] * 100_000, "more than 8 of them"),
        ({"bytes": b"<html>", "path": "scan.png"}, r"image scan\.png: it is none of PNG"),
    ],
)
def test_what_is_no_image_is_refused(folder, value, reason):
    with pytest.raises(ImageFault, match=reason):
        reader(folder).read({"image": value})


def test_where_images_are_optional_none_is_fine_and_counted(folder):
    images = reader(folder, needed=False)
    assert images.read({"question": "Which?"}) == () and len(images.read({"images": "a.png"})) == 1
    assert images.summary()["without"] == 1
    with pytest.raises(ImageFault, match="it is in image and in images; one of them must be empty"):
        images.read({"image": "a.png", "images": "part/b.png"})


def test_the_folder_that_a_user_gives_is_searched_alone(tmp_path):
    for name in ("images/a.png", "given/a.png", "given/images/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    columns = ImageColumns(("image",), ("images", "../images", "."))
    assert read_image("a.png", columns.within(tmp_path / "given")) == b"given/a.png"
    assert read_image("b.png", columns.within(tmp_path / "given")) == b"given/images/b.png"
    assert read_image("a.png", columns.beside(tmp_path / "given" / "rows.jsonl")) == b"images/a.png"


def test_names_that_begin_at_the_publications_folder_are_looked_for_there_alone(tmp_path):
    columns = ImageColumns(("image",), below="tables/open")
    published, elsewhere = tmp_path / "tables" / "open" / "a.json", tmp_path / "mine" / "open" / "a.json"
    assert columns.beside(published) == [tmp_path, published.parent]
    assert columns.beside(elsewhere) == [elsewhere.parent]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb.png", r"image a\nb.png: "),
        ("\x1b[2Ja.png", r"image \x1b[2Ja.png: "),
        ("\ud800.png", r"image \ud800.png: "),
        ("röntgen.png", "image röntgen.png: "),
        ("data:image/png;base64," + "A" * 400_000, "image data:...: "),
        ("a" * 9000, f"image {'a' * 80}...: "),
    ],
)
def test_a_name_is_shown_on_one_short_line(folder, name, shown):
    with pytest.raises(ImageFault) as error:
        reader(folder).read({"image": name})
    assert str(error.value).startswith(shown) and len(str(error.value)) < 400


def test_an_image_is_decoded_and_counted_once(folder):
    file = io.BytesIO()
    Image.new("L", (60, 60)).save(file, "GIF", save_all=True, append_images=[Image.new("L", (60, 60), 200)])
    images = reader(folder)
    first, second = images.read({"images": [file.getvalue()] * 2})
    assert first is second and Image.open(io.BytesIO(first)).size == (28, 28)
    for _ in range(2):
        with pytest.raises(ImageFault, match="cut off"):
            images.read({"image": file.getvalue()[:40]})
    images.read({"image": "a.png"})
    summary = images.summary()
    assert (summary["read"], summary["side"], summary["notes"]) == (2, 28, {FIRST_FRAME: 1})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"side": 27}, "--image-side is 27; it must be from 28 to 4096"),
        ({"side": 5000}, "--image-side is 5000"),
        ({"folders": {"medqa": Path(".")}}, "--images names medqa, which no --source or --benchmark reads"),
        ({"folders": {"slake": Path("none")}}, "--images slake=none is no folder"),
    ],
)
def test_a_mistake_in_the_settings_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        ImageSettings(**given).check(["slake"])
