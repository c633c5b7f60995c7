"""What a model talks to in an episode: the interface, and where environments come from.

Another package adds an environment by an entry point of the group `medu1.environments`: NAME = "module:CLASS".
"""

import functools
import json
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any, Protocol

from verl_medu1.extensions import ENVIRONMENTS, added, load

OURS = {
    "search": "verl_medu1.environments.search:Search",
    "searcher": "verl_medu1.environments.searcher:Searcher",
    "consultation": "verl_medu1.environments.consultation:Consultation",
    "examinations": "verl_medu1.environments.examinations:Examinations",
}


class Session(Protocol):
    """One conversation about one row. It belongs to one response; nothing of it is shared. Subclass it.

    Attributes:
        calls: turns of the model that asked the environment for something.
        invalid: turns that it could not make sense of.
        failed: calls that it could not answer, such as for a server that is down.
    """

    calls: int
    invalid: int
    failed: int

    async def step(self, text: str) -> str | None:
        """Take a turn of the model, and return what it is told next; None if the model has ended the episode.

        What comes from outside, such as a document, needs no escaping: the agent loop does that. An exception ends the
        run; what may fail now and then is counted in `failed`, and the model is told.
        """
        ...

    def told(self, reply: str) -> str:
        """Return what the model has learned by the reply to the call that it just made; "" if nothing.

        `episodes.answer_gain` measures what this is worth. What was learned before must be the same text again, so that
        asking twice is worth nothing. Leave out what the model itself wrote: it could write the answer.
        """
        return reply

    async def finish(self) -> None:
        """Take notice that the episode has ended, by the model or by a limit; a subclass may do what is left to do."""
        return

    def facts(self) -> Mapping[str, Any]:
        """Return what happened, for scorers (`extra_info["facts"]`) and the rollout dump; JSON's types only.

        `evidence` and `searches` are what `reward_score.evidence` reads; leave them out, or have both.
        """
        ...


class Environment(Protocol):
    """What sessions share, such as an index of documents. Made once in each process, as CLASS(settings).

    The constructor gets `episodes.settings` and raises a ValueError, one sentence, for settings that it can't use.

    Attributes:
        last_turn: what a model is told, after all else, before its last turn.
        address: where the environment sends text of a conversation, such as a search server; None if nowhere.
    """

    last_turn: str
    address: str | None

    def start(self, row: Mapping[str, Any]) -> Session:
        """Begin a conversation. All responses to a question must meet the same one.

        Args:
            row: the question's columns: `data_source`, `raw_prompt` (chat messages), `extra_info`.
        """
        ...


def make_environment(name: str, settings: Mapping[str, Any]) -> Environment:
    """Return the environment of a name with these settings; the same one each time in a process.

    Raises:
        ValueError: no package adds it, it can't be imported, or it refuses its settings.
    """
    return _made(name, json.dumps(settings, sort_keys=True))


@functools.cache
def _made(name: str, settings: str) -> Environment:
    others = added(ENVIRONMENTS)
    if name in OURS:
        kind = resolve_name(OURS[name])
    elif name in others:
        kind = load(others[name])
    else:
        raise ValueError(f"episodes.environment is {name!r}; choose one of {', '.join(sorted({*OURS, *others}))}.")
    environment: Environment = kind(json.loads(settings))
    return environment
