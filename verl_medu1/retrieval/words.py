"""What a text is found by: its words."""

import re

from bm25s.stopwords import STOPWORDS_EN

from reward_score.text import unicode_plain

_WORD = re.compile(r"[^\W_]+")
_STOP_WORDS = frozenset(STOPWORDS_EN)


def all_words(text: str) -> list[str]:
    """Return the words of a text in order, in one kind of Unicode and case.

    Example:
        >>> all_words("Is beta-carotene a form of vitamin A?")
        ['is', 'beta', 'carotene', 'a', 'form', 'of', 'vitamin', 'a']
    """
    return _WORD.findall(unicode_plain(text).casefold())


def search_words(text: str) -> list[str]:
    """Return the words by which a text is found: all but the 33 English stop words of Lucene.

    Words of one letter stay, unlike with bm25s's own splitter: hepatitis B is not hepatitis C.

    Example:
        >>> search_words("The dose of vitamin K")
        ['dose', 'vitamin', 'k']
    """
    return [word for word in all_words(text) if word not in _STOP_WORDS]
