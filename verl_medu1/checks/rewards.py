"""Checks the settings of reward and advantage; part of `checks.run.check`."""

import math
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from reward_score.schemes import DEFAULT_SCHEME
from verl_medu1.checks.checklist import checklist_violations
from verl_medu1.checks.judge import judge_violations
from verl_medu1.config.scorers import uses_our_scorers
from verl_medu1.length.penalties import CALLS, OF_CALLS, OF_PRICES, PRICES, TOKENS, UNITS, get_penalty
from verl_medu1.rollout.names import EPISODE_LOOP

LENGTH_PENALTY_PLACES = ("off", "advantage", "reward")
# The modes of verl_medu1/training/trainer.py, which pass a response's components on to the advantage, and verl's own.
OUR_TRAINER_MODES = ("medu1_sync", "medu1_colocate_async")
VERL_TRAINER_MODES = ("sync", "colocate_async", "separate_async")
OUR_MANAGER = "pkg://verl_medu1.training.reward_manager"
# Components that GDPO can use: the scorer's, the reward manager's and the length penalty.
NUMERIC_COMPONENTS = (
    "score", "acc", "format", "similarity", "length", "counted_tokens", "unsafe", "over_budget", "budget_distance",
    "length_score", "perception", "consistent", "reasoning",
)  # fmt: skip

# The value of `algorithm.filter_groups.metric` for the reward itself, and what no answer has yet when verl filters.
REWARD, ADDED_BY_THE_TRAINER = "reward", ("length_score",)


def is_on(penalty: DictConfig) -> bool:
    """Return whether a length penalty has a weight above zero; `penalty_violations` reports what is not a weight."""
    weights = [penalty.weight, *_weights_of_sources(penalty).values()]
    return any(isinstance(weight, int | float) and weight > 0 for weight in weights)


def _weights_of_sources(penalty: DictConfig) -> Mapping[str, object]:
    return penalty.per_source if isinstance(penalty.per_source, DictConfig) else {}


def trainer_violations(config: DictConfig) -> Iterator[str]:
    """Check the trainer mode: verl's own trainers ignore the settings that only ours implement."""
    mode, algorithm = config.trainer.v1.trainer_mode, config.algorithm
    ours = " or ".join(OUR_TRAINER_MODES)
    if mode not in (*OUR_TRAINER_MODES, *VERL_TRAINER_MODES):
        yield f"trainer.v1.trainer_mode is {mode!r}; choose {ours}, or {', '.join(VERL_TRAINER_MODES)} of verl's."
    elif mode in VERL_TRAINER_MODES:
        if algorithm.length_penalty.where != "off" and is_on(algorithm.length_penalty):
            yield (
                f"trainer.v1.trainer_mode is {mode!r}, verl's own, which leaves algorithm.length_penalty out; use "
                f"{ours}, or set algorithm.length_penalty.where=off."
            )
        if algorithm.adv_estimator == "medu1_gdpo":
            yield f"trainer.v1.trainer_mode is {mode!r}, which hands medu1_gdpo no components; use {ours}."
        if config.scoring.judge.base_url is not None:
            yield (
                f"trainer.v1.trainer_mode is {mode!r}, verl's own, which takes an answer without a verdict of the "
                f"judge for a wrong one; use {ours}, or set scoring.judge.base_url=null."
            )
        if config.scoring.checklist.items_per_step is not None:
            yield (
                f"trainer.v1.trainer_mode is {mode!r}, verl's own, which scores all items of a checklist; use {ours}, "
                "or set scoring.checklist.items_per_step=null."
            )


def _lacks_our_components(config: DictConfig) -> str | None:
    """Name the setting that keeps our reward manager from adding its components, and why; None if there is none."""
    manager, model = config.reward.reward_manager, config.reward.reward_model
    path = manager.module.path if manager.source == "importlib" else None
    if path is None:
        return f"reward.reward_manager.name is {manager.name!r}, which is not ours and returns no lengths"
    if path == OUR_MANAGER and manager.name != "MedU1RewardManager":
        return f"reward.reward_manager.name is {manager.name!r}, which {OUR_MANAGER} does not have"
    if model.enable and not model.enable_resource_pool:
        return "reward.reward_model.enable is true without a resource pool, which passes the reward manager over"
    return None


