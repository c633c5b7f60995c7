"""An environment of another package is asked for the first conversation before anything starts."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.checks.test_settings import EPISODES
from tests.rollout.test_episode import Notes, Reading
from verl_medu1.checks.run import check
from verl_medu1.environments import environment

CHOSEN = [*EPISODES, "actor_rollout_ref.rollout.enable_chunked_prefill=false", "episodes.environment=notes"]


class WithoutEnd:
    """A session that was written for a protocol without `finish`."""

    calls = invalid = failed = 0

    async def step(self, text: str) -> str | None:
        return None

    def facts(self) -> Mapping[str, Any]:
        return {}


class Uncounted(Reading):
    """A session that sets no counters."""

    def __init__(self) -> None:
        self.heard = []


def adds(monkeypatch: pytest.MonkeyPatch, begin: Callable[[], Any]) -> None:
    class Others(Notes):
        def start(self, row: Mapping[str, Any]) -> Any:
            return begin()

    monkeypatch.setattr(environment, "added", lambda group: {"notes": Others})
    monkeypatch.setattr(environment, "load", lambda found: found)
    environment._made.cache_clear()


def test_one_that_has_all_of_it_passes(configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    adds(monkeypatch, lambda: Reading("note"))
    check(configure(*CHOSEN))


@pytest.mark.parametrize(("begin", "lacks"), [(WithoutEnd, "finish"), (Uncounted, "calls")])
def test_a_session_that_lacks_something_is_refused(
    configure: Any, monkeypatch: pytest.MonkeyPatch, begin: Callable[[], Any], lacks: str
) -> None:
    adds(monkeypatch, begin)
    with pytest.raises(ValueError, match=rf"'notes', whose session has no {lacks}; let its class be a subclass of"):
        check(configure(*CHOSEN))
