"""Whatever an endpoint replies is a verdict or a failure."""

import asyncio
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("openai", reason="the package openai is not installed (pip install verl-medu1[judge])")

from reward_score.judge import Judge, JudgeError, JudgeSettings, Opinion
from tests.reward_score.judge_server import YES, Endpoint, Reply, completion, log_probs, serving


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with serving() as endpoint:
        yield endpoint


def opinion_on(endpoint: Endpoint, body: Any) -> Opinion:
    """What a judge makes of the body of a reply."""
    endpoint.reply = lambda case: Reply(json.dumps(body), is_body=True)

    async def ask() -> Opinion:
        judge = Judge(JudgeSettings.read({"base_url": endpoint.url, "model": "judge", "timeout_s": 10.0, "retries": 0}))
        try:
            return await judge.says_the_same("q", "r", "a")
        finally:
            await judge.close()

    return asyncio.run(ask())


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def places_in(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Each place inside a JSON value, as keys and positions from outside to inside."""
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places_in(one, (*place, key))


def replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """The JSON value with another value at a place."""
    if not place:
        return new
    copy = value.copy()
    copy[place[0]] = replaced(value[place[0]], place[1:], new)
    return copy


GOOD = completion({"model": "judge", "logprobs": True}, Reply(YES.text, log_probs=log_probs("yes", 0.9, "no")))
VERDICT = ("choices", 0, "logprobs", "content", 4)


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(list(places_in(GOOD))), new=ANY_JSON)
@example(place=("choices", 0, "message"), new=None)
@example(place=(*VERDICT, "token"), new=None)
@example(place=(*VERDICT, "logprob"), new=None)
@example(place=(*VERDICT, "logprob"), new=1e9)
@example(place=(*VERDICT, "logprob"), new=10**400)
@example(place=("usage", "prompt_tokens"), new="many")
def test_any_json_as_a_reply_is_a_verdict_or_a_failure(endpoint, place, new):
    try:
        opinion = opinion_on(endpoint, replaced(GOOD, place, new))
    except JudgeError as error:
        assert error.kind in ("bad reply", "refusal")
    else:
        assert opinion.probability is None or 0 <= opinion.probability <= 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_word_decides_where_a_log_prob_is_not_a_number(endpoint, value):
    body = replaced(GOOD, VERDICT, {"token": "yes", "logprob": value, "top_logprobs": []})
    assert opinion_on(endpoint, body) == Opinion(yes=True)
