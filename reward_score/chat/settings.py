"""How an endpoint is asked; each mistake is one sentence."""

import os
import re
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator


class ChatSettings(BaseModel):
    """An OpenAI-compatible endpoint and how to ask it.

    Attributes:
        base_url: Such as `http://127.0.0.1:8000/v1` for `vllm serve`.
        model: Name of the model as served.
        api_key_env: Name of the environment variable that holds the key; None for a server that needs no key.
        timeout_s: Seconds for one question, including retries, from when it is sent.
        retries: Number of retries of a failed request.
        concurrency: Most questions that a process has at the endpoint at the same time.
        requests_per_minute: Most questions that a process sends in a minute; None for no limit.

    Example:
        >>> ChatSettings.read({"base_url": "http://127.0.0.1:8000/v1", "model": "patient", "retries": -1})
        Traceback (most recent call last):
        ...
        ValueError: retries is -1; give a whole number of at least 0
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = Field(pattern="^https?://", description="an address that starts with http:// or https://")
    model: str = Field(min_length=1, description="the name of the model that the endpoint serves")
    api_key_env: str | None = Field(default=None, description="the name of an exported variable with the key, or null")
    timeout_s: float = Field(default=60, gt=0, description="a number of seconds above 0")
    retries: int = Field(default=2, ge=0, description="a whole number of at least 0")
    concurrency: int = Field(default=16, ge=1, description="a whole number of at least 1")
    requests_per_minute: int | None = Field(default=None, ge=1, description="a whole number of at least 1, or null")

    @field_validator("api_key_env")
    @classmethod
    def _is_set(cls, name: str | None) -> str | None:
        if name and not os.environ.get(name):
            raise ValueError("no such variable is set")
        return name

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Read settings from plain values.

        Raises:
            ValueError: One sentence for each mistake, joined by semicolons.
        """
        if mistakes := cls.mistakes(values):
            raise ValueError("; ".join(mistakes))
        return cls.model_validate(values)

    @classmethod
    def mistakes(cls, values: Mapping[str, Any]) -> list[str]:
        """Return one sentence for each mistake in the values of settings; each begins with its key."""
        try:
            cls.model_validate(values)
        except ValidationError as error:
            return [_sentence(cls, mistake) for mistake in error.errors()]
        return []


def _sentence(model: type[BaseModel], mistake: Any) -> str:
    """Say which key has which value, and what to give instead: the field's description."""
    *parents, name = map(str, mistake["loc"])
    for parent in parents:
        kind = model.model_fields[parent].annotation
        assert isinstance(kind, type) and issubclass(kind, BaseModel)
        model = kind
    key = ".".join((*parents, name))
    if name not in model.model_fields:
        return f"{key} is not a key; use one of {', '.join(model.model_fields)}"
    value = "missing" if mistake["type"] == "missing" else repr(mistake["input"])
    # Anything else may be the key itself.
    if name == "api_key_env" and not re.fullmatch("[A-Z_][A-Z0-9_]*", str(mistake["input"])):
        value = "not the name of an exported variable"
    return f"{key} is {value}; give {model.model_fields[name].description}"
