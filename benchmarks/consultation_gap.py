"""How good a consultation was, compared with the best one that the generated patients allow; pure functions."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verl_medu1.data.generated.consultation import DISEASES, FINDINGS, Answers, Case, World
from verl_medu1.evaluate.statistics import Estimate

RESAMPLES = 4000
_COMPLAINT = re.compile(r"Complaint: (\w+)\.")


@dataclass(frozen=True)
class Measured:
    """One consultation, and what the best policy would have made of its patient.

    Attributes:
        budget: questions that might be asked.
        right: whether the diagnosis is right.
        expected: probability that it is, by the exact posterior of what the model had heard.
        guess: probability of a right diagnosis for who knows the complaint alone.
        unguided: that of who asks for anything, and reads the answers exactly.
        optimum: that of the best policy with the budget.
        asked: questions that were asked.
        best: for each of them whether a best policy could have asked it then; without those that did not matter, as all
            that was unknown was worth the same.
        by_chance: for each of these the share of what was unknown for which that is so.
    """

    budget: int
    right: bool
    expected: float
    guess: float
    unguided: float
    optimum: float
    asked: int
    best: tuple[bool, ...]
    by_chance: tuple[float, ...]


def read_case(row: Mapping[str, Any]) -> Case:
    """Read a patient back from a row of questions; of one who knows nothing, the findings are not in it.

    Raises:
        ValueError: the row has no such patient.
    """
    told = row["extra_info"]["question"] or ""
    complaint = _COMPLAINT.match(told)
    if complaint is None:
        raise ValueError(f"{told!r} states no complaint; give a file of quickstart-consultation.")
    knows = json.loads(row["extra_info"]["environment"])
    findings = tuple(bool(knows["findings"].get(name)) for name in FINDINGS)
    disease = DISEASES.index(row["reward_model"]["ground_truth"])
    return Case(disease, findings, FINDINGS.index(complaint[1]), knows["budget"], knows=bool(knows["findings"]))


def measure(world: World, case: Case, sample: Mapping[str, Any], silent: bool = False) -> Measured:
    """Compare a consultation with the best policy.

    Args:
        world: from which the patient was drawn.
        case: the patient.
        sample: a row of a rollout's dump: `pred` and `facts`.
        silent: the patient answered "unknown" to everything.
    """
    start: Answers = ((case.complaint, True),)
    known, best, by_chance = start, [], []
    asked = json.loads(sample["facts"])["asked"]
    for place, name in enumerate(asked):
        left, open_ones = case.budget - place, set(range(len(FINDINGS))) - {finding for finding, _ in known}
        best_ones = {one for one in open_ones if world.asking(known, one, left) > world.value(known, left) - 1e-9}
        finding = FINDINGS.index(name) if name in FINDINGS else None
        if best_ones != open_ones:
            best.append(finding in best_ones)
            by_chance.append(len(best_ones) / len(open_ones))
        if finding in open_ones and not silent:
            known = tuple(sorted((*known, (finding, case.findings[finding]))))
    named = str(sample["pred"]).strip().casefold()
    return Measured(
        budget=case.budget,
        right=named == DISEASES[case.disease],
        expected=world.posterior(known)[DISEASES.index(named)] if named in DISEASES else 0.0,
        guess=world.value(start, 0),
        unguided=world.unguided(start, case.budget),
        optimum=world.value(start, case.budget),
        asked=len(asked),
        best=tuple(best),
        by_chance=tuple(by_chance),
    )


def gap_closed(cases: Sequence[Sequence[Measured]], figure: str = "right", low: str = "guess") -> Estimate:
    """Return which share of the gap up to the optimum is closed, with its 95 % interval.

        sum (a - g) / sum (o - g),  over cases; a the mean of `figure` of a case, g and o its `low` and its optimum

    The interval is the percentile bootstrap over cases: consultations with one patient stay together.

    Args:
        cases: for each case its consultations.
        figure: "right" or "expected".
        low: "guess", or "unguided" for the gap that asking the best questions closes.
    """
    reached = np.array([float(np.mean([getattr(one, figure) for one in case])) for case in cases])
    below, optimum = (np.array([getattr(case[0], name) for case in cases]) for name in (low, "optimum"))
    drawn = np.random.default_rng(0).integers(len(cases), size=(RESAMPLES, len(cases)))
    shares = (reached - below)[drawn].sum(1) / (optimum - below)[drawn].sum(1)
    ends = np.percentile(shares, [2.5, 97.5])
    return Estimate(float((reached - below).sum() / (optimum - below).sum()), float(ends[0]), float(ends[1]))


def transferred(policy: World, world: World, answers: Answers, questions: int) -> float:
    """Return the probability of a right diagnosis of the best policy for one world in another with the same findings.

    Example:
        >>> even, skewed = World((0.5, 0.5), ((0.9,), (0.1,))), World((0.2, 0.8), ((0.9,), (0.1,)))
        >>> round(transferred(even, skewed, (), 1), 3), transferred(even, skewed, (), 0)
        (0.9, 0.2)
    """
    beliefs, finding = world.posterior(answers), policy.question(answers, questions)
    if finding is None:
        believed = policy.posterior(answers)
        return beliefs[believed.index(max(believed))]
    value = 0.0
    for present in (True, False):
        chance = sum(
            belief * (row[finding] if present else 1 - row[finding])
            for belief, row in zip(beliefs, world.likelihood, strict=True)
        )
        if chance > 0:
            known = tuple(sorted((*answers, (finding, present))))
            value += chance * transferred(policy, world, known, questions - 1)
    return value
