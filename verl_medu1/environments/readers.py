"""Where readers come from."""

from collections.abc import Mapping
from typing import Any

from verl_medu1.environments.endpoint_reader import EndpointReader, ReaderSettings
from verl_medu1.environments.reader import RULES, Reader
from verl_medu1.environments.rule_reader import RuleReader


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
        return RuleReader()
    if not isinstance(settings, Mapping):
        raise ValueError(f"reader is {settings!r}; give {RULES}, or base_url and model of an endpoint.")
    return _at_endpoint(settings)


def _at_endpoint(settings: Mapping[str, Any]) -> Reader:
    try:
        return EndpointReader(ReaderSettings.read(settings))
    except ValueError as error:
        raise ValueError(f"reader.{error}.") from None
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
        raise ValueError("reader needs the package openai; `pip install verl-medu1[judge]`.") from None
