"""A reader: a frozen model that answers questions from documents which another model has chosen."""

from collections.abc import Sequence
from typing import Protocol

from reward_score.chat import ChatError
from verl_medu1.retrieval.documents import Document

# The name of the reader of generated documents.
RULES = "rules"


class ReaderFailed(ChatError):
    """A reader gave no reply, which is not a wrong one; a reply that is cut off is none."""

    who = "reader"


class Reader(Protocol):
    """Answers questions; nothing about it is trained.

    Attributes:
        identity: which reader this is, such as a model's name; it differs if the replies may.
        address: where questions and documents are sent; None if nowhere.
    """

    identity: str
    address: str | None

    async def read(self, question: str, documents: Sequence[Document]) -> str:
        """Return the reply, in the form of a response; its answer is "unknown" if the documents don't have it.

        Args:
            question: as the prompt has it, with its options and what the answer is to look like.
            documents: to answer from.

        Raises:
            ReaderFailed: there is no reply.
        """
        ...
