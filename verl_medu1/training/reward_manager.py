"""Turns a rollout's tokens into its reward and components, for verl's reward loop."""

from collections.abc import Callable
from typing import Any, override

from omegaconf import DictConfig
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

import reward_score
from reward_score.judge import Judge, JudgeSettings, compute_judged_score
from verl_medu1.config.scorers import judge_values, uses_our_scorers
from verl_medu1.length.budget import budget_distance, counted_tokens, what_is_counted

# Key of `extra_info` that carries the counted length to the scorer: verl passes nothing else on.
COUNTED_TOKENS = "counted_tokens"


class MedU1RewardManager(NaiveRewardManager):
    """verl's naive reward manager, with the response's length and budget added to the components of each sample.

    Keys added: `row_id` (of the question within its data source, "" without one; `medu1 select --rollouts` needs it),
    `level` (of difficulty, which `medu1 select` has written, "" without one),
    `length` (response tokens, with what a tool wrote among them: verl does not tell a reward manager which tokens are
    the model's), `counted_tokens` (those that the budget counts), `budget_mode` ("none", "exact" or "max"),
    `budget_counts`, `budget_tokens` (0 without a budget), `over_budget` (0 or 1) and `budget_distance` (tokens). The
    scorer's reward is not changed: the trainer adds the length term, because it knows the group. So the reward that
    validation reports never includes that term.
    """

    def __init__(self, config: DictConfig, tokenizer: Any, compute_score: Any = None, **kwargs: Any) -> None:
        # By default verl passes its own scorers, which do not know our sources.
        if uses_our_scorers(config):
            compute_score = _own_scorer(config, kwargs.get("reward_router_address"))
        super().__init__(config, tokenizer, compute_score, **kwargs)

    @override
    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Score the last sequence of a rollout; returns verl's `reward_score` and `reward_extra_info`."""
        item = data[-1]
        response_tokens = item.batch["responses"].shape[-1]
        length = int(item.batch["attention_mask"][-response_tokens:].sum())
        extra_info = item.non_tensor_batch["extra_info"]
        tokens = item.batch["responses"][:length].tolist()
        counted = counted_tokens(tokens, what_is_counted(extra_info), self.tokenizer.decode)
        extra_info[COUNTED_TOKENS] = counted
        result = await super().run_single(data)
        mode = extra_info.get("budget_mode") or "none"
        budget = float(extra_info.get("budget_tokens") or 0)
        result["reward_extra_info"].update(
            row_id=extra_info.get("row_id") or "",
            level=extra_info.get("level") or "",
            length=float(length),
            counted_tokens=float(counted),
            budget_mode=mode,
            budget_counts=what_is_counted(extra_info),
            budget_tokens=budget,
            over_budget=float(mode != "none" and counted > budget),
            budget_distance=float(budget_distance(counted, mode, budget)),
        )
        return result


def _own_scorer(config: DictConfig, pool_address: str | None) -> Callable[..., Any]:
    """Return `reward_score` with the configured scheme, and with the judge if one is configured."""
    scheme = config.scoring.scheme

    def score(*, extra_info: dict[str, Any], **row: Any) -> dict[str, Any]:
        settings = {"scheme": scheme, "num_tokens": extra_info[COUNTED_TOKENS]}
        return dict(reward_score.compute_score(extra_info=extra_info, **row, **settings))

    values = judge_values(config, pool_address)
    if values is None:
        return score
    judge, audit_share = Judge(JudgeSettings.read(values)), config.scoring.checklist.audit_share

    async def judged_score(*, extra_info: dict[str, Any], **row: Any) -> dict[str, Any]:
        settings = {"scheme": scheme, "num_tokens": extra_info[COUNTED_TOKENS], "audit_share": audit_share}
        return dict(await compute_judged_score(judge, extra_info=extra_info, **row, **settings))

    return judged_score
