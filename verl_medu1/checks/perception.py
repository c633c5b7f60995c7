"""Checks `scoring.perception`, what it needs of the rollout, and that there are images; part of `checks.run.check`."""

from collections.abc import Iterator

from omegaconf import DictConfig, OmegaConf

from verl_medu1.checks.images import files_with_images
from verl_medu1.checks.reward_terms import is_number, weight_violations
from verl_medu1.config.scorers import uses_our_scorers
from verl_medu1.rollout.names import PERCEPTION, SEEDED_LOOP

KEY = "scoring.perception.weight"
_ROLLOUT = "actor_rollout_ref.rollout"
# What the log-probs of a response must be: the model's own, of which temperature 0 takes the largest.
_OWN_LOG_PROBS = {"temperature": (0, 1), "top_p": (1,), "top_k": (0, -1)}


def perception_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with a reward for resting on the picture."""
    weight, full_at = config.scoring.perception.weight, config.scoring.perception.full_at
    yield from weight_violations(config, KEY, PERCEPTION, f"{KEY}=0" if weight is None else "")
    if weight is None:
        return
    if not is_number(full_at) or full_at <= 0:
        yield f"scoring.perception.full_at is {full_at!r}; it must be a number above 0."
    needed = {
        f"{_ROLLOUT}.agent.default_agent_loop": SEEDED_LOOP,
        "reward.reward_manager.name": "MedU1RewardManager",
        "trainer.v1.trainer_mode": "medu1_sync",
    }
    for key, value in needed.items():
        if (found := OmegaConf.select(config, key)) != value:
            yield f"{key} is {found!r}, with which {KEY} can't be measured; set {key}={value}."
    if config.actor_rollout_ref.rollout.calculate_log_probs is not True:
        yield f"{_ROLLOUT}.calculate_log_probs is not true, and {KEY} compares these log-probs; set it to true."
    yield from _sampling_violations(config)
    if not uses_our_scorers(config):
        path = config.reward.custom_reward_function.path
        yield f"reward.custom_reward_function.path is {path!r}, and {KEY} pays what our scorers find right; set null."
    if not any(key == "data.train_files" for key, _ in files_with_images(config)):
        yield f"{KEY} is {weight}, and data.train_files has no images; set {KEY}=null."


def _sampling_violations(config: DictConfig) -> Iterator[str]:
    """Check that the log-probs of what is sampled are the model's own, as those with an empty picture are."""
    for part in (_ROLLOUT, f"{_ROLLOUT}.val_kwargs"):
        for name, values in _OWN_LOG_PROBS.items():
            if (found := OmegaConf.select(config, f"{part}.{name}")) not in values:
                yield (
                    f"{part}.{name} is {found!r}, with which log-probs of responses are not the model's own, and {KEY} "
                    f"compares these; set {part}.{name}={values[-1]}."
                )
