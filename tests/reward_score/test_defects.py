"""Defects of the published scorer that no other table here has a row for: what is scored instead.

The numbers are those of an audit of the published code, which is not part of this project; D6 and D8 to D25 stand
beside the rows of the scorers' own tables.
"""

import pytest

from reward_score import Score, compute_score
from verl_medu1.data.corrections import due_date_override
from verl_medu1.data.example import Example

REFERENCE = (
    "The lesion is a benign neurofibroma of the median nerve, which is treated by excision when it is painful, and it "
    "does not become malignant in patients without neurofibromatosis."
)
OPEN = "medical-o1-reasoning-SFT"


def scored(answer: str, source: str = OPEN, gold: str = REFERENCE, **options: object) -> Score:
    return compute_score(source, f"<think>Because of the history.</think><answer>{answer}</answer>", gold, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", ["is", "the lesion is", " ".join(REFERENCE.split()[:8])])
def test_d1_precision_alone_is_not_enough(answer: str) -> None:
    assert scored(answer)["acc"] == 0.0


def test_d2_a_copy_of_the_reference_is_right_however_often_it_repeats_a_word() -> None:
    repeated = (
        "Pain in the arm, pain in the leg, pain in the back and pain in the neck, and pain in the jaw after a meal."
    )
    assert scored(repeated, gold=repeated)["acc"] == 1.0


def test_d3_d4_d5_similarity_has_one_scale_from_0_to_1() -> None:
    assert scored(REFERENCE)["similarity"] == 1.0
    assert scored("unrelated")["similarity"] == 0.0
    assert scored(REFERENCE, scheme="gated_similarity")["score"] == 1.0


def test_d7_similarity_orders_a_constant_a_prefix_and_the_reference() -> None:
    prefix = " ".join(REFERENCE.split()[:8])
    assert scored("is")["similarity"] < scored(prefix)["similarity"] < scored(REFERENCE)["similarity"]


def test_d16_a_wrong_label_is_corrected_where_arithmetic_proves_it() -> None:
    question = (
        "The patient's last menstrual period was on 12/11/2013. Her cycle length is 22 days. "
        "Using Naegele's Rule, what is the estimated due date?"
    )
    override = due_date_override(Example("MedCalc-Bench", "medcalc/928", "calculation", question, "09/23/2014"))
    assert override is not None
    assert scored("9/11/2014", "MedCalc-Bench", override.corrected)["acc"] == 1.0
    assert scored(override.published, "MedCalc-Bench", override.corrected)["acc"] == 0.0


def test_d26_an_empty_response_is_scored() -> None:
    result = compute_score(OPEN, "", REFERENCE)
    assert (result["score"], result["format"], result["error"]) == (0.0, 0.0, 0.0)


BUDGET = {"budget_mode": "exact", "budget_tokens": 1000}


def test_d27_a_wrong_answer_on_budget_earns_nothing_but_in_the_published_scheme() -> None:
    wrong_on_budget = {"extra_info": BUDGET, "num_tokens": 1000}
    right_too_long = {"extra_info": BUDGET, "num_tokens": 4000}
    assert scored("unrelated", **wrong_on_budget)["score"] == 0.0
    assert scored(REFERENCE, **right_too_long)["score"] == 1.0
    published = [
        scored("unrelated", scheme="release", **wrong_on_budget),
        scored(REFERENCE, scheme="release", **right_too_long),
    ]
    assert [result["score"] for result in published] == [1.0, 1.0]


@pytest.mark.parametrize(("tokens", "term"), [(1000, 0.0), (500, 1.0), (400, 1.0), (1500, -1.0)])
def test_d28_the_published_maximum_pays_for_stopping_500_tokens_early(tokens: int, term: float) -> None:
    info = {"budget_mode": "max", "budget_tokens": 1000}
    assert scored(REFERENCE, scheme="release", extra_info=info, num_tokens=tokens)["score"] == 2.0 + term


def test_d29_the_published_exact_budget_forgives_1500_tokens_whatever_the_budget() -> None:
    info = {"budget_mode": "exact", "budget_tokens": 100}
    assert scored(REFERENCE, scheme="release", extra_info=info, num_tokens=1600)["score"] == 2.0


def test_d30_no_budget_and_a_maximum_of_one_token_are_two_things() -> None:
    none = scored(REFERENCE, scheme="release", extra_info={"budget_mode": "none", "budget_tokens": 0}, num_tokens=900)
    one = scored(REFERENCE, scheme="release", extra_info={"budget_mode": "max", "budget_tokens": 1}, num_tokens=900)
    assert (none["score"], one["score"]) == (2.0, 1.0)


def test_d33_components_are_apart() -> None:
    assert {"score", "acc", "format", "similarity", "error"} <= set(scored("is"))
