"""Consultation: the model asks a patient for findings, one in a turn, and ends with a diagnosis."""

import json
import re
from collections.abc import Mapping
from typing import Any

from reward_score.response import ANSWER_OPEN, THINK_CLOSE
from verl_medu1.data.actions import ASK_CLOSE, ASK_OPEN
from verl_medu1.environments.environment import Session

_QUESTION = re.compile(f"{ASK_OPEN}(.*?){ASK_CLOSE}", re.DOTALL)
YES, NO, UNKNOWN = "yes", "no", "unknown"
NEITHER, NO_MORE = "Ask for one finding, or give the diagnosis.", "No more questions: give the diagnosis."


class Consultation:
    """The environment `consultation`: patients who know their findings by a table.

    A row's `extra_info.environment` is JSON: `findings`, which maps names to true or false, and `budget`, the number of
    questions that may be asked; it is the same for all responses to a question.

    Settings: `silent`, for controls: patients answer "unknown" to everything.
    """

    last_turn = NO_MORE
    address = None

    def __init__(self, settings: Mapping[str, Any]) -> None:
        if others := sorted(set(settings) - {"silent"}):
            raise ValueError(f"episodes.settings has {others[0]!r}; the environment consultation knows silent.")
        self.silent = settings.get("silent", False)
        if not isinstance(self.silent, bool):
            raise ValueError(f"episodes.settings.silent is {self.silent!r}; it must be true or false.")

    def start(self, row: Mapping[str, Any]) -> "Patient":
        """Begin a consultation.

        Raises:
            ValueError: the row has no patient.
        """
        extra_info = row["extra_info"]
        try:
            case = json.loads(extra_info.get("environment") or "")
            findings = {str(name).casefold(): bool(value) for name, value in case["findings"].items()}
            budget = int(case["budget"])
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(
                f"row {extra_info.get('row_id')!r} has no patient in extra_info.environment (JSON with findings and "
                "budget); prepare the file for consultations"
            ) from None
        return Patient({} if self.silent else findings, budget)


class Patient(Session):
    """A patient with a table of findings, who says yes, no or unknown."""

    def __init__(self, findings: Mapping[str, bool], budget: int) -> None:
        self._findings, self._budget = findings, budget
        self.calls = self.invalid = self.failed = 0
        self._asked: list[str] = []

    async def step(self, text: str) -> str | None:
        """Answer the question that the turn has after its reasoning."""
        said = text.rpartition(THINK_CLOSE)[2]
        if ANSWER_OPEN in said:
            return None
        questions = [question.strip().casefold() for question in _QUESTION.findall(said)]
        if len(questions) != 1 or not questions[0]:
            self.invalid += 1
            return NEITHER
        if self.calls >= self._budget:
            self.invalid += 1
            return NO_MORE
        self.calls += 1
        self._asked.append(questions[0])
        present = self._findings.get(questions[0])
        return UNKNOWN if present is None else YES if present else NO

    def facts(self) -> Mapping[str, Any]:
        """Return what was asked for, in order, and how much could have been."""
        return {"asked": self._asked, "budget": self._budget}
