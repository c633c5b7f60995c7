"""Generated patients: a complaint is known, other findings are told when asked for, and a diagnosis is asked.

The world is small enough for the best policy to be computed exactly (`World.value`), so that what a trained policy
reaches can be compared with it. Diseases and numbers are made up.
"""

import json
import random
from dataclasses import dataclass
from functools import cache, cached_property

from reward_score.response import format_response
from verl_medu1.data.actions import ask_turn
from verl_medu1.data.example import Example

SOURCE = "quickstart-consultation"
DISEASES = ("amavia", "borelis", "cintora", "delvosa", "ermunia", "fantosis", "gorvitis", "helmora")
FINDINGS = ("fever", "cough", "rash", "pain", "nausea", "thirst", "swelling", "dizziness")
# Number of findings that are typical of a disease, and how likely these and the others are.
TYPICAL, LIKELY, UNLIKELY = 4, 0.9, 0.1
BUDGETS = (1, 2, 3, 4, 5)
# What a patient says (verl_medu1/environments/consultation.py).
YES, NO = "yes", "no"

Answers = tuple[tuple[int, bool], ...]  # (finding, whether the patient has it), sorted by finding


@dataclass(frozen=True)
class World:
    """Which diseases there are, and which findings they cause.

    Attributes:
        prior: probability of each disease, (D,).
        likelihood: probability of each finding for each disease, (D, F); findings are independent given the disease.
    """

    prior: tuple[float, ...]
    likelihood: tuple[tuple[float, ...], ...]

    def posterior(self, answers: Answers) -> tuple[float, ...]:
        """Return the probability of each disease given what is known, by Bayes' rule.

        Example:
            >>> world = World((0.5, 0.5), ((0.9,), (0.1,)))
            >>> world.posterior(((0, True),))
            (0.9, 0.1)
        """
        weights = list(self.prior)
        for finding, present in answers:
            for disease, chances in enumerate(self.likelihood):
                weights[disease] *= chances[finding] if present else 1 - chances[finding]
        total = sum(weights)
        return tuple(weight / total for weight in weights)

    @cached_property
    def _best(self):  # type: ignore[no-untyped-def]
        @cache
        def best(answers: Answers, questions: int) -> tuple[float, int | None]:
            beliefs = self.posterior(answers)
            value, action = max(beliefs), None
            if questions:
                for finding in set(range(len(self.likelihood[0]))) - {known for known, _ in answers}:
                    found = self._after(answers, beliefs, finding, questions - 1)
                    if found > value + 1e-12:
                        value, action = found, finding
            return value, action

        return best

    def _after(self, answers: Answers, beliefs: tuple[float, ...], finding: int, questions: int) -> float:
        chance = sum(belief * row[finding] for belief, row in zip(beliefs, self.likelihood, strict=True))
        value = 0.0
        for present, weight in ((True, chance), (False, 1 - chance)):
            if weight > 0:
                known = tuple(sorted((*answers, (finding, present))))
                value += weight * self._best(known, questions)[0]
        return value

    def value(self, answers: Answers, questions: int) -> float:
        """Return the probability of a right diagnosis under the best policy that may ask so many more questions.

        Bellman's equation over what is known: the best of diagnosing now and of each question, by the exact posterior.

        Example:
            >>> world = World((0.5, 0.5), ((0.9,), (0.1,)))
            >>> world.value((), 0), round(world.value((), 1), 3)
            (0.5, 0.9)
        """
        found: float = self._best(answers, questions)[0]
        return found

    def question(self, answers: Answers, questions: int) -> int | None:
        """Return the finding that the best policy asks for; None if it diagnoses."""
        action: int | None = self._best(answers, questions)[1]
        return action


def make_world(seed: int, skewed: bool = False) -> World:
    """Draw the findings that are typical of each disease, which differ between any two, and the prior.

    Args:
        seed: of the typical findings.
        skewed: the first diseases are more common, for a prior that no training has seen; else all are as common.
    """
    rng = random.Random(f"consultation {seed}")
    typical: list[frozenset[int]] = []
    while len(typical) < len(DISEASES):
        found = frozenset(rng.sample(range(len(FINDINGS)), TYPICAL))
        if found not in typical:
            typical.append(found)
    weights = [1 / (place + 1) if skewed else 1.0 for place in range(len(DISEASES))]
    likelihood = tuple(
        tuple(LIKELY if finding in of_disease else UNLIKELY for finding in range(len(FINDINGS)))
        for of_disease in typical
    )
    return World(tuple(weight / sum(weights) for weight in weights), likelihood)


@dataclass(frozen=True)
class Case:
    """A patient: the disease, all findings, the one that is told at once, and how many questions may be asked."""

    disease: int
    findings: tuple[bool, ...]
    complaint: int
    budget: int

    def question(self) -> str:
        """Return what the doctor reads."""
        return f"Complaint: {FINDINGS[self.complaint]}. Questions: {self.budget}."

    def example(self) -> Example:
        """Return the question, whose gold answer is the disease, with what the patient knows."""
        findings = dict(zip(FINDINGS, self.findings, strict=True))
        environment = json.dumps({"findings": findings, "budget": self.budget})
        return Example(SOURCE, "", "open_ended", self.question(), DISEASES[self.disease], environment=environment)


def draw_case(world: World, rng: random.Random) -> Case:
    """Draw a complaint, then a patient who has it, and the number of questions.

    A complaint that were chosen among a patient's findings would say more than that the patient has it, and the exact
    posterior would have to know how it was chosen.
    """
    complaint = rng.randrange(len(FINDINGS))
    while True:
        disease = rng.choices(range(len(DISEASES)), world.prior)[0]
        findings = tuple(rng.random() < chance for chance in world.likelihood[disease])
        if findings[complaint]:
            return Case(disease, findings, complaint, rng.choice(BUDGETS))


def demonstrate(world: World, case: Case, rng: random.Random) -> list[tuple[str, str]]:
    """Draw a dialogue that asks for any findings, and then says a disease as often as it is likely.

    It teaches how to ask and what diseases look like, and nothing about what is worth asking.

    Returns:
        (role, text) of the turns after the question; the last is the model's.
    """
    others = [finding for finding in range(len(FINDINGS)) if finding != case.complaint]
    answers: Answers = ((case.complaint, True),)
    turns: list[tuple[str, str]] = []
    for finding in rng.sample(others, rng.randint(0, case.budget)):
        present = case.findings[finding]
        turns += [("assistant", ask_turn(FINDINGS[finding])), ("user", YES if present else NO)]
        answers = (*answers, (finding, present))
    disease = DISEASES[rng.choices(range(len(DISEASES)), world.posterior(answers))[0]]
    return [*turns, ("assistant", format_response(disease, disease))]
