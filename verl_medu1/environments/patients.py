"""Patients: who knows a table of findings, and who knows nothing; endpoint_patient.py has the one who speaks."""

from collections.abc import Mapping
from typing import Any, Protocol

YES, NO, UNKNOWN = "yes", "no", "unknown"


class Unanswered(RuntimeError):
    """A patient could not be asked; the message is the kind of failure, with nothing of the question in it."""


class Patient(Protocol):
    """One patient in one conversation."""

    async def answer(self, question: str) -> str:
        """Answer a question.

        Raises:
            Unanswered: nobody knows what the patient would have said.
        """
        ...

    def told(self, question: str, reply: str) -> str:
        """Return what is known by an answer, see `Session.told`; "" if nothing."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """Return what happened, beside the questions; JSON's types only."""
        ...


class TablePatient:
    """Knows which findings there are and which are not, by their names.

    Args:
        findings: name -> whether the patient has it.
    """

    def __init__(self, findings: Mapping[str, bool]) -> None:
        self._findings = {name.casefold(): present for name, present in findings.items()}

    async def answer(self, question: str) -> str:
        """Return yes, no or unknown."""
        present = self._findings.get(question.casefold())
        return UNKNOWN if present is None else YES if present else NO

    def told(self, question: str, reply: str) -> str:
        """Return the finding with the answer: a name of the table, so that the model can't choose it freely."""
        return "" if reply == UNKNOWN else f"{question.casefold()}: {reply}"

    def facts(self) -> Mapping[str, Any]:
        """Return nothing: no answer is withheld."""
        return {}
