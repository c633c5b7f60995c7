"""From tokens to reward and components: verl's interface, our schemes and the judge."""

import asyncio
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from verl import DataProto

from reward_score.item_results import read_items
from tests.reward_score.judge_server import YES, Reply, serving
from verl_medu1.config.recipes import register_recipes
from verl_medu1.training.reward_manager import MedU1RewardManager

RIGHT = "<think>a</think><answer>B</answer>"
WRONG = "<think>a</think><answer>C</answer>"


class Characters:
    """A tokenizer: one token per character."""

    def decode(self, ids: Any, skip_special_tokens: bool = True) -> str:
        return "".join(chr(int(i)) for i in ids)


def score(
    *overrides: str,
    source: str = "MedQA",
    response: str = RIGHT,
    router: str | None = None,
    left: dict[str, Any] | None = None,
    prompt: list[dict[str, Any]] | None = None,
    **extra_info: Any,
) -> dict[str, Any]:
    """What the manager hands to verl for a response that its loop `left` something with; the gold answer is B."""
    register_recipes()
    GlobalHydra.instance().clear()
    with initialize_config_module("verl_medu1.config", version_base="1.3"):
        config = compose("medu1", overrides=["recipe=quickstart", *overrides])
    # Three tokens of a prompt before, five of padding after.
    ids = torch.tensor([[*map(ord, response), *[0] * 5]])
    mask = torch.tensor([[1] * 3 + [1] * len(response) + [0] * 5])
    row = {"data_source": source, "reward_model": {"ground_truth": "B"}, "extra_info": extra_info}
    row |= {"tool_extra_fields": left or {}, "raw_prompt": prompt or []}
    data = DataProto.from_dict(
        {"responses": ids, "attention_mask": mask},
        non_tensors={key: np.array([value], dtype=object) for key, value in row.items()},
    )

    async def run() -> dict[str, Any]:
        return await MedU1RewardManager(config, Characters(), reward_router_address=router).run_single(data)

    return asyncio.run(run())


def test_components_of_a_right_answer():
    scored = score(budget_mode="exact", budget_tokens=30)
    assert scored["reward_score"] == 1.0
    components = scored["reward_extra_info"]
    assert components["acc"] == components["format"] == components["over_budget"] == 1.0
    assert components["budget_mode"] == "exact" and components["budget_tokens"] == 30
    assert components["length"] == len(RIGHT) and components["budget_distance"] == len(RIGHT) - 30


def test_a_rollout_says_which_question_it_answers():
    assert score(row_id="medqa/7")["reward_extra_info"]["row_id"] == "medqa/7"
    assert score()["reward_extra_info"]["row_id"] == ""


def test_a_rollout_says_on_which_level_its_question_is():
    assert score(level="L2")["reward_extra_info"]["level"] == "L2"
    assert score(level=None)["reward_extra_info"]["level"] == score()["reward_extra_info"]["level"] == ""


def test_a_budget_of_the_reasoning_counts_up_to_its_closing_tag():
    components = score(budget_mode="max", budget_tokens=10, budget_counts="reasoning")["reward_extra_info"]
    reasoning = RIGHT.index("</think>") + len("</think>")
    assert (components["length"], components["counted_tokens"]) == (len(RIGHT), reasoning)
    assert components["budget_distance"] == reasoning - 10 and components["over_budget"] == 1.0


@pytest.mark.parametrize(
    ("response", "gain", "worth"), [(RIGHT, 0.05, 0.5), (RIGHT, 0.3, 1.0), (WRONG, 0.3, 0.0), (RIGHT, None, 0.0)]
)
def test_a_right_answer_is_worth_more_if_it_rests_on_its_picture(response, gain, worth):
    scored = score(response=response, left={"perception_gain": gain})
    components = scored["reward_extra_info"]
    assert (components["perception_gain"], components["perception"]) == (gain, worth)
    # The trainer adds it, so that a validation reports what is right.
    assert scored["reward_score"] == components["acc"]
    assert "perception" not in score()["reward_extra_info"]


def test_a_right_answer_in_another_format_is_worth_nothing_more():
    components = score(response="<answer>B</answer>", left={"perception_gain": 0.3})["reward_extra_info"]
    assert components["acc"] == 1.0 and components["perception"] == 0.0