def reward_source_violations(config: DictConfig) -> Iterator[str]:
    """Check that nothing needs our components if the reward comes from elsewhere; otherwise name what does."""
    yield from _function_violations(config)
    lack, algorithm = _lacks_our_components(config), config.algorithm
    if lack and algorithm.length_penalty.where != "off" and is_on(algorithm.length_penalty):
        yield f"{lack}; set algorithm.length_penalty.where=off, or take medu1's manager (or a subclass, as pkg://)."
    ours = ("counted_tokens", "length", "over_budget", "budget_distance", "length_score")
    needed = [key for key in algorithm.gdpo_reward_keys or () if key in ours]
    if lack and algorithm.adv_estimator == "medu1_gdpo" and needed:
        names = ", ".join(needed)
        yield f"{lack}, and algorithm.gdpo_reward_keys names {names}; leave them out, or take medu1's manager."
    another = lack is not None or not uses_our_scorers(config)
    scoring = config.scoring
    settings = (scoring.judge.base_url, scoring.checklist.items_per_step)
    if another and (scoring.scheme != DEFAULT_SCHEME or any(value is not None for value in settings)):
        yield "scoring.* is set, and the reward is not made by our scorers; leave it out, or leave them in place."


def _function_violations(config: DictConfig) -> Iterator[str]:
    """Check that the workers will find the user's own reward function."""
    function = config.reward.custom_reward_function
    if function.path is None:
        return
    path = str(function.path)
    if path.startswith("pkg://"):
        module = path.removeprefix("pkg://")
        try:
            found = find_spec(module) is not None
        except ModuleNotFoundError:
            found = False
        if not found:
            yield f"reward.custom_reward_function.path is {path!r}, and there is no such module; install its package."
        return
    file = Path(path.removeprefix("file://")).expanduser()
    if not file.is_file():
        yield f"reward.custom_reward_function.path is {path!r}, and there is no such file; give one, or pkg://MODULE."
    elif str(function.name) not in file.read_text(encoding="utf-8", errors="replace"):
        yield f"reward.custom_reward_function.name is {function.name!r}, which {path!r} does not have."


