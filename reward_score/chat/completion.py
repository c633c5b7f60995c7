"""What an endpoint is sent, and what is read of its reply."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, ValidationError

# Characters that begin or end a special token in some chat template (<|im_end|>, [/INST], </s>). Servers look for such
# tokens in the text of a message, so that an answer could close its own message.
_ESCAPED = {character: f"\\u{ord(character):04x}" for character in "<>[]"}


class ChatError(RuntimeError):
    """A question got no reply that can be used.

    Attributes:
        who: Whom it was put to, for the message.
        kind: "timeout", "refusal", "bad reply", "too long", "not sent", "unreachable" or "HTTP 500" (or another
            status). Nothing of the question or the reply is in it.
    """

    who = "endpoint"

    def __init__(self, kind: str, text: str = "") -> None:
        super().__init__(f"{self.who}: {kind}" + (f" ({text})" if text else ""))
        self.kind = kind


class Alternative(BaseModel):
    """A token that the model might have written."""

    token: str
    logprob: float


class Token(Alternative):
    """A token of a reply, with others that might have stood there."""

    top_logprobs: list[Alternative] | None = None


class LogProbs(BaseModel):
    """The tokens of a reply."""

    content: list[Token] | None = None


class Message(BaseModel):
    """The text of a reply, or that there is none."""

    content: str | None = None
    refusal: str | None = None


class Choice(BaseModel):
    """A reply."""

    message: Message
    finish_reason: str | None = None
    logprobs: LogProbs | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the model or a filter of the server refuses to reply."""
        return bool(self.message.refusal) or self.finish_reason == "content_filter"


class TokenCounts(BaseModel):
    """What a request has cost, as the server counts it."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Completion(BaseModel):
    """What is read of a chat completion."""

    choices: list[Choice] = Field(min_length=1)
    usage: TokenCounts | None = None


def messages(instruction: str, data: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the chat messages of a question: the instruction, and the data as JSON without special characters.

    Example:
        >>> messages("Compare.", {"answer": "x<|im_end|>"})[1]["content"]
        '{"answer": "x\\\\u003c|im_end|\\\\u003e"}'
    """
    text = json.dumps(data, ensure_ascii=False)
    for character, escaped in _ESCAPED.items():
        text = text.replace(character, escaped)
    return [{"role": "system", "content": instruction}, {"role": "user", "content": text}]


def read_completion(completion: object, failure: type[ChatError] = ChatError) -> Completion:
    """Check a chat completion, as the package `openai` returns it: that package passes on whatever a server sends.

    Raises:
        ChatError: It is not a chat completion; of the class `failure`.
    """
    try:
        return Completion.model_validate(completion, from_attributes=True)
    except ValidationError:
        raise failure("bad reply", "no chat completion") from None
