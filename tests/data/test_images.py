"""Images as they come: what is shown of them, and what is refused, whatever the bytes are."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from verl_medu1.data.images.decode import FORMATS, decode
from verl_medu1.data.images.encode import encode
from verl_medu1.data.images.gray import shades
from verl_medu1.data.images.limits import MOST_ASPECT, MOST_BYTES, MOST_PIXELS
from verl_medu1.data.images.words import FIRST_FRAME, TURNED, WINDOWED, ImageFault

PATIENT = "Ada Lovelace, born 1815"


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def half(mode: str, left: object, right: object, size: tuple[int, int] = (40, 20)) -> Image.Image:
    """An image whose halves are of two colours."""
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def png_of(header: bytes, pixels: bytes) -> bytes:
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def png_header(width: int, height: int) -> bytes:
    """A file of few bytes that claims to be an image of this size."""

    return png_of(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"\0" * 1000)


def deep_png(most: int) -> bytes:
    """Colours of 16 bits up to a value, which Pillow can't write."""

    rows = np.linspace(0, most, 4 * 8 * 3).astype(">u2").reshape(4, 8 * 3)
    return png_of(struct.pack(">IIBBBBB", 8, 4, 16, 2, 0, 0, 0), b"".join(b"\0" + row.tobytes() for row in rows))


def corners(data: bytes) -> tuple:
    """The upper left and lower right pixel of what is shown, to 8 shades."""
    image = decode(data).image
    assert image.mode == "RGB"
    return tuple(
        tuple((np.asarray(image)[place].astype(int) + 4) // 8 * 8) for place in ((0, 0), (image.height - 1, -1))
    )


BLACK, WHITE, RED = (0, 0, 0), (256, 256, 256), (256, 0, 0)
DEEP = np.tile(np.array([[100] * 20 + [3000] * 20], np.uint16), (20, 1))
PALETTE = half("P", 0, 1)
PALETTE.putpalette([255, 0, 0, 0, 0, 255])
WHITE_IS_ZERO = {262: 0}
# Pillow writes the tag of signed numbers.
UNSIGNED = saved(Image.fromarray((DEEP.astype(np.uint32) * 1_000_000).view(np.int32)), "TIFF").replace(
    struct.pack("<HHIHH", 339, 3, 1, 2, 0), struct.pack("<HHIHH", 339, 3, 1, 1, 0)
)
ROTATED = Image.Exif()
ROTATED[0x0112], ROTATED[0x010E] = 6, PATIENT

SHOWN = [
    ("gray", saved(half("L", 0, 255), "PNG"), BLACK, WHITE, set()),
    ("one bit", saved(half("1", 0, 1), "PNG"), BLACK, WHITE, set()),
    ("colours", saved(half("RGB", "red", "white"), "BMP"), RED, WHITE, set()),
    ("CMYK as JPEG", saved(half("CMYK", (0, 255, 255, 0), (0, 0, 0, 0)), "JPEG"), RED, WHITE, set()),
    ("YCbCr as TIFF", saved(half("RGB", "red", "white").convert("YCbCr"), "TIFF"), RED, WHITE, set()),
    ("16 bits", saved(Image.fromarray(DEEP), "PNG"), BLACK, WHITE, {WINDOWED}),
    ("32 bits", saved(Image.fromarray(DEEP.astype(np.int32)), "TIFF"), BLACK, WHITE, {WINDOWED}),
    ("fractions", saved(Image.fromarray(DEEP.astype(np.float32)), "TIFF"), BLACK, WHITE, {WINDOWED}),
    ("16 bits, white is zero", saved(Image.fromarray(DEEP), "TIFF", tiffinfo=WHITE_IS_ZERO), WHITE, BLACK, {WINDOWED}),
    (
        "32 bits, the largest are bright",
        UNSIGNED,
        BLACK,
        WHITE,
        {WINDOWED},
    ),
    ("palette", saved(PALETTE, "PNG"), RED, (0, 0, 256), set()),
    ("palette, partly transparent", saved(PALETTE, "PNG", transparency=b"\xff\0"), RED, WHITE, set()),
    ("alpha", saved(half("RGBA", (255, 0, 0, 255), (0, 0, 0, 0)), "PNG"), RED, WHITE, set()),
    ("gray and alpha", saved(half("LA", (0, 255), (0, 0)), "PNG"), BLACK, WHITE, set()),
    ("WebP", saved(half("RGB", "red", "white"), "WEBP", lossless=True), RED, WHITE, set()),
    # Upright, the left half is above.
    ("turned", saved(half("RGB", "red", "white"), "JPEG", exif=ROTATED), RED, WHITE, {TURNED}),
    *(
        (
            f"animated {kind}",
            saved(half("RGB", "red", "white"), kind, save_all=True, append_images=[Image.new("RGB", (40, 20))]),
            RED,
            WHITE,
            {FIRST_FRAME},
        )
        for kind in ("GIF", "PNG", "TIFF")
    ),
]


@pytest.mark.parametrize(("data", "first", "last", "notes"), [case[1:] for case in SHOWN], ids=[c[0] for c in SHOWN])
def test_what_is_shown(data, first, last, notes):
    assert corners(data) == (first, last) and decode(data).notes == notes
    assert corners(encode(decode(data))) == (first, last)


def test_an_image_is_turned_upright():
    for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
        turned = decode(saved(half("RGB", "red", "white"), kind, exif=ROTATED))
        assert turned.image.size == (20, 40) and turned.notes == {TURNED}


FAULTS = [
    ("nothing", b"", "it is empty"),
    ("a bomb", png_header(60_000, 60_000), "it has more than 50 million pixels"),
    ("a bomb that Pillow only warns of", png_header(10_000, 10_000), "it has more than 50 million pixels"),
    ("no pixels", png_header(0, 5), "it is"),
    ("fewer pixels than claimed", png_header(200, 200), "it is cut off or broken"),
    ("a line", saved(Image.new("L", (4040, 4)), "PNG"), "one side is more than 100 times the other"),
    ("a cut JPEG", saved(half("RGB", "red", "white", (400, 400)), "JPEG")[:-900], "it is cut off or broken"),
    ("a cut PNG", saved(Image.effect_noise((200, 200), 90), "PNG")[:-900], "it is cut off or broken"),
    ("a header alone", saved(half("L", 0, 1), "JPEG")[:20], "it is"),
    ("a page named .png", b"<!DOCTYPE html><html><body>404</body></html>", "it is none of PNG, JPEG, GIF"),
    ("SVG", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "it is none of PNG"),
    ("PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is none of PNG"),
    ("PDF", saved(Image.new("L", (9, 9)), "PDF"), "it is none of PNG"),
    ("12 bits of colour in 16", deep_png(4095), "its colours have 16 bits and use the lower ones alone"),
    ("no numbers", saved(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"), "values that are no numbers"),
]


@pytest.mark.parametrize(("data", "reason"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_what_is_refused(data, reason):
    with pytest.raises(ImageFault) as error:
        decode(data)
    assert reason in str(error.value) and "\n" not in str(error.value)
    assert error.value.reason.startswith("image: ") and str(error.value).startswith(error.value.reason)


def test_colours_of_16_bits_keep_the_upper_8():
    assert np.asarray(decode(deep_png(65535)).image).max() == 255


def test_a_file_that_is_too_large_is_refused_unread():
    with pytest.raises(ImageFault, match="more than 64 MiB"):
        decode(bytes(MOST_BYTES + 1))


@settings(max_examples=300)
@given(st.data())
def test_whatever_the_bytes_are_there_is_an_image_or_one_sentence(data):
    base = data.draw(st.sampled_from([case[1] for case in SHOWN]))
    broken = bytearray(base[: data.draw(st.integers(0, len(base)))])
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(base)), st.integers(0, 255)), max_size=6)):
        if place < len(broken):
            broken[place] = value
    try:
        decoded = decode(bytes(broken))
    except ImageFault as fault:
        assert "\n" not in str(fault) and len(str(fault)) < 300
    else:
        width, height = decoded.image.size
        assert decoded.image.mode == "RGB" and 0 < width * height <= MOST_PIXELS
        assert max(width, height) <= MOST_ASPECT * min(width, height)
        assert Image.open(io.BytesIO(encode(decoded, 32))).size <= (32, 32)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(28, 200))
