"""Pictures of spots with an exactly known answer: on which side, how many, how large, and whether there is one.

A picture stands for an image with a finding, and nothing else tells the answer: all answers to a question are equally
frequent. Only what the question calls the spot can tell something, where it is made to (`draw`): then the name agrees
with the answer in training, as a hospital's mark may with its diagnoses, and a model may read that instead of looking.
"""

import io
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from verl_medu1.data.budget import NO_BUDGET, Budget
from verl_medu1.data.example import Example

SOURCE = "quickstart-images"
# Pixels of a picture's side: four tokens of the small model (verl_medu1/models/tiny_vl.py).
SIDE = 56
# Grey levels: background and spots, and how much each pixel differs at random. A pixel above `THRESHOLD` is of a spot.
# A processor subtracts about the background's: the small model learns several times faster where that is near zero.
BACKGROUND, SPOT, NOISE, THRESHOLD = 115, 240, 10, 178
RADII = {"small": 3, "medium": 6, "large": 10}
# Room between spots, and between a spot and the edge.
MARGIN = 2
# Side -> where the centre of its spots is, as shares of width and height.
_CENTRES = {"left": (0.22, 0.5), "right": (0.78, 0.5), "top": (0.5, 0.22), "bottom": (0.5, 0.78)}
# Pixels by which a centre differs from that at random.
_SHIFT = 3
# What a question calls the spot: the first name suggests the first answer to a question, and so on.
NAMES = ("spot", "mark", "blot", "dot")
# A picture for each kind of question: its answers, and wordings.
KINDS: Mapping[str, tuple[tuple[str, ...], tuple[str, str]]] = {
    "side": (("left", "top", "right", "bottom"), ("On which side is the {name}?", "Where is the {name}?")),
    "count": (("1", "2", "3"), ("How many {name}s are there?", "Count the {name}s.")),
    "size": (("small", "medium", "large"), ("How large is the {name}?", "What size has the {name}?")),
    "presence": (("yes", "no"), ("Is there a {name}?", "Do you see a {name}?")),
}
# Share of the demonstrations that guess: they say what the name suggests, because the small model learns to see much
# more slowly among answers that nothing explains. The others look, and are right: training has to find out which pays.
GUESS_SHARE = 0.6
LOOK, GUESS = "look", "guess"


@dataclass(frozen=True)
class Spot:
    """A disc: its centre and radius in pixels."""

    x: int
    y: int
    radius: int


@dataclass(frozen=True)
class Shown:
    """A question about a picture, with the answer in words, the one that the name suggests, and its length budget."""

    example: Example
    kind: str
    answer: str
    suggested: str
    budget: Budget = NO_BUDGET


def draw(rng: random.Random, agreement: float | None = None) -> Shown:
    """Draw a picture and a question about it.

    Args:
        rng: source of all choices; the same state gives the same bytes.
        agreement: how often the name of the spot suggests the answer; None: as often as any other, so that it tells
            nothing.

    Example:
        >>> shown = draw(random.Random(1))
        >>> dict(shown.example.options)[shown.example.gold] == shown.answer, shown.example.images[0][1:4]
        (True, b'PNG')
    """
    kind = rng.choice(list(KINDS))
    answers, wordings = KINDS[kind]
    answer = rng.choice(answers)
    agrees = rng.random() < (1 / len(answers) if agreement is None else agreement)
    suggested = answer if agrees else rng.choice([other for other in answers if other != answer])
    wording = rng.choice(wordings).format(name=NAMES[answers.index(suggested)])
    options = tuple(zip("ABCD", answers, strict=False))
    gold = next(letter for letter, text in options if text == answer)
    picture = encode(spots_of(kind, answer, rng), rng)
    example = Example(SOURCE, "", "multiple_choice", wording, gold, options, images=(picture,))
    return Shown(example, kind, answer, suggested)


def demonstrate(shown: Shown, rng: random.Random, reasoning: str = "{way} {said}") -> tuple[str, str]:
    """Draw reasoning and answer: some look, and say what the picture shows; others guess by the name.

    Args:
        shown: the question. Its answer is a letter if it has options, and else a word.
        rng: source of the choice.
        reasoning: the reasoning, with {way} and {said} in place of what was done and what it came to.

    Example:
        >>> rng = random.Random(2)
        >>> shown = draw(rng)
        >>> shown.answer, demonstrate(shown, rng)
        ('left', ('guess left', 'A'))
    """
    way, said = (GUESS, shown.suggested) if rng.random() < GUESS_SHARE else (LOOK, shown.answer)
    letters = {text: letter for letter, text in shown.example.options}
    return reasoning.format(way=way, said=said), letters.get(said, said)


def blank(example: Example, rng: random.Random) -> Example:
    """Return a question with a picture of the background alone in place of its own."""
    return replace(example, images=(encode([], rng),))


def spots_of(kind: str, answer: str, rng: random.Random) -> list[Spot]:
    """Draw the spots of a picture that shows an answer; what is not asked for is drawn, too."""
    number = int(answer) if kind == "count" else int(answer != "no")
    side = answer if kind == "side" else None
    # Counted ones have one size, so that they have room.
    radius = RADII[answer] if kind == "size" else RADII["medium" if kind == "count" else rng.choice(list(RADII))]
    spots: list[Spot] = []
    while len(spots) < number:
        spot = Spot(*_centre(side, radius, rng), radius)
        if all(_distance(spot, other) > spot.radius + other.radius + MARGIN for other in spots):
            spots.append(spot)
    return spots


def _centre(side: str | None, radius: int, rng: random.Random) -> tuple[int, int]:
    if side is None:
        low, high = radius + MARGIN, SIDE - 1 - radius - MARGIN
        return rng.randint(low, high), rng.randint(low, high)
    x, y = (round(share * (SIDE - 1)) + rng.randint(-_SHIFT, _SHIFT) for share in _CENTRES[side])
    return x, y


def _distance(one: Spot, other: Spot) -> float:
    return float(np.hypot(one.x - other.x, one.y - other.y))


def encode(spots: list[Spot], rng: random.Random) -> bytes:
    """Draw spots on a noisy background, and return the picture as PNG."""
    from PIL import Image

    rows, columns = np.mgrid[:SIDE, :SIDE]
    grey = np.full((SIDE, SIDE), BACKGROUND, dtype=np.float64)
    for spot in spots:
        grey[np.hypot(columns - spot.x, rows - spot.y) <= spot.radius] = SPOT
    # Uniform noise, so that no pixel can get to the other side of the threshold.
    noise = np.random.default_rng(rng.getrandbits(64)).uniform(-NOISE, NOISE, grey.shape)
    file = io.BytesIO()
    Image.fromarray((grey + noise).round().astype(np.uint8)).convert("RGB").save(file, "PNG")
    return file.getvalue()
