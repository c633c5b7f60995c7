"""Responses from an OpenAI-compatible endpoint: `vllm serve`, a gateway, a vendor."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any
from urllib.parse import urlsplit

from reward_score.loopback import client_options, is_loopback
from reward_score.registry import credentialed_sources
from reward_score.response import THINK_CLOSE, THINK_OPEN
from verl_medu1.data.images.shown import with_urls
from verl_medu1.evaluate.questions import Question
from verl_medu1.evaluate.sampling import NOTHING_LEFT_OUT, TOP_P, Request, Sampling, seed_of
from verl_medu1.evaluate.scoring import Response

RETRIES = 4  # of a failed request, with the client's exponential backoff


def check_endpoint(url: str, key_variable: str | None, questions: Sequence[Question]) -> None:
    """Refuse an endpoint that can't or must not be used.

    Raises:
        ValueError: the URL is invalid, the key's variable is not set, the package `openai` is missing, or credentialed
            rows would leave the machine.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(f"--endpoint {url!r} is not an address; give one such as http://127.0.0.1:8000/v1.")
    if key_variable and not os.environ.get(key_variable):
        raise ValueError(f"--api-key-env {key_variable}: no such variable is set; export it.")
    found = [] if is_loopback(url) else credentialed_sources(question.data_source for question in questions)
    if found:
        raise ValueError(
            f"--data has rows of {', '.join(found)}, which may not leave this machine; serve the model on 127.0.0.1."
        )
    try:
        import openai  # noqa: F401
    except ImportError:
        raise ValueError("--endpoint needs the package openai; pip install verl-medu1[endpoint].") from None


def ask(
    url: str,
    model: str,
    key_variable: str | None,
    requests: Sequence[Request],
    sampling: Sampling,
    template_arguments: Mapping[str, Any],
) -> Iterator[tuple[Request, list[Response]]]:
    """Sample responses, `sampling.batch` at a time.

    The server applies its chat template; any template arguments are sent as vLLM takes them (`chat_template_kwargs`).
    Each sample is a request of its own, because not every server returns several. Token counts are the server's.

    Yields:
        Single-sample requests with their responses, in order of completion.

    Raises:
        ValueError: the endpoint fails; responses received before that have been yielded.
    """
    from openai import DefaultHttpxClient, OpenAI, OpenAIError

    # The client requires a key; a server that needs none ignores it.
    key = os.environ[key_variable] if key_variable else "none"
    http_client = DefaultHttpxClient(**client_options(url))
    client = OpenAI(base_url=url, api_key=key, max_retries=RETRIES, http_client=http_client)
    single = [
        Request(request.question, number, 1)
        for request in requests
        for number in range(request.first, request.first + request.number)
    ]
    # vLLM and SGLang accept settings beyond OpenAI's; another server may refuse unknown ones.
    more = dict(NOTHING_LEFT_OUT) if owner_of_models(client) in ("vllm", "sglang") else {}
    if template_arguments:
        more["chat_template_kwargs"] = dict(template_arguments)
    with client, ThreadPoolExecutor(sampling.batch) as pool:
        futures = {pool.submit(_ask_one, client, model, request, sampling, more): request for request in single}
        try:
            for future in as_completed(futures):
                yield futures[future], [future.result()]
        except OpenAIError as error:
            # Leave out the error's text: an endpoint may quote the question in it.
            status = getattr(error, "status_code", None)
            reason = type(error).__name__ + (f" {status}" if status else "")
            raise ValueError(
                f"--endpoint {url} gave no answer ({reason}); what it answered is kept, run the command again to go on."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def owner_of_models(client: Any) -> str | None:
    """Return the `owned_by` of the first model in the server's model list; None if there is no such list."""
    from openai import OpenAIError

    try:
        listed = client.with_options(max_retries=0, timeout=10).models.list()
    except OpenAIError:
        return None  # if anything else is wrong with the server, the first question fails
    # Some servers reply with something other than a list.
    first = next(iter(getattr(listed, "data", None) or []), None)
    return getattr(first, "owned_by", None)


def _ask_one(client: Any, model: str, request: Request, sampling: Sampling, more: Mapping[str, Any]) -> Response:
    completion = client.chat.completions.create(
        model=model,
        messages=_messages(request.question),
        temperature=sampling.temperature,
        top_p=TOP_P,
        max_tokens=sampling.max_tokens,
        seed=seed_of(request.question, sampling.seed) + request.first,
        extra_body=more,
    )
    return read_completion(completion, request.question)


def _messages(question: Question) -> Sequence[Mapping[str, Any]]:
    return with_urls(question.prompt, question.images) if question.images else question.prompt


def read_completion(completion: Any, question: Question) -> Response:
    """Convert a chat completion to a response.

    If the server returns the reasoning separately (`reasoning_content` or `reasoning`), its tags are restored. For a
    budget that counts the reasoning, the counted tokens are the server's count of reasoning tokens or, without one,
    estimated from the reasoning's share of the characters.

    Raises:
        ValueError: there is no text, or the server does not count tokens.
    """
    if not getattr(completion, "choices", None) or completion.usage is None:
        raise ValueError("The endpoint's reply has no choices or no usage; it is not OpenAI-compatible.")
    message, usage = completion.choices[0].message, completion.usage
    text = message.content or ""
    reasoning = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    if reasoning:
        text = f"{THINK_OPEN}{reasoning}{THINK_CLOSE}{text}"
    text = text.encode(errors="replace").decode()  # a lone surrogate can't be written to a file
    length = counted = int(usage.completion_tokens)
    if question.budget_counts == "reasoning" and THINK_CLOSE in text:
        stated = getattr(getattr(usage, "completion_tokens_details", None), "reasoning_tokens", None)
        part = (text.index(THINK_CLOSE) + len(THINK_CLOSE)) / len(text)
        counted = int(stated) if stated else round(part * length)
    return Response(text, length, counted, truncated=completion.choices[0].finish_reason == "length")