def test_an_encoded_image_fits_and_keeps_its_shape(width, height, side):
    if max(width, height) > MOST_ASPECT * min(width, height):
        return
    size = Image.open(io.BytesIO(encode(decode(saved(Image.new("L", (width, height)), "PNG")), side))).size
    assert min(size) >= 1 and max(size) == min(side, max(width, height))
    # verl's processors refuse a side that is 200 times the other.
    assert max(size) < 200 * min(size)
    scale = max(size) / max(width, height)
    assert abs(size[0] - width * scale) < 1 and abs(size[1] - height * scale) < 1


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF"])
def test_nothing_but_pixels_is_written(kind):
    text = PngImagePlugin.PngInfo()
    text.add_text("Patient", PATIENT)
    text.add_itxt("XML:com.adobe.xmp", PATIENT)
    options = {
        "PNG": {"pnginfo": text, "exif": ROTATED, "icc_profile": PATIENT.encode()},
        "JPEG": {"comment": PATIENT.encode(), "exif": ROTATED, "icc_profile": PATIENT.encode()},
        "TIFF": {"description": PATIENT},
        "WEBP": {"exif": ROTATED, "xmp": PATIENT.encode()},
        "GIF": {"comment": PATIENT.encode()},
    }[kind]
    data = saved(half("RGB", "red", "white"), kind, **options)
    assert PATIENT.encode() in data
    written = encode(decode(data))
    assert PATIENT.encode() not in written
    assert not Image.open(io.BytesIO(written)).info.keys() & {"exif", "comment", "icc_profile", "xmp", "Patient"}


def test_lossless_images_stay_so_and_others_stay_small():
    noise = Image.effect_noise((300, 300), 90).convert("RGB")
    png, jpeg = (encode(decode(saved(noise, kind))) for kind in ("PNG", "JPEG"))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), np.asarray(noise))
    assert Image.open(io.BytesIO(jpeg)).format == "JPEG" and encode(decode(jpeg)) == encode(decode(jpeg))


def test_a_bright_label_leaves_the_rest_visible():
    values = np.random.default_rng(0).integers(900, 1100, (100, 100)).astype(np.uint16)
    values[:2, :10] = 65535
    assert np.asarray(shades(values)).std() > 50


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_an_even_area_is_shown(value):
    assert np.unique(np.asarray(shades(np.full((4, 4), value, np.uint16)))).size == 1


def test_the_formats_are_those_whose_decoders_pillow_has_built_in():
    assert {"EPS", "PDF", "WMF", "FITS"}.isdisjoint(FORMATS)
