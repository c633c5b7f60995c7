"""Finds names in a text, however they are written in it."""

import html
import re
import unicodedata
from collections.abc import Iterable

# A longer name may also begin a word: "pneumonias".
_SHORT = 5
_TAG = re.compile(r"<[^<>]*>")


class Names:
    """Names that must not be said.

    A name is found in any case, with or without accents, with anything but letters and digits between its letters, and
    across tags of a markup. Other words for the same, a translation or a spelling mistake are not found.

    Args:
        names: at least two letters or digits each, one of them a letter; others are left out.

    Example:
        >>> names = Names(["Ménière's disease", "MI"])
        >>> names.are_in("MENI\\u200bERES <b>dis</b>ease"), names.are_in("It is an M.I."), names.are_in("My family")
        (True, True, False)
    """

    def __init__(self, names: Iterable[str]) -> None:
        letters = {"".join(_plain(name).split()) for name in names}
        usable = sorted(name for name in letters if len(name) > 1 and any(sign.isalpha() for sign in name))
        patterns = (rf"(?<!\S){' *'.join(name)}" + (r"(?!\S)" if len(name) <= _SHORT else "") for name in usable)
        self._pattern = re.compile("|".join(patterns)) if usable else None

    def are_in(self, text: str) -> bool:
        """Return whether one of the names is in a text."""
        if self._pattern is None:
            return False
        unescaped = html.unescape(html.unescape(text))
        return any(self._pattern.search(_plain(form)) for form in (unescaped, _TAG.sub("", unescaped)))


def _plain(text: str) -> str:
    """Return letters and digits in one case and without accents, and spaces for everything else."""
    parts = unicodedata.normalize("NFKD", text).casefold()
    kept = (sign for sign in parts if not unicodedata.category(sign).startswith("M"))
    return "".join(sign if sign.isalnum() else " " for sign in kept)
