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
# A line that begins in lower case may continue the last option.
_TEXT_BEHIND = re.compile(r"\n\s*\n\W*\w|\n[^\w\n]*[A-Z0-9]")
_HEADING = re.compile(r"\s*\b(?:(?:Answer )?(?:Options|Choices))\s*:\s*\Z", re.IGNORECASE)
# A letter names an option in brackets, at the beginning of a line ("B. "), and behind "option" or "answer is". Other
# letters belong to the words before them: "vitamin A.", "channel A.", "blood group B.".
_NAMED_LETTER = re.compile(
    r"\(([A-Z])\)|^[ \t]*([A-Z])[.):](?=\s|\Z)"
    r"|\b(?i:options?|choices?) ([A-Z])\b(?!['-])"
    r"|\b(?i:answer|option|choice)(?:\s+is|\s+would be|:)*\s+([A-Z])(?=[.):,;]|\s*\Z)"
    # Counts only with its option's text: "the blood group is B.".
    r"|\bis:? +(?P<bare>[A-Z])[.):](?=\s|\Z)",
    re.MULTILINE,
)
_CONCLUSION = re.compile(r"\b(?:answer|option|choice)\s*(?:is|would be|:)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?;])(?<!\b[A-Z]\.)\s+|\n\s*\n(?!\s*\(?[A-Z][.):])")
_NEGATION = re.compile(
    r"\b(?:not|never|neither|nor|cannot|incorrect(?:ly)?|wrong|false|except(?:ion)?|exclud\w+|contraindicated|unlike(?:ly)?"
    r"|rather than|instead of|(?:more|less|better|worse|preferred) (?:\w+ )?(?:than|to)|rul(?:es?|ed|ing) out|avoid\w*"
    r"|inappropriate|least)\b|n't\b|\b(?:no|without)\s+(?:\w+\s+)?\|",
    re.IGNORECASE,
)
# A shorter text may stand anywhere in an explanation: "no", "one", "2".
_LONG_ENOUGH = 6
# Words, and the signs without which a number is another one.
_WORD = re.compile(r"[^\W_]+|[<>%+\u2264\u2265^=]|-(?=\d)|(?<=\d)[.,/:](?=\d)")


def split_options(question: str) -> tuple[str, Options]:
    """Split a question that ends with its options; the options are () if it shows none.

    Raises:
        FieldError: a text stands behind the last option. It may be the question, or a part of the option.

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
    if _TEXT_BEHIND.search(question[marks[-1].end() :]):
        raise FieldError("question", "has a text behind its last option", "the options must come last")
    ends = [*(mark.start() for mark in marks[1:]), len(question)]
    texts = [" ".join(question[mark.end() : end].split()) for mark, end in zip(marks, ends, strict=True)]
    stem = question[: marks[0].start()].strip()
    return _HEADING.sub("", stem).strip(), tuple(zip(letters, texts, strict=True))


def named_option(gold: str, options: Options, field: str, question: str = "") -> str:
    """Return the letter of the only option that a gold answer names: by letter, by text, or by both.

    Letters with their option's own text decide, then letters, then texts; and each of these first in what the answer
    states as its conclusion ("Therefore, the correct answer is B. ..."), then in the whole. What stands in a sentence
    with a negation does not count, except for letters in the answer to a question that has one ("Which is not ...").

    Args:
        gold: a letter, an option's text, or an explanation that names one option.
        options: the options.
        field: the field of the gold answer, for messages.
        question: the question without its options.

    Raises:
        FieldError: the answer names no option, or several.

    Example:
        >>> named_option("Not heparin; the answer is (B) aspirin.", (("A", "heparin"), ("B", "aspirin")), "answer")
        'B'
    """
    text = "\n".join(map(plain, gold.strip().splitlines()))  # plain text has no lines
    needed = "it must name one of the options shown"
    if text.strip("().*: ").upper() in dict(options):
        return text.strip("().*: ").upper()
    conclusions = list(_CONCLUSION.finditer(text))
    parts = [_Part(text[conclusions[-1].start() :], options, question)] if conclusions else []
    parts.append(_Part(text, options, question))
    if any(part.contradicts for part in parts):
        raise FieldError(field, "has the text of one option behind the letter of another", needed)
    found = next((named for part in parts for named in (part.both, part.letters, part.texts) if named), set())
    if not found:
        raise FieldError(field, "names none of the options", needed)
    if parts[-1].denied - found:  # the negation may belong to something else
        raise FieldError(field, "has an option's letter and text in a sentence with a negation", needed)
    others = parts[-1].texts if found != parts[-1].both else set()
    if len(found) > 1 or (len(others) == 1 and others != found):
        raise FieldError(field, f"names the options {', '.join(sorted(found | others))}", needed)
    return found.pop()


class _Part:
    """What a part of an answer names.

    Attributes:
        letters: options whose letters occur.
        both: those of them whose own text follows.
        texts: options whose texts occur, not inside of a longer one's that occurs there.
        denied: options whose letters occur with their own text in a sentence with a negation.
        contradicts: whether letters occur, but each with the text of another option.
    """

    def __init__(self, text: str, options: Options, question: str) -> None:
        known = dict(options)
        self.letters: set[str] = set()
        self.both: set[str] = set()
        self.texts: set[str] = set()
        self.denied: set[str] = set()
        wrong: set[str] = set()
        start = 0
        for end in [*(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]:
            sentence = text[start:end]
            texts, rest = _texts(sentence, options)
            negated = _NEGATION.search(rest) is not None
            if not negated:
                self.texts |= texts
            denied = negated and not _NEGATION.search(question)
            for match in _NAMED_LETTER.finditer(sentence):
                letter = next(filter(None, match.groups()))
                behind = text[start + match.end() :]
                if letter in known and denied and _starts_with(behind, known[letter]):
                    self.denied.add(letter)
                elif letter in known and not denied:
                    if _starts_with(behind, known[letter]):
                        self.both.add(letter)
                    elif any(_starts_with(behind, option) for option in known.values()):
                        wrong.add(letter)
                        continue
                    elif match["bare"]:
                        continue
                    self.letters.add(letter)
            start = end
        self.contradicts = bool(wrong) and not self.letters


def _starts_with(text: str, option: str) -> bool:
    wanted = _words(option)
    return _words(text[: 4 * len(option) + 40])[: len(wanted)] == wanted


def _texts(sentence: str, options: Options) -> tuple[set[str], str]:
    """Return the options whose text occurs, and the sentence with a bar in place of each."""
    said = f" {' '.join(_words(sentence))} "
    found = set()
    for letter, option in sorted(options, key=lambda pair: -len(pair[1])):
        words = f" {' '.join(_words(option))} "
        if words.strip() and (words in said if len(option) >= _LONG_ENOUGH else said.startswith(words)):
            found.add(letter)
            said = said.replace(words, " | ")
    return found, said


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(plain(text))]
