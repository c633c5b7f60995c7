"""Normalisation shared by the scorers: reduces Unicode, LaTeX and Markdown to plain text."""

import html
import re
import unicodedata
from collections.abc import Iterable

# Scripts without spaces between words, as a regular-expression character range.
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
# Greek letters and arrows, spelled out.
GREEK = str.maketrans(
    {"\u03b1": "alpha", "\u03b2": "beta", "\u03b3": "gamma", "\u03b4": "delta", "\u03ba": "kappa", "\u03bb": "lambda"}
    | {"\u03b5": "epsilon", "\u03b8": "theta", "\u03c3": "sigma", "\u03c4": "tau", "\u03c9": "omega"}
    | {"\u2191": " increased ", "\u2193": " decreased "}
)

_COMBINING = re.compile("[\u0300-\u036f]")
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_SUPERSCRIPT = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207a\u207b]+")
_VULGAR_FRACTION = re.compile("(?<=[0-9])(?=[\u00bc-\u00be\u2150-\u215e])")
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys("\u2018\u2019\u02bc\u2032\u00b4", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u2033", '"')
    | {"\u2044": "/", "\u00b5": "u", "\u03bc": "u", "\u2264": "\u2264", "\u2a7d": "\u2264", "\u2a7e": "\u2265"}
    | {"\u22c5": "\u00b7"}
)
_WRAPPED = re.compile(r"\s*(?:\[([^\[\]]*)\]|\{\s*\"?\w+\"?\s*:\s*\"?([^{}\"]*)\"?\s*\}|-\s+(.*))\s*", re.DOTALL)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_LATEX_COMMAND = re.compile(r"\\([A-Za-z]+|.)\*?", re.DOTALL)
_LATEX_MEANING = {
    "times": "\u00d7", "cdot": "\u00b7", "approx": "\u2248", "sim": "\u2248", "simeq": "\u2248", "pm": "\u00b1",
    "le": "\u2264", "leq": "\u2264", "ge": "\u2265", "geq": "\u2265", "lt": "<", "gt": ">",
    "ne": " not ", "neq": " not ", "circ": "\u00b0", "degree": "\u00b0",
    "mu": "u", "%": "%", "#": "#", "&": "&", "_": "_", "pi": "\u03c0",
    "alpha": "\u03b1", "beta": "\u03b2", "gamma": "\u03b3", "delta": "\u03b4",
    # commands that only set a style
    **dict.fromkeys(("boxed", "fbox", "text", "textbf", "textit", "textrm", "mathrm", "mathbf", "mathit", "mathsf",
                     "operatorname", "emph", "left", "right", "displaystyle", "!"), ""),
}  # fmt: skip


def plain(text: str) -> str:
    r"""Reduce typography and LaTeX to plain text, in compatibility form (NFKC), with single spaces.

    Superscripts become `^n`, all dashes and the minus sign `-`, micro signs `u`; HTML entities are resolved;
    `\boxed{x}` and the like become x, `\frac{a}{b}` becomes a/b. Invisible and bidirectional marks, Markdown's `**`
    and backticks are removed.

    Example:
        >>> plain("$\\boxed{2.5 \\times 10^{3}}$ mm²")
        '2.5 × 10^3 mm^2'
    """
    if not text.isascii():
        text = unicode_plain(text)
    if "&" in text:
        text = html.unescape(text).replace("\u00a0", " ")
    if "\\" in text or "$" in text:
        text = _without_latex(text)
    return " ".join(text.replace("**", " ").replace("`", " ").split())


def unicode_plain(text: str) -> str:
    """Do the Unicode part of `plain`: NFKC, one kind of dash and quote, no invisible characters."""
    text = _INVISIBLE.sub("", text)
    text = _SUPERSCRIPT.sub(lambda run: "^" + run[0], text)
    text = _VULGAR_FRACTION.sub(" ", text)
    return unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY)


def _without_latex(text: str) -> str:
    text = text.replace("{,}", ",")
    text = _LATEX_FRACTION.sub(r" \1/\2 ", text)
    text = _LATEX_COMMAND.sub(lambda command: _LATEX_MEANING.get(command[1], " "), text)
    return text.replace("{", "").replace("}", " ").replace("$", " ")


def unwrapped(text: str) -> str:
    """Strip a list, a JSON object with one key, or a bullet from around a text.

    Example:
        >>> unwrapped('{"answer": "C"}')
        'C'
    """
    wrapped = _WRAPPED.fullmatch(text)
    return next((part for part in wrapped.groups() if part is not None), "") if wrapped else text


def without_accents(text: str) -> str:
    """Replace each letter with its base letter: "Sjogren" for "Sjögren"."""
    return unicodedata.normalize("NFC", _COMBINING.sub("", unicodedata.normalize("NFD", text)))


def is_question(text: str) -> bool:
    """Return whether a text ends with a question mark: whoever asks does not answer.

    Example:
        >>> is_question("B?"), is_question("B.")
        (True, False)
    """
    return text.rstrip(" .!)\"'*").endswith("?")


def any_of(phrases: Iterable[str]) -> str:
    r"""Return a regular expression that matches any of some phrases, with any white space between their words.

    Example:
        >>> any_of(["due to", "e.g."])
        'due\\s+to|e\\.g\\.'
    """
    return "|".join(r"\s+".join(map(re.escape, phrase.split())) for phrase in phrases)
