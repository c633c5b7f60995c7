"""Responses by an OpenAI-compatible endpoint: `vllm serve`, a gateway, a vendor."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any
from urllib.parse import urlsplit

from reward_score.loopback import client_options, is_loopback
from reward_score.registry import credentialed_sources
from reward_score.response import THINK_CLOSE, THINK_OPEN
from verl_medu1.evaluate.questions import Question
from verl_medu1.evaluate.sampling import NOTHING_LEFT_OUT, TOP_P, Request, Sampling, seed_of
from verl_medu1.evaluate.scoring import Response

RETRIES = 4  # of a request that failed, with the client's growing pauses


def check_endpoint(url: str, key_variable: str | None, questions: Sequence[Question]) -> None:
    """Refuse an endpoint that can't or must not be asked.

    Raises:
        ValueError: no address, no such key, the package `openai` is missing, or credentialed rows would leave the
            machine.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(f"--endpoint {url!r} is no address; give one such as http://127.0.0.1:8000/v1.")
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
    """Sample responses, `sampling.batch` at the same time.

    The chat template is the server's; its arguments are sent as vLLM takes them (`chat_template_kwargs`), where there
    are any. One request is sent per sample, because not every server gives several. Tokens
    are those that the server counts.

    Yields:
        Requests of one sample each, as they are answered.

    Raises:
        ValueError: the endpoint fails; answers that came before have been yielded.
    """
    from openai import DefaultHttpxClient, OpenAI, OpenAIError

    # The client wants a key; a server that asks for none ignores it.
    key = os.environ[key_variable] if key_variable else "none"
    http_client = DefaultHttpxClient(**client_options(url))
    client = OpenAI(base_url=url, api_key=key, max_retries=RETRIES, http_client=http_client)
    single = [
        Request(request.question, number, 1)
        for request in requests
        for number in range(request.first, request.first + request.number)
    ]
    # vLLM and SGLang take more settings than OpenAI's format has; another server may refuse what it does not know.
    more = dict(NOTHING_LEFT_OUT) if owner_of_models(client) in ("vllm", "sglang") else {}
    if template_arguments:
        more["chat_template_kwargs"] = dict(template_arguments)
    with client, ThreadPoolExecutor(sampling.batch) as pool:
        futures = {pool.submit(_ask_one, client, model, request, sampling, more): request for request in single}
        try:
            for future in as_completed(futures):
                yield futures[future], [future.result()]
        except OpenAIError as error:
            # Not its text: an endpoint may quote the question there.
            status = getattr(error, "status_code", None)
            reason = type(error).__name__ + (f" {status}" if status else "")
            raise ValueError(
                f"--endpoint {url} gave no answer ({reason}); what it answered is kept, run the command again to go on."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def owner_of_models(client: Any) -> str | None:
    """Who serves, by the server's own list of models; None where it has no such list."""
    from openai import OpenAIError

    try:
        listed = client.with_options(max_retries=0, timeout=10).models.list()
    except OpenAIError:
        return None  # whatever else is wrong with the server, the first question meets it
    # Not every server that answers here answers with a list.
    first = next(iter(getattr(listed, "data", None) or []), None)
    return getattr(first, "owned_by", None)


def _ask_one(client: Any, model: str, request: Request, sampling: Sampling, more: Mapping[str, Any]) -> Response:
    completion = client.chat.completions.create(
        model=model,
        messages=request.question.prompt,
        temperature=sampling.temperature,
        top_p=TOP_P,
        max_tokens=sampling.max_tokens,
        seed=seed_of(request.question, sampling.seed) + request.first,
        extra_body=more,
    )
    return read_completion(completion, request.question)


def read_completion(completion: Any, question: Question) -> Response:
    """One chat completion as a response.

    A server that splits off the reasoning (`reasoning_content` or `reasoning`) gets its tags back. The tokens of a
    budget of the reasoning are the server's count of them, or else their share of the characters.

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
    text = text.encode(errors="replace").decode()  # half a character (a lone surrogate), which no file can hold
    length = counted = int(usage.completion_tokens)
    if question.budget_counts == "reasoning" and THINK_CLOSE in text:
        stated = getattr(getattr(usage, "completion_tokens_details", None), "reasoning_tokens", None)
        part = (text.index(THINK_CLOSE) + len(THINK_CLOSE)) / len(text)
        counted = int(stated) if stated else round(part * length)
    return Response(text, length, counted, truncated=completion.choices[0].finish_reason == "length")
