"""Consultation: the model asks a patient, one question in a turn, and ends with an answer, such as a diagnosis."""

import json
import re
from collections.abc import Mapping
from typing import Any

from reward_score.must_ask import UNASKED
from reward_score.response import ANSWER_OPEN, THINK_CLOSE
from verl_medu1.data.actions import ASK_CLOSE, ASK_OPEN
from verl_medu1.environments.environment import Session
from verl_medu1.environments.must_ask import MustAsk
from verl_medu1.environments.patients import Patient, TablePatient, Unanswered

_QUESTION = re.compile(f"{ASK_OPEN}(.*?){ASK_CLOSE}", re.DOTALL)
NEITHER, NO_MORE, FAILED = (
    "Ask one question, or give the answer.",
    "No more questions: give the answer.",
    "Nobody answers.",
)


class Consultation:
    """The environment `consultation`.

    A row's `extra_info.environment` is JSON: `budget`, the number of questions that may be asked, which is the same for
    all responses to a row, and what the patient knows: either `findings`, which maps names to true or false, or
    `facts`, sentences, with `names`, which the patient never says. It may have `must_ask` (`MustAsk`).

    Settings: those of the endpoint that speaks for patients with facts (`reward_score.chat.ChatSettings`); and
    `silent`, for controls: patients know nothing.
    """

    last_turn = NO_MORE

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.silent = settings.get("silent", False)
        if not isinstance(self.silent, bool):
            raise ValueError(f"episodes.settings.silent is {self.silent!r}; it must be true or false.")
        endpoint = {name: value for name, value in settings.items() if name != "silent"}
        self.address = None if self.silent else endpoint.get("base_url")
        self._speaker = None
        if endpoint:  # pydantic and openai, which no patient with a table needs
            from verl_medu1.environments.endpoint_patient import Speaker

            self._speaker = Speaker(endpoint)

    def start(self, row: Mapping[str, Any]) -> "Interview":
        """Begin a consultation.

        Raises:
            ValueError: the row has no patient, there is no endpoint to speak for it, the row may not be sent there, or
                its `must_ask` has a mistake.
        """
        extra_info = row["extra_info"]
        row_id = extra_info.get("row_id")
        try:
            case = json.loads(extra_info.get("environment") or "")
            budget, is_table = _number(case["budget"]), "findings" in case
            findings = _findings(case["findings"]) if is_table else {}
            facts, names = ([], []) if is_table else (_texts(case[key]) for key in ("facts", "names"))
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ValueError(
                f"row {row_id!r} has no patient in extra_info.environment (JSON with budget, a whole number, and "
                "findings, each true or false, or facts and names, lists of texts); prepare the file for consultations"
            ) from None
        must_ask = MustAsk(row, case)
        if is_table or self.silent:
            return Interview(TablePatient({} if self.silent else findings), budget, must_ask)
        if self._speaker is None:
            raise ValueError(
                f"row {row_id!r} has a patient for whom a language model speaks; set episodes.settings.base_url and "
                "episodes.settings.model"
            )
        from verl_medu1.environments.endpoint_patient import EndpointPatient

        if not self._speaker.may_see(str(row["data_source"])):
            raise ValueError(f"{row['data_source']} may not leave this machine, and {self.address} is elsewhere")
        return Interview(EndpointPatient(self._speaker, facts, names), budget, must_ask)


# A mistake of a row is no guess: the text "no" would be true, and a text a list of letters.
def _number(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise TypeError
    return given


def _findings(given: object) -> dict[str, bool]:
    if not isinstance(given, dict) or not all(isinstance(present, bool) for present in given.values()):
        raise TypeError
    found = {str(name).strip().casefold(): present for name, present in given.items()}
    if len(found) < len(given) or "" in found:
        raise ValueError
    return found


def _texts(given: object) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise TypeError
    return given


class Interview(Session):
    """A conversation with a patient. An answer ends it; what is no question is answered with a hint."""

    def __init__(self, patient: Patient, budget: int, must_ask: MustAsk) -> None:
        self._patient, self._budget, self._must_ask = patient, budget, must_ask
        self.calls = self.invalid = self.failed = 0
        self._asked: list[str] = []
        self._failures: list[str] = []

    async def step(self, text: str) -> str | None:
        """Answer the question that the turn has after its reasoning."""
        said = text.rpartition(THINK_CLOSE)[2]
        if ANSWER_OPEN in said:
            return None
        questions = [question.strip() for question in _QUESTION.findall(said)]
        if len(questions) != 1 or not questions[0]:
            self.invalid += 1
            return NEITHER
        if self.calls >= self._budget:
            self.invalid += 1
            return NO_MORE
        self.calls += 1
        self._asked += questions
        try:
            return await self._patient.answer(questions[0])
        except Unanswered as error:
            self.failed += 1
            self._failures.append(str(error))
            return FAILED

    def told(self, reply: str) -> str:
        """Return what is known by the answer to the latest question."""
        return self._patient.told(self._asked[-1], reply)

    def facts(self) -> Mapping[str, Any]:
        """Return what was asked for, in order, how much could have been, why calls failed, and the patient's facts.

        For a row with `must_ask` also `unasked`, the diagnoses that nothing was asked about.
        """
        failures = {"failures": self._failures} if self._failures else {}
        unasked = {UNASKED: self._must_ask.unasked(self._asked)} if self._must_ask else {}
        return {"asked": self._asked, "budget": self._budget, **failures, **unasked, **self._patient.facts()}
