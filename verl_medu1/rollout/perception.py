"""Whether a response rests on the picture: how much more probable it is with it than with an empty one.

After CAPO (arXiv 2506.12849), whose perception reward prefers reasoning that is more probable under the picture than
under a perturbed one. docs/methods/capo.md says what is changed.
"""

from collections.abc import Sequence

from PIL import Image, ImageStat

from verl_medu1.rollout.log_prob import Generate, mean_log_prob


def emptied(image: Image.Image) -> Image.Image:
    """Return a picture of the same size in which nothing is to be seen: each pixel has the median colour.

    It is the same for the same picture, and takes as many tokens. A finding that covers less than half of the picture
    does not change its colour.

    Example:
        >>> picture = Image.new("RGB", (4, 4), (115, 115, 115))
        >>> picture.putpixel((1, 1), (240, 240, 240))
        >>> emptied(picture).getcolors()
        [(16, (115, 115, 115))]
    """
    shown = image.convert("RGB")
    red, green, blue = ImageStat.Stat(shown).median
    return Image.new("RGB", shown.size, (red, green, blue))


async def perception_gain(
    generate: Generate, prompt: Sequence[int], response: Sequence[int], log_probs: Sequence[float], most: int
) -> float | None:
    """Return how much more probable a response is with its picture than with an empty one, in nats per token.

    d = 1 / T * sum over t of [log p(y_t | y_<t, picture) - log p(y_t | y_<t, empty picture)].

    Args:
        generate: of the model's server, which is shown the empty picture.
        prompt: tokens of the prompt.
        response: its T tokens, y.
        log_probs: of each of them with the picture, as they were sampled.
        most: tokens that the server reads; what is longer is left out of both terms.

    Returns:
        None if no token can be read.
    """
    tokens = response[: max(0, most - len(prompt))]
    if not tokens:
        return None
    seen = sum(log_probs[: len(tokens)]) / len(tokens)
    return seen - await mean_log_prob(generate, prompt, tokens)


def perception(gain: float | None, full_at: float, is_right: bool) -> float:
    """Return what an answer is worth for resting on the picture: 1[right] * min(max(d / full_at, 0), 1).

    Args:
        gain: d of `perception_gain`; None without a picture.
        full_at: nats per token of it from which on the answer gets all.
        is_right: whether the answer is right, and the response well-formed.

    Example:
        >>> [perception(gain, 0.1, True) for gain in (0.05, 9.0, -1.0, None)], perception(9.0, 0.1, False)
        ([0.5, 1.0, 0.0, 0.0], 0.0)
    """
    return min(max(gain / full_at, 0.0), 1.0) if is_right and gain is not None else 0.0