def penalty_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with `algorithm.length_penalty`."""
    from reward_score import known_sources

    penalty = config.algorithm.length_penalty
    try:
        get_penalty(penalty.name)
    except ValueError as error:
        yield str(error)
    if penalty.where not in LENGTH_PENALTY_PLACES:
        yield (
            f"algorithm.length_penalty.where is {penalty.where!r}; choose one of {', '.join(LENGTH_PENALTY_PLACES)}."
        )
    yield from _unit_violations(config)
    per_source = _weights_of_sources(penalty)
    if penalty.per_source and not per_source:
        found = penalty.per_source
        yield f"algorithm.length_penalty.per_source is {found!r}; give sources with weights, such as {{MedQA: 0.5}}."
    weights = {f"per_source.{source}": weight for source, weight in per_source.items()}
    for key, value in {"weight": penalty.weight, "tolerance": penalty.tolerance, **weights}.items():
        if not isinstance(value, int | float) or not 0 <= value < math.inf:
            yield f"algorithm.length_penalty.{key} is {value!r}; it must be a number of at least 0."
    if not isinstance(penalty.free_share, int | float) or not 0 <= penalty.free_share < 1:
        share = penalty.free_share
        yield f"algorithm.length_penalty.free_share is {share!r}; it must be a number of at least 0 and below 1."
    is_ours = uses_our_scorers(config)
    for source in sorted(set(per_source) - set(known_sources())) if is_ours else ():
        yield (
            f"algorithm.length_penalty.per_source names {source!r}, which is not a data source; known are "
            f"{', '.join(known_sources())}."
        )


def _unit_violations(config: DictConfig) -> Iterator[str]:
    penalty, key = config.algorithm.length_penalty, "algorithm.length_penalty.unit"
    if penalty.unit not in UNITS:
        yield f"{key} is {penalty.unit!r}; choose {' or '.join(UNITS)}."
        return
    if penalty.unit == TOKENS or penalty.where == "off" or not is_on(penalty):
        return
    loop, unit = "actor_rollout_ref.rollout.agent.default_agent_loop", penalty.unit
    if OmegaConf.select(config, loop) != EPISODE_LOOP:
        yield f"{key} is {unit!r}, and there are none in one turn; set {loop}={EPISODE_LOOP}, or {key}=tokens."
    if unit == PRICES and config.episodes.environment != "examinations":
        environment = config.episodes.environment
        yield f"{key} is {unit!r}, and episodes.environment is {environment!r}; take examinations, or {key}=tokens."
    fitting = {CALLS: OF_CALLS, PRICES: OF_PRICES}[unit]
    if penalty.name not in fitting:
        yield (
            f"algorithm.length_penalty.name is {penalty.name!r}, which does not count {unit}; with {key}={unit} choose "
            f"one of {', '.join(fitting)}."
        )


def filter_violations(config: DictConfig) -> Iterator[str]:
    """Check dynamic sampling: verl finds a wrong metric only when a step has its first answers."""
    groups = config.algorithm.filter_groups
    if not groups.enable:
        return
    known = (REWARD, *(name for name in NUMERIC_COMPONENTS if name not in ADDED_BY_THE_TRAINER))
    if groups.metric not in known and uses_our_scorers(config):
        names = ", ".join(known)
        yield f"algorithm.filter_groups.metric is {groups.metric!r}, which no answer has; choose from {names}."
    batches, key = groups.max_inflight_gen_batches, "algorithm.filter_groups.max_inflight_gen_batches"
    if not isinstance(batches, int) or isinstance(batches, bool) or batches < 1:
        yield f"{key} is {batches!r}; it must be a whole number of at least 1."
    model = config.reward.reward_model
    if model.enable and not model.enable_resource_pool:
        yield (
            "algorithm.filter_groups.enable is true, and a reward model without a resource pool gives its rewards "
            "after questions are chosen; set reward.reward_model.enable_resource_pool=true."
        )


def filter_warning(config: DictConfig) -> str | None:
    """Say what dynamic sampling takes from the length term; None if either is off.

    Args:
        config: of a training run, checked.
    """
    algorithm = config.algorithm
    penalty = algorithm.length_penalty
    if not algorithm.filter_groups.enable or penalty.where == "off" or not is_on(penalty):
        return None
    return (
        "algorithm.filter_groups replaces questions whose answers are all right, on which the length term acts most; "
        f"what is left of it with algorithm.length_penalty.where={penalty.where} is in docs/length.md."
    )


def estimator_violations(config: DictConfig) -> Iterator[str]:
    """Check the advantage estimator. verl's own GDPO can't work in the V1 trainer; ours needs components that exist."""
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

    estimator = config.algorithm.adv_estimator
    known = sorted({*map(str, ADV_ESTIMATOR_REGISTRY), "medu1_gdpo"})
    if estimator not in known:
        yield f"algorithm.adv_estimator is {estimator!r}; choose one of {', '.join(known)}."
    if estimator == "gdpo":
        yield "algorithm.adv_estimator is 'gdpo', to which verl's V1 trainer hands no components; use medu1_gdpo."
    if estimator != "medu1_gdpo":
        for key in ("gdpo_reward_keys", "gdpo_reward_weights"):
            if config.algorithm[key] is not None:
                yield f"algorithm.{key} is set, and is for medu1_gdpo; leave it out, or set algorithm.adv_estimator."
        return
    if config.algorithm.length_penalty.where == "reward" and is_on(config.algorithm.length_penalty):
        yield (
            "algorithm.length_penalty.where is 'reward', and GDPO looks at components only; name length_score in "
            "algorithm.gdpo_reward_keys, or set algorithm.length_penalty.where=advantage."
        )
    for key, example in (("gdpo_reward_keys", "[acc, format]"), ("gdpo_reward_weights", "[1, 0.5]")):
        if (value := config.algorithm[key]) and not isinstance(value, ListConfig):
            yield f"algorithm.{key} is {value!r}; give a list, such as {example}."
            return
    keys, weights = config.algorithm.gdpo_reward_keys or [], config.algorithm.gdpo_reward_weights
    if not keys:
        yield f"algorithm.gdpo_reward_keys is empty; name components of {', '.join(NUMERIC_COMPONENTS)}."
    for key in keys:
        if key not in NUMERIC_COMPONENTS and uses_our_scorers(config):
            yield f"algorithm.gdpo_reward_keys has {key!r}; choose from {', '.join(NUMERIC_COMPONENTS)}."
    if weights is not None and len(weights) != len(keys):
        yield f"algorithm.gdpo_reward_weights has {len(weights)} numbers for {len(keys)} algorithm.gdpo_reward_keys."
    for weight in weights or []:
        if not isinstance(weight, int | float) or not math.isfinite(weight):
            yield f"algorithm.gdpo_reward_weights has {weight!r}; give numbers."


def scoring_violations(config: DictConfig) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with `scoring`."""
    from reward_score.schemes import find_scheme

    try:
        find_scheme(config.scoring.scheme)
    except ValueError as error:
        yield f"scoring.scheme: {error}."
    spread = config.scoring.min_spread
    if spread is not None and (isinstance(spread, bool) or not isinstance(spread, int | float) or not spread > 0):
        yield f"scoring.min_spread is {spread!r}; it must be a number above 0, or null for no alarm."
    penalty = config.algorithm.length_penalty
    if config.scoring.scheme == "release" and penalty.where != "off" and is_on(penalty):
        yield (
            f"scoring.scheme is 'release', which pays for length, and so does algorithm.length_penalty.where="
            f"{penalty.where}; set it to off."
        )
    yield from judge_violations(config)
    yield from checklist_violations(config)
