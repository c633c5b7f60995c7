"""How far perceptual hashes are apart: of changed copies of an image, and of different images of one kind.

python benchmarks/image_likeness.py

The images are drawn: soft organs at places that vary from patient to patient, ribs, noise, and a small finding. All
have one outline, as radiographs have, but they are none. With pydicom installed, its own test files (CT, MR,
ultrasound) are compared as well.
"""

import argparse
import io
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from verl_medu1.data.images.decode import decode
from verl_medu1.data.images.encode import encode
from verl_medu1.data.images.likeness import BITS, MOST_DIFFERENT, perceptual_hash
from verl_medu1.data.images.words import ImageFault

PATIENTS = 200
WIDTH, HEIGHT = 480, 512


def draw(rng: np.random.Generator) -> Image.Image:
    """Draw a chest of one patient."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    shade = 0.9 - 0.5 * (x**2 + y**2)

    def soften(at: tuple[float, float], size: tuple[float, float], depth: float) -> None:
        nonlocal shade
        column, row = at + rng.normal(0, 0.04, 2)
        width, height = np.array(size) * rng.normal(1, 0.1, 2)
        shade = shade + depth * rng.normal(1, 0.15) * np.exp(-(((x - column) / width) ** 2) - ((y - row) / height) ** 2)

    soften((-0.4, -0.1), (0.3, 0.6), -0.5)
    soften((0.4, -0.1), (0.3, 0.6), -0.5)
    soften((0.1, 0.2), (0.25, 0.3), 0.5)
    soften((0.0, 0.0), (0.1, 1.0), 0.3)
    shade = shade + 0.04 * np.sin(18 * y + 2 * np.abs(x) + rng.uniform(0, 6))
    finding = rng.uniform(-0.6, 0.6, 2)
    shade = shade + 0.2 * np.exp(-((x - finding[0]) ** 2 + (y - finding[1]) ** 2) / 0.003)
    shade = shade + rng.normal(0, 0.02, shade.shape)
    return Image.fromarray((shade.clip(0, 1) * 255).astype(np.uint8))


def changed(image: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    """Yield changed copies of an image."""
    for quality in (90, 50, 20):
        file = io.BytesIO()
        image.convert("L").save(file, "JPEG", quality=quality)
        yield f"JPEG of quality {quality}", Image.open(file)
    yield "half the size", image.resize((image.width // 2, image.height // 2))
    yield "10 % brighter", ImageEnhance.Brightness(image).enhance(1.1)
    yield "10 % more contrast", ImageEnhance.Contrast(image).enhance(1.1)
    yield "2 % cropped", image.crop((image.width // 100, image.height // 100, image.width, image.height))


def hash_of(image: Image.Image) -> int:
    file = io.BytesIO()
    image.save(file, "PNG")
    return perceptual_hash(encode(decode(file.getvalue())))


def report(title: str, distances: list[int]) -> None:
    near = sum(distance <= MOST_DIFFERENT for distance in distances)
    least, middle, most = np.percentile(distances, [0, 50, 100]).astype(int)
    print(f"{title:22} {len(distances):7} pairs: {least:3} to {most:3} bits, median {middle:3}; {near} are the same")


def report_times(image: Image.Image) -> None:
    """Print how long a large photograph of an image takes."""
    file = io.BytesIO()
    image.convert("RGB").resize((1440, 1536)).save(file, "JPEG")
    start = time.process_time()
    for _ in range(10):
        encoded = encode(decode(file.getvalue()))
    middle = time.process_time()
    for _ in range(10):
        perceptual_hash(encoded)
    seconds = time.process_time() - middle
    print(f"one core, JPEG of 1440 x 1536: {(middle - start) * 100:.0f} ms to prepare, {seconds * 100:.0f} ms to hash")


def of_dicom() -> list[tuple[str, Image.Image]]:
    """Return the images among pydicom's test files, without those that are one image in another encoding."""
    try:
        import pydicom
    except ImportError:
        return []
    found = []
    for path in sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm")):
        try:
            image = decode(path.read_bytes()).image
        except ImageFault:
            continue
        if min(image.size) >= 64 and not path.name.startswith("SC_"):
            found.append((path.stem, image))
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    rng = np.random.default_rng(0)
    images = [draw(rng) for _ in range(PATIENTS)]
    hashes = [hash_of(image) for image in images]
    print(f"{PATIENTS} drawn chests, {BITS} bits, the same up to {MOST_DIFFERENT}")
    copies: dict[str, list[int]] = {}
    for image, value in zip(images[:50], hashes, strict=False):
        for title, copy in changed(image):
            copies.setdefault(title, []).append((value ^ hash_of(copy)).bit_count())
    for title, distances in copies.items():
        report(title, distances)
    report("other patients", [(one ^ other).bit_count() for one, other in combinations(hashes, 2)])
    report_times(images[0])
    if dicom := of_dicom():
        named = [(name, hash_of(image)) for name, image in dicom]
        print(f"{len(named)} of pydicom's test files")
        pairs = [((one ^ other).bit_count(), name, twin) for (name, one), (twin, other) in combinations(named, 2)]
        report("all pairs", [distance for distance, _, _ in pairs])
        for distance, name, twin in sorted(pairs):
            if distance <= 40:
                print(f"  {distance:3} bits: {name}, {twin}")
        copies = {}
        for name, image in dicom:
            for title, copy in changed(image):
                copies.setdefault(title, []).append((dict(named)[name] ^ hash_of(copy)).bit_count())
        for title, distances in copies.items():
            report(title, distances)


if __name__ == "__main__":
    main()
