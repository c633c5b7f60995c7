"""The reader of generated documents about doses (verl_medu1/data/generated/searcher.py): rules, in the process."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from reward_score.response import format_response
from verl_medu1.environments.reader import RULES
from verl_medu1.retrieval.documents import Document
from verl_medu1.retrieval.words import all_words

_NAME = re.compile(r"is another word for (\w+)")
_DOSE = re.compile(r"of (\w+) give (\d+) mg")
UNKNOWN = "unknown"


class RuleReader:
    """Reads doses, and refuses where the documents don't say which dose is asked for.

    A dose counts if it is that of a name in the question, or of a name that a document gives for a word in it. No
    knowledge is in the rules: without documents the answer is always "unknown".
    """

    address: str | None = None

    def __init__(self) -> None:
        self.identity = f"{RULES} {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]}"

    async def read(self, question: str, documents: Sequence[Document]) -> str:
        """See `Reader.read`.

        Example:
            >>> import asyncio
            >>> word = Document("1", "bipo", "is another word for tarveli")
            >>> dose = Document("2", "tarveli", "of tarveli give 35 mg")
            >>> asyncio.run(RuleReader().read("What dose of bipo?", [word, dose]))
            '<think>of tarveli give 35 mg</think><answer>35</answer>'
            >>> asyncio.run(RuleReader().read("What dose of bipo?", [dose]))
            '<think>The documents do not say it.</think><answer>unknown</answer>'
        """
        asked = set(all_words(question))
        names = asked | {
            match[1] for document in documents if document.title in asked and (match := _NAME.fullmatch(document.text))
        }
        said = {
            match[2]: document.text
            for document in documents
            if (match := _DOSE.fullmatch(document.text)) and match[1] in names
        }
        if len(said) != 1:
            return format_response("The documents do not say it.", UNKNOWN)
        ((dose, text),) = said.items()
        return format_response(text, dose)
