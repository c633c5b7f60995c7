"""The settings of a retriever, each mistake one sentence, and the retriever that they describe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from verl_medu1.retrieval.index import LocalIndex
from verl_medu1.retrieval.remote import RemoteIndex
from verl_medu1.retrieval.retriever import LocalRetriever, Retriever


class RetrieverSettings(BaseModel):
    """Where documents are searched: in an index of this machine or at a server.

    Attributes:
        index: folder of `medu1 index build`.
        address: where a search server takes questions, such as http://127.0.0.1:8000/retrieve.
        timeout_s: seconds until a question to the server has failed.

    Example:
        >>> RetrieverSettings.read({"address": "127.0.0.1:8000/retrieve"})
        Traceback (most recent call last):
        ...
        ValueError: address is '127.0.0.1:8000/retrieve'; give an address that starts with http:// or https://
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: str | None = Field(default=None, min_length=1, description="a folder of `medu1 index build`")
    address: str | None = Field(
        default=None, pattern="^https?://", description="an address that starts with http:// or https://"
    )
    timeout_s: float = Field(
        default=10, gt=0, allow_inf_nan=False, strict=True, description="a number of seconds above 0"
    )

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Read settings from plain values.

        Raises:
            ValueError: One sentence for each mistake, joined by semicolons.
        """
        try:
            settings = cls.model_validate(dict(values))
        except ValidationError as error:
            raise ValueError("; ".join(_sentence(mistake) for mistake in error.errors())) from None
        if (settings.index is None) == (settings.address is None):
            raise ValueError(
                f"index is {settings.index!r} and address is {settings.address!r}; give one of them: a folder of "
                "`medu1 index build`, or the address of a search server"
            )
        if settings.index is not None and "timeout_s" in settings.model_fields_set:
            raise ValueError(f"timeout_s is {settings.timeout_s:g}, and is for address alone; leave it out")
        if settings.address is not None and not _has_host(settings.address):
            raise ValueError(f"address is {settings.address!r}; give one with a host, such as http://127.0.0.1:8000/")
        return settings


def _has_host(address: str) -> bool:
    try:
        return bool(httpx.URL(address).host)
    except httpx.InvalidURL:
        return False


def _sentence(mistake: Any) -> str:
    name = str(mistake["loc"][0])
    if name not in RetrieverSettings.model_fields:
        return f"{name} is not a key; use one of {', '.join(RetrieverSettings.model_fields)}"
    return f"{name} is {mistake['input']!r}; give {RetrieverSettings.model_fields[name].description}"


def make_retriever(settings: Mapping[str, Any]) -> Retriever:
    """Return the retriever that settings describe: {"index": FOLDER} or {"address": URL, "timeout_s": SECONDS}.

    Raises:
        ValueError: one sentence: the settings have a mistake, or the folder is no index.

    Example:
        >>> make_retriever({"address": "http://127.0.0.1:8000/retrieve"}).may_see("EHRNoteQA")
        True
    """
    read = RetrieverSettings.read(settings)
    if read.address is not None:
        return RemoteIndex(read.address, read.timeout_s)
    assert read.index is not None
    return LocalRetriever(LocalIndex(Path(read.index).expanduser()))
