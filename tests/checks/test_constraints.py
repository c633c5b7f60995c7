"""A constraint that can't work is refused before the start, by its key."""

import pytest

from verl_medu1.checks.run import check

KEY = "algorithm.constraints"
SUPPORT = f"{KEY}={{support: {{cost: reference_surprisal, limit: 1.5}}}}"
BRIEF = f"{KEY}={{brief: {{cost: over_budget, limit: 0.05}}}}"
CUSTOM = [
    "reward.custom_reward_function.path=pkg://reward_score.score",
    "reward.custom_reward_function.name=compute_score",
]
VERLS_MANAGER = [
    "reward.reward_manager.source=register",
    "reward.reward_manager.name=dapo",
    "reward.reward_manager.module.path=null",
    "algorithm.length_penalty.where=off",
]


@pytest.mark.parametrize(
    "overrides",
    [
        [BRIEF],
        [f"{KEY}={{brief: {{cost: over_budget, limit: 0, kp: 0, ki: 2, max: 3, sources: [quickstart-calc]}}}}"],
        [f"{KEY}={{short: {{cost: length, limit: 40}}, brief: {{cost: over_budget, limit: 0.5}}}}"],
        [SUPPORT, "actor_rollout_ref.actor.use_kl_loss=true"],
        [SUPPORT, "actor_rollout_ref.actor.use_kl_loss=true", "actor_rollout_ref.actor.kl_loss_coef=0"],
        [SUPPORT, "algorithm.use_kl_in_reward=true"],
        # The trainer computes it, whatever function gives the rewards, and whatever manager.
        [SUPPORT, "actor_rollout_ref.actor.use_kl_loss=true", *CUSTOM],
        [SUPPORT, "actor_rollout_ref.actor.use_kl_loss=true", *VERLS_MANAGER],
        [BRIEF, "variant=gdpo"],
        [BRIEF, "variant=rloo"],
        [BRIEF, "trainer.v1.trainer_mode=medu1_colocate_async"],
        # Its own components are known to the user's function alone.
        [f"{KEY}={{mine: {{cost: dose_excess, limit: -3}}}}", *CUSTOM],
    ],
)
def test_a_right_constraint_passes(configure, overrides):
    check(configure(*overrides))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ([f"{KEY}=[1]"], r"constraints is \[1\]; give names with settings, such as {brief: {cost: over_budget"),
        ([f"{KEY}={{}}"], r"constraints is {}; give names .*or null for none\.$"),
        ([f"{KEY}={{brief: 0.05}}"], r"constraints\.brief is 0\.05; give it cost and limit"),
        ([f"{KEY}={{brief: {{cost: over_budget}}}}"], r"constraints\.brief lacks limit"),
        ([f"{KEY}={{brief: {{limit: 0.1}}}}"], r"constraints\.brief lacks cost"),
        ([f"{KEY}={{brief: {{cost: over_budget, limits: 0.1}}}}"], r"brief\.limits is not a key; near it are limit"),
        ([f"{KEY}={{12: {{cost: over_budget, limit: 0.1}}}}"], r"has the name 12; use letters"),
        ([f"{KEY}={{brief: {{cost: overbudget, limit: 0.1}}}}"], r"cost is 'overbudget'; our scorers have unsafe, "),
        # What is better the higher it is would be a constraint of the wrong sign.
        ([f"{KEY}={{ask: {{cost: unasked, limit: 0.1}}}}"], "'unasked', and nobody is asked in one turn; set"),
        (
            [
                f"{KEY}={{ask: {{cost: unasked, limit: 0.1}}}}",
                "actor_rollout_ref.rollout.agent.default_agent_loop=medu1_episode",
                "episodes.environment=search",
            ],
            "'unasked', and episodes.environment is 'search', where it is always 0; take",
        ),
        ([f"{KEY}={{brief: {{cost: acc, limit: 0.1}}}}"], r"cost is 'acc'; our scorers have unsafe, unasked, "),
        ([f"{KEY}={{brief: {{cost: over_budget, limit: 1}}}}"], r"limit is 1; it must be a number from 0 to below 1"),
        ([f"{KEY}={{brief: {{cost: over_budget, limit: -0.5}}}}"], r"limit is -0\.5; it must be a number from 0 to"),
        ([f"{KEY}={{brief: {{cost: length, limit: -1}}}}"], r"limit is -1; it must be a number of at least 0\.$"),
        ([f"{KEY}={{brief: {{cost: over_budget, limit: '0.1'}}}}"], r"limit is '0\.1'; it must be a number"),
        ([f"{KEY}={{brief: {{cost: over_budget, limit: nan}}}}"], r"limit is nan; it must be a number"),
        ([f"{KEY}={{brief: {{cost: over_budget, limit: 0.1, ki: 0}}}}"], r"brief\.ki is 0; it must be .* above 0"),
        ([f"{KEY}={{brief: {{cost: over_budget, limit: 0.1, kp: -1}}}}"], r"brief\.kp is -1; .* of at least 0"),
        ([f"{KEY}={{brief: {{cost: over_budget, limit: 0.1, max: 0}}}}"], r"brief\.max is 0; it must be .* above 0"),
        ([BRIEF, "algorithm.constraint_defaults.max=null"], r"constraint_defaults\.max is None; it must be a number"),
        ([f"{KEY}={{b: {{cost: length, limit: 1, sources: MedQA}}}}"], r"b\.sources is 'MedQA'; give a list"),
        ([f"{KEY}={{b: {{cost: length, limit: 1, sources: [MedQB]}}}}"], r"b\.sources names 'MedQB', which is not"),
        ([BRIEF, "variant=reinforce_pp"], r"adv_estimator is 'reinforce_plus_plus', and algorithm\.constraints needs"),
        ([BRIEF, "algorithm.adv_estimator=gae"], r"adv_estimator is 'gae', and algorithm\.constraints needs"),
        ([BRIEF, "variant=dapo"], r"filter_groups\.enable is true, which replaces .*before algorithm\.constr"),
        (
            [BRIEF, "trainer.v1.trainer_mode=sync", "algorithm.length_penalty.where=off"],
            r"trainer_mode is 'sync', which leaves algorithm\.constraints out; use medu1_sync",
        ),
        (
            [BRIEF, *VERLS_MANAGER],
            r"cost is 'over_budget', and reward\.reward_manager\.name is 'dapo'",
        ),
        ([SUPPORT], r"cost is 'reference_surprisal', and no reference model is loaded; set .*use_kl_loss=true"),
        ([SUPPORT, *CUSTOM], r"cost is 'reference_surprisal', and no reference model is loaded"),
        (
            [f"{KEY}={{s: {{cost: reference_surprisal, limit: -1}}}}", "actor_rollout_ref.actor.use_kl_loss=true"],
            r"s\.limit is -1; it must be a number of at least 0\.$",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(configure, overrides, sentence):
    with pytest.raises(ValueError, match=sentence):
        check(configure(*overrides))
