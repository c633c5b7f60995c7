"""Diagnoses that must not be missed: which of them nothing was asked about."""

from collections.abc import Mapping, Sequence
from typing import Any

from reward_score import check_gold
from reward_score.must_ask import without_gold
from verl_medu1.environments.naming import Names


class MustAsk:
    """Diagnoses that must not be excluded without a question, each with the findings of which one has to be asked for.

    A question asks for a finding if it is the finding's name, where a patient is a table; where a patient speaks, if
    the finding is in it as `Names` finds names. What the patient replies does not matter.

    Args:
        row: `data_source` and `extra_info`.
        case: `extra_info.environment`, of which `must_ask` is read: {diagnosis: [finding, ...]}.

    Raises:
        ValueError: it can't be read, or names what is no answer to the row's question, or what can't be asked for.

    Example:
        >>> row = {"data_source": "own-open_ended", "extra_info": {"row_id": "r"}}
        >>> must_ask = MustAsk(row, {"facts": [], "must_ask": {"meningitis": ["stiff neck", "neck stiffness"]}})
        >>> must_ask.unasked(["Do you have fever?"]), must_ask.unasked(["Is there any neck-stiffness?"])
        (['meningitis'], [])
    """

    def __init__(self, row: Mapping[str, Any], case: Mapping[str, Any]) -> None:
        self._row_id, self._table = row["extra_info"].get("row_id"), case.get("findings")
        given = case.get("must_ask") or {}
        if not isinstance(given, dict) or not all(map(_are_names, given.values())):
            raise ValueError(
                f"row {self._row_id!r} has a must_ask that can't be read; give diagnoses, each with a list of what may "
                'be asked for, such as {"meningitis": ["stiff neck"]}'
            )
        for diagnosis in given:
            if problem := check_gold(str(row["data_source"]), diagnosis, without_gold(row["extra_info"])):
                raise ValueError(
                    f"row {self._row_id!r} has a must_ask for {diagnosis!r}, which is no answer to its question "
                    f"({problem}); name it as an answer would"
                )
        self._names = {diagnosis: self._read(findings) for diagnosis, findings in given.items()}

    def _read(self, findings: Sequence[str]) -> Names | set[str]:
        known = None if self._table is None else {name.strip().casefold() for name in self._table}
        for finding in findings:
            if finding.strip().casefold() not in known if known is not None else not Names([finding]).are_in(finding):
                raise ValueError(
                    f"row {self._row_id!r} has a must_ask with {finding!r}, which no question can ask for; name one of "
                    "the row's findings, or for a patient who speaks a word of two letters at least"
                )
        return Names(findings) if known is None else {finding.strip().casefold() for finding in findings}

    def __bool__(self) -> bool:
        return bool(self._names)

    def unasked(self, questions: Sequence[str]) -> list[str]:
        """Return the diagnoses that none of these questions asks for."""
        return [name for name, findings in self._names.items() if not any(_asks(findings, one) for one in questions)]


def _asks(findings: Names | set[str], question: str) -> bool:
    return findings.are_in(question) if isinstance(findings, Names) else question.casefold() in findings


def _are_names(findings: object) -> bool:
    return isinstance(findings, list) and bool(findings) and all(isinstance(name, str) for name in findings)
