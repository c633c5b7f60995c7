"""A reader: a frozen model that answers questions from documents which another model has chosen."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from reward_score.chat import ChatError
from verl_medu1.retrieval.documents import Document

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


def make_reader(settings: object) -> Reader:
    """Return the reader of `episodes.settings.reader`: "rules", or an endpoint's settings.

    Raises:
        ValueError: one sentence: the settings have a mistake, or the package `openai` is missing.

    Example:
        >>> make_reader("rules").identity.startswith("rules ")
        True
        >>> make_reader("qwen")
        Traceback (most recent call last):
        ...
        ValueError: reader is 'qwen'; give rules, or base_url and model of an endpoint.
    """
    if settings == RULES:
        from verl_medu1.environments.rule_reader import RuleReader

        return RuleReader()
    if not isinstance(settings, Mapping):
        raise ValueError(f"reader is {settings!r}; give {RULES}, or base_url and model of an endpoint.")
    return _at_endpoint(settings)


def _at_endpoint(settings: Mapping[str, Any]) -> Reader:
    from verl_medu1.environments.endpoint_reader import EndpointReader, ReaderSettings

    try:
        return EndpointReader(ReaderSettings.read(settings))
    except ValueError as error:
        raise ValueError(f"reader.{error}.") from None
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
        raise ValueError("reader needs the package openai; `pip install verl-medu1[judge]`.") from None
