"""Options that a question shows in its own text, and which of them its answer names.

medical-o1-reasoning-SFT writes the options of examination questions below the question, and its answer is mostly an
explanation that names one of them. Only the letter can be graded: an explanation with a wrong option in place of the
right one has nearly the same words.
"""

import re

from reward_score.text import plain
from verl_medu1.data.sources.fields import LETTERS, FieldError, Options

# "A. text", "(A) text" or "A) text" at the beginning of a line, and "- text" below "Options:".
_LETTERED = re.compile(r"^[ \t]*(?:\(([A-Z])\)|([A-Z])[.):])[ \t]*(?=\S)", re.MULTILINE)
_BULLETED = re.compile(r"\n[ \t]*Options:[ \t]*((?:\n[ \t]*-[ \t]*\S[^\n]*){2,})\s*\Z")
_HEADING = re.compile(r"\s*\b(?:(?:Answer )?(?:Options|Choices))\s*:\s*\Z", re.IGNORECASE)
# A letter that names an option in a running text: "(B)", "B. ", "option B".
_NAMED_LETTER = re.compile(
    r"\(([A-Z])\)|(?<![\w.'-])([A-Z])[.):](?=\s|\Z)|\b(?:options?|choices?|answer(?:\s+is)?:?)\s+\(?([A-Z])\b(?!['-])",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(r"\b(?:answer|option|choice)\s*(?:is|would be|:)", re.IGNORECASE)
# Words, and the signs without which a number is another one.
_WORD = re.compile(r"[^\W_]+|[<>%+\u2264\u2265^=]|-(?=\d)|(?<=\d)[.,/:](?=\d)")


def split_options(question: str) -> tuple[str, Options]:
    """Split a question that ends with its options; the options are () if it shows none.

    Example:
        >>> split_options("Which one?\\nA. this\\nB. that")
        ('Which one?', (('A', 'this'), ('B', 'that')))
    """
    bulleted = _BULLETED.search(question)
    if bulleted:
        texts = [line.strip().lstrip("-").strip() for line in bulleted[1].strip().splitlines()]
        return question[: bulleted.start()].strip(), tuple(zip(LETTERS, texts, strict=False))
    marks = list(_LETTERED.finditer(question))
    letters = "".join(mark[1] or mark[2] for mark in marks)
    start = letters.rfind("A")
    marks, letters = marks[start:], letters[start:]
    if start < 0 or len(letters) < 2 or not LETTERS.startswith(letters):
        return question, ()
    if "?" in question[marks[-1].end() :].partition("\n")[2]:
        return question, ()  # statements that the question is about
    ends = [*(mark.start() for mark in marks[1:]), len(question)]
    texts = [" ".join(question[mark.end() : end].split()) for mark, end in zip(marks, ends, strict=True)]
    stem = question[: marks[0].start()].strip()
    return _HEADING.sub("", stem).strip() or stem, tuple(zip(letters, texts, strict=True))


def named_option(gold: str, options: Options, field: str) -> str:
    """Return the letter of the only option that a gold answer names: by letter, by text, or by both.

    Letters with their option's own text decide, then letters, then texts; and each of these first in what the answer
    states as its conclusion ("Therefore, the correct answer is B. ..."), then in the whole.

    Args:
        gold: a letter, an option's text, or an explanation that names one option.
        options: the options.
        field: the field of the gold answer, for messages.

    Raises:
        FieldError: the answer names no option, or several.

    Example:
        >>> named_option("Not heparin: the answer is (B) aspirin.", (("A", "heparin"), ("B", "aspirin")), "answer")
        'B'
    """
    text = plain(gold)
    needed = "it must name one of the options shown"
    if text.strip("().*: ").upper() in dict(options):
        return text.strip("().*: ").upper()
    conclusions = list(_CONCLUSION.finditer(text))
    parts = [text[conclusions[-1].end() :], text] if conclusions else [text]
    found: set[str] = set()
    if _letters(text, options) and not _with_letter(text, options):
        raise FieldError(field, "has the text of one option behind the letter of another", needed)
    for names in (_with_letter_and_text, _with_letter, _with_text):
        for part in parts:
            named = names(part, options)
            if len(named) == 1:
                return named.pop()
            found = found or named
    if found:
        raise FieldError(
            field, f"names the options {', '.join(sorted(found))}", "it must name one of the options shown"
        )
    raise FieldError(field, "names none of the options", needed)


def _with_letter_and_text(text: str, options: Options) -> set[str]:
    return {letter for letter, rest in _letters(text, options) if _starts_with(rest, dict(options)[letter])}


def _with_letter(text: str, options: Options) -> set[str]:
    """Return the options whose letters occur, except for letters with the text of another option."""
    return {
        letter
        for letter, rest in _letters(text, options)
        if not any(_starts_with(rest, option) for other, option in options if other != letter)
        or _starts_with(rest, dict(options)[letter])
    }


def _letters(text: str, options: Options) -> list[tuple[str, str]]:
    """Return each letter that names an option, with the text behind it."""
    known = dict(options)
    found = [
        ((match[1] or match[2] or match[3]).upper(), text[match.end() :]) for match in _NAMED_LETTER.finditer(text)
    ]
    return [(letter, rest) for letter, rest in found if letter in known]


def _starts_with(text: str, option: str) -> bool:
    wanted = _words(option)
    return _words(text[: 4 * len(option) + 40])[: len(wanted)] == wanted


def _with_text(text: str, options: Options) -> set[str]:
    """Return the options whose text occurs; not inside of a longer one's that occurs there."""
    said = f" {' '.join(_words(text))} "
    found = set()
    for letter, option in sorted(options, key=lambda pair: -len(pair[1])):
        words = f" {' '.join(_words(option))} "
        if words.strip() and words in said:
            found.add(letter)
            said = said.replace(words, " | ")
    return found


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(plain(text))]