def test_length_never_enters_the_reward_of_the_default_scheme():
    assert score(budget_mode="max", budget_tokens=5)["reward_score"] == 1.0
    assert score(response=WRONG)["reward_score"] == 0.0


def test_the_published_scheme_sees_the_length_in_tokens():
    off = 100
    scored = score("scoring.scheme=release", budget_mode="exact", budget_tokens=len(RIGHT) + off)
    assert scored["reward_score"] == pytest.approx(1 + 1 + 1 - off / 1500)
    assert score("scoring.scheme=release", response=WRONG)["reward_score"] == 0.0
    reasoning = RIGHT.index("</think>") + len("</think>")
    budget = {"budget_mode": "exact", "budget_tokens": reasoning, "budget_counts": "reasoning"}
    assert score("scoring.scheme=release", **budget)["reward_score"] == 3.0


def test_the_judge_is_asked_where_a_recipe_names_one():
    source = "medical-o1-verifiable-problem"
    assert score(source=source, response=WRONG)["reward_extra_info"]["error"] == 0.0
    # Nothing listens there, so that the question to the judge shows as a counted failure.
    judge = ["scoring.judge.base_url=http://127.0.0.1:9/v1", "scoring.judge.model=m", "scoring.judge.retries=0"]
    asked = score(*judge, source=source, response=WRONG)
    assert asked["reward_extra_info"]["judge_failed"] == asked["reward_extra_info"]["error"] == 1.0
    assert asked["reward_extra_info"]["reason"].startswith("judge: unreachable")
    assert score(*judge, source=source, response=RIGHT)["reward_extra_info"]["error"] == 0.0


def test_a_judge_reads_the_reasoning_where_a_recipe_asks_for_it():
    prompt = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which one?"}]}]
    keys = ["scoring.reasoning.consistency_weight=1", "scoring.reasoning.rubric=[Says why]", "scoring.judge.model=m"]
    options = {"options": [{"letter": letter, "text": f"option {letter}"} for letter in "ABC"]}
    with serving() as judge:
        judge.reply = lambda case: Reply('{"option": "B"}') if "options" in case else YES
        scored = score(*keys, f"scoring.judge.base_url={judge.url}", prompt=prompt, **options)
        assert [case.get("question", "") for case in sorted(judge.cases, key=len)] == ["", "Which one?"]
    components = scored["reward_extra_info"]
    assert (components["consistent"], components["reasoning"], scored["reward_score"]) == (1.0, 1.0, 1.0)


def test_a_judge_in_the_pool_is_asked_at_verls_router():
    pool = ["judge=pool", "reward.reward_model.model_path=/models/judge", "scoring.judge.retries=0"]
    source = "medical-o1-verifiable-problem"
    asked = score(*pool, source=source, response=WRONG, router="127.0.0.1:9")["reward_extra_info"]
    assert asked["judge_failed"] == 1.0 and asked["reason"].startswith("judge: unreachable")
    assert score(*pool, source=source, response=RIGHT, router="127.0.0.1:9")["reward_score"] == 1.0


# ---------------------------------------------------------------- checklists

CHECKLIST = [
    {"statement": "Says B", "aliases": ["B"], "weight": None, "must_not": None},
    {"statement": "Says C", "aliases": ["C"], "weight": None, "must_not": True},
]


def test_all_rows_of_a_batch_have_the_items_of_their_checklist_as_a_text():
    own = score(source="own-open_ended", checklist=CHECKLIST)["reward_extra_info"]
    assert [(item.statement, item.true) for item in read_items(own["checklist_items"])] == [
        ("Says B", True),
        ("Says C", False),
    ]
    other = score()["reward_extra_info"]
    assert other["checklist_items"] == "" and set(other) == set(own)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_rules_are_audited_where_a_recipe_says_so(share):
    judge = ["scoring.judge.base_url=http://127.0.0.1:9/v1", "scoring.judge.model=m", "scoring.judge.retries=0"]
    row = {"source": "own-open_ended", "checklist": CHECKLIST}
    scored = score(*judge, f"scoring.checklist.audit_share={share}", **row)
    # Nothing listens there: what the rules have decided stands.
    components = scored["reward_extra_info"]
    assert (scored["reward_score"], components["judge_failed"], components["error"]) == (1.0, 0.0, 0.0)
    assert {item.audit for item in read_items(components["checklist_items"])} == {"no verdict" if share else ""}
