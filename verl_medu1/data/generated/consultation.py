"""Generated patients: a complaint is known, other findings are told when asked for, and a diagnosis is asked.

The world is small enough for the best policy to be computed exactly (`World.value`), so that what a trained policy
reaches can be compared with it. Diseases and numbers are made up.
"""

import json
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, cached_property

from reward_score.response import format_response
from verl_medu1.data.actions import ask_turn
from verl_medu1.data.example import Example

SOURCE = "quickstart-consultation"
DISEASES = ("amavia", "borelis", "cintora", "delvosa", "ermunia", "fantosis", "gorvitis", "helmora")
FINDINGS = (
    "fever",
    "cough",
    "rash",
    "pain",
    "nausea",
    "thirst",
    "swelling",
    "dizziness",
    "tremor",
    "itching",
    "cramps",
    "fatigue",
)
# Number of findings that are typical of a disease, and how likely these and the others are: most findings say little
# about a given complaint, so that it matters what is asked.
TYPICAL, LIKELY, UNLIKELY = 2, 0.95, 0.05
BUDGETS = (1, 2, 3, 4, 5)
# Share of the turns of a demonstration that think of findings before they ask.
CONSIDER_SHARE = 0.25
# What a patient says (verl_medu1/environments/patients.py).
YES, NO, UNKNOWN = "yes", "no", "unknown"

Answers = tuple[tuple[int, bool], ...]  # (finding, whether the patient has it), sorted by finding


def _with(answers: Answers, finding: int, present: bool) -> Answers:
    return tuple(sorted((*answers, (finding, present))))


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
        joint = self._joint(answers)
        return tuple(weight / sum(joint) for weight in joint)

    @cached_property
    def _joint(self) -> Callable[[Answers], tuple[float, ...]]:
        """Probability of these answers together with each disease."""

        @cache
        def joint(answers: Answers) -> tuple[float, ...]:
            if not answers:
                return self.prior
            finding, present = answers[-1]
            rows = zip(joint(answers[:-1]), self.likelihood, strict=True)
            return tuple(weight * (row[finding] if present else 1 - row[finding]) for weight, row in rows)

        return joint

    @cached_property
    def _right(self) -> Callable[[Answers, int], float]:
        """Probability of these answers together with a right diagnosis in the end."""

        @cache
        def right(answers: Answers, questions: int) -> float:
            asked = [self._asked(answers, finding, questions) for finding in self._unknown(answers) if questions]
            return max([*self._joint(answers), *asked])

        return right

    @cached_property
    def _right_unguided(self) -> Callable[[Answers, int], float]:
        """As `_right`, where each question is drawn at random."""

        @cache
        def right(answers: Answers, questions: int) -> float:
            unknown = self._unknown(answers)
            if not questions or not unknown:
                return max(self._joint(answers))
            after = (_with(answers, finding, present) for finding in unknown for present in (True, False))
            return sum(right(known, questions - 1) for known in after) / len(unknown)

        return right

    def _unknown(self, answers: Answers) -> list[int]:
        known = {finding for finding, _ in answers}
        return [finding for finding in range(len(self.likelihood[0])) if finding not in known]

    def _asked(self, answers: Answers, finding: int, questions: int) -> float:
        return sum(self._right(_with(answers, finding, present), questions - 1) for present in (True, False))

    def value(self, answers: Answers, questions: int) -> float:
        """Return the probability of a right diagnosis under the best policy that may ask so many more questions.

        Bellman's equation over what is known: the best of diagnosing now and of each question, by the exact posterior.

        Example:
            >>> world = World((0.5, 0.5), ((0.9,), (0.1,)))
            >>> world.value((), 0), round(world.value((), 1), 3)
            (0.5, 0.9)
        """
        return self._right(answers, questions) / sum(self._joint(answers))

    def asking(self, answers: Answers, finding: int, questions: int) -> float:
        """Return the probability of a right diagnosis if that finding is asked for next, and the best policy goes on.

        Args:
            answers: what is known.
            finding: that is not known.
            questions: how many may be asked, this one among them.
        """
        return self._asked(answers, finding, questions) / sum(self._joint(answers))

    def unguided(self, answers: Answers, questions: int) -> float:
        """Return the probability of a right diagnosis if so many findings are asked for at random, none twice.

        The diagnosis is the most likely one by the exact posterior, so that this is what reading the answers is worth
        to who does not choose what to ask.

        Example:
            >>> world = World((0.5, 0.5), ((0.9, 0.5), (0.1, 0.5)))
            >>> round(world.unguided((), 1), 3), round(world.value((), 1), 3)
            (0.7, 0.9)
        """
        return self._right_unguided(answers, questions) / sum(self._joint(answers))

    def question(self, answers: Answers, questions: int) -> int | None:
        """Return the finding that the best policy asks for; None if it diagnoses."""
        value, best = max(self.posterior(answers)), None
        for finding in self._unknown(answers) if questions else ():
            if (found := self.asking(answers, finding, questions)) > value + 1e-12:
                value, best = found, finding
        return best


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
    """A patient: the disease, all findings, the one that is told at once, and how many questions may be asked.

    One who does not know about the other findings (`knows`) answers "unknown" to every question.
    """

    disease: int
    findings: tuple[bool, ...]
    complaint: int
    budget: int
    knows: bool = True

    def question(self) -> str:
        """Return what the doctor reads."""
        return f"Complaint: {FINDINGS[self.complaint]}. Questions: {self.budget}."

    def example(self) -> Example:
        """Return the question, whose gold answer is the disease, with what the patient knows."""
        findings = dict(zip(FINDINGS, self.findings, strict=True)) if self.knows else {}
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
    """Draw a dialogue that asks for findings, and then says a disease.

    Half of the dialogues ask as often as they may, so that long ones are read, too. Each turn begins with what was
    heard last and the likeliest diseases by then. Some turns also think of the findings of these diseases, and ask for
    one of them (`CONSIDER_SHARE`); the others ask for any. So the dialogue teaches how to ask, what the answers mean
    and what the diseases cause. What is worth asking is left to the training.

    Returns:
        (role, text) of the turns after the question; the last is the model's.
    """
    answers: Answers = ((case.complaint, True),)
    asked, heard = {case.complaint}, f"{FINDINGS[case.complaint]} {YES}"
    turns: list[tuple[str, str]] = []
    for _ in range(rng.choice((case.budget, rng.randint(0, case.budget)))):
        considered = open_findings(world, answers, asked) if rng.random() < CONSIDER_SHARE else []
        finding = rng.choice(considered or [one for one in range(len(FINDINGS)) if one not in asked])
        present = case.findings[finding]
        reply = (YES if present else NO) if case.knows else UNKNOWN
        turns += [
            ("assistant", ask_turn(FINDINGS[finding], thought(world, heard, answers, considered))),
            ("user", reply),
        ]
        asked, heard = asked | {finding}, f"{FINDINGS[finding]} {reply}"
        if case.knows:
            answers = _with(answers, finding, present)
    answer = DISEASES[likeliest(world, answers)[0]]
    return [*turns, ("assistant", format_response(thought(world, heard, answers), answer))]


def thought(world: World, heard: str, answers: Answers, considered: Collection[int] = ()) -> str:
    """Return what was heard last, the likeliest diseases, and the findings that are considered.

    Example:
        >>> world = World((0.5, 0.5), ((LIKELY, LIKELY, UNLIKELY), (UNLIKELY, UNLIKELY, LIKELY)))
        >>> thought(world, "fever yes", ((0, True),), [1])
        'fever yes: amavia; cough'
    """
    diseases = likeliest(world, answers)
    named = "any" if len(diseases) == len(world.prior) else " ".join(DISEASES[disease] for disease in diseases)
    findings = " ".join(FINDINGS[finding] for finding in considered)
    return f"{heard}: {named}" + (f"; {findings}" if findings else "")


def open_findings(world: World, answers: Answers, asked: Collection[int]) -> list[int]:
    """Return the findings of the likeliest diseases that were not asked for yet; none if no disease is less likely.

    Example:
        >>> world = World((0.5, 0.5), ((LIKELY, LIKELY, UNLIKELY), (UNLIKELY, UNLIKELY, LIKELY)))
        >>> open_findings(world, ((0, True),), {0})
        [1]
    """
    diseases = likeliest(world, answers)
    if len(diseases) == len(world.prior):
        return []
    rows = [world.likelihood[disease] for disease in diseases]
    return [
        finding
        for finding in range(len(rows[0]))
        if finding not in asked and any(row[finding] == LIKELY for row in rows)
    ]


def likeliest(world: World, answers: Answers) -> list[int]:
    """Return the diseases of which none is likelier given what is known.

    Example:
        >>> likeliest(World((0.5, 0.5), ((0.9,), (0.1,))), ())
        [0, 1]
    """
    beliefs = world.posterior(answers)
    # Those that are equally likely differ by rounding.
    return [disease for disease, belief in enumerate(beliefs) if belief > max(beliefs) - 1e-9]
