"""Turns a rollout's tokens into its reward and components, for verl's reward loop."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, override

import torch
from omegaconf import DictConfig
from tensordict import TensorDict
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

import reward_score
from reward_score.judge import Judge, JudgeSettings, ReasoningSettings, compute_judged_score, judge_reasoning
from reward_score.must_ask import excludes_unasked
from reward_score.reader import FACTS
from verl_medu1.config.scorers import judge_values, uses_our_scorers
from verl_medu1.length.budget import budget_distance, counted_tokens, what_is_counted
from verl_medu1.rollout.components import episode_components
from verl_medu1.rollout.names import EPISODE, EPISODE_LOOP, PERCEPTION, PERCEPTION_GAIN
from verl_medu1.rollout.perception import perception

# Key of `extra_info` that carries the counted length to the scorer: verl passes nothing else on.
COUNTED_TOKENS = "counted_tokens"
# The same for the question as the model has read it.
QUESTION = "read_question"


class MedU1RewardManager(NaiveRewardManager):
    """verl's naive reward manager, with the response's length and budget added to the components of each sample.

    Keys added: `row_id` (of the question within its data source, "" without one; `medu1 select --rollouts` needs it),
    `level` (of difficulty, which `medu1 select` has written, "" without one),
    `length` (tokens that the model wrote), `counted_tokens` (those that the budget counts, of all turns together),
    `budget_mode` ("none", "exact" or "max"), `budget_counts`, `budget_tokens` (0 without a budget), `over_budget` (0 or
    1) and `budget_distance` (tokens). The scorer's reward is not changed: the trainer adds the length term, because it
    knows the group. So the reward that validation reports never includes that term.

    With our agent loop of several turns also `turns` (of the model), `calls`, `invalid_calls` and `failed_calls` (of
    the environment), `out_of_turns` and `out_of_room` (0 or 1: the episode ended so), `unasked` (0 or 1: the answer
    excludes a diagnosis that nothing was asked about, `reward_score.must_ask`), `evidence` and `evidence_recall`
    (documents that answer the question, and the share of them that searches have shown), and as JSON texts `dialogue`
    and `facts`.

    With `scoring.reasoning`, `consistent` and `reasoning` (`reward_score.judge.reasoning`).

    With `scoring.perception`, `perception_gain` and `perception` (`verl_medu1.rollout.perception`).

    A scorer gets the model's last turn alone: what an environment says is never an answer. Where a reader answers in
    the model's place (`reward_score.reader`), what it replied is scored instead.
    """

    def __init__(self, config: DictConfig, tokenizer: Any, compute_score: Any = None, **kwargs: Any) -> None:
        # By default verl passes its own scorers, which do not know our sources.
        if uses_our_scorers(config):
            compute_score = _own_scorer(config, kwargs.get("reward_router_address"))
        super().__init__(config, tokenizer, compute_score, **kwargs)
        self._full_at = config.scoring.perception.full_at
        self._has_episodes = config.actor_rollout_ref.rollout.agent.default_agent_loop == EPISODE_LOOP

    @override
    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Score the last sequence of a rollout; returns verl's `reward_score` and `reward_extra_info`."""
        item = data[-1]
        response_tokens = item.batch["responses"].shape[-1]
        tokens = item.batch["responses"][: int(item.batch["attention_mask"][-response_tokens:].sum())].tolist()
        extra_info = item.non_tensor_batch["extra_info"]
        left = item.non_tensor_batch.get("tool_extra_fields") or {}
        episode = left.get(EPISODE)
        if episode is None and self._has_episodes:
            raise ValueError(f"a response comes without {EPISODE!r}, which {EPISODE_LOOP} adds")
        spans = episode["spans"] if episode else [(0, len(tokens))]
        turns = [tokens[start:end] for start, end in spans]
        decode = self.tokenizer.decode
        counted = sum(counted_tokens(turn, what_is_counted(extra_info), decode) for turn in turns)
        extra_info[COUNTED_TOKENS] = counted
        extra_info[QUESTION] = _question(item.non_tensor_batch.get("raw_prompt", ()))
        if episode:
            extra_info[FACTS] = episode["facts"]
        result = await super().run_single(_with_response(data, turns[-1]) if episode else data)
        mode = extra_info.get("budget_mode") or "none"
        budget = float(extra_info.get("budget_tokens") or 0)
        result["reward_extra_info"].update(
            row_id=extra_info.get("row_id") or "",
            level=extra_info.get("level") or "",
            length=float(sum(map(len, turns))),
            counted_tokens=float(counted),
            budget_mode=mode,
            budget_counts=what_is_counted(extra_info),
            budget_tokens=budget,
            over_budget=float(mode != "none" and counted > budget),
            budget_distance=float(budget_distance(counted, mode, budget)),
        )
        if PERCEPTION_GAIN in left:
            found, gain = result["reward_extra_info"], left[PERCEPTION_GAIN]
            is_right = found["acc"] == 1.0 and found["format"] == 1.0
            found |= {PERCEPTION_GAIN: gain, PERCEPTION: perception(gain, self._full_at, is_right)}
        if episode:
            said = decode(turns[-1], skip_special_tokens=True)
            of_row = item.non_tensor_batch
            right = str(of_row["reward_model"]["ground_truth"]) if result["reward_extra_info"].get("acc") else None
            unasked = excludes_unasked(of_row["data_source"], said, extra_info, episode["facts"], right)
            result["reward_extra_info"].update(episode_components(episode), unasked=float(unasked))
        return result


def _with_response(data: DataProto, tokens: list[int]) -> DataProto:
    """Return the last sequence with these tokens as its response."""
    row = data[-1:]
    ids = torch.tensor([tokens], dtype=torch.int64)
    batch = TensorDict({"responses": ids, "attention_mask": torch.ones_like(ids)}, batch_size=1)
    return DataProto(batch=batch, non_tensor_batch=row.non_tensor_batch, meta_info=row.meta_info)


def _question(messages: Iterable[Mapping[str, Any]]) -> str:
    """Return the text of a prompt's last user message, without its images; "" without one."""
    texts = [_text(message["content"]) for message in messages if message["role"] == "user"]
    return texts[-1] if texts else ""


def _text(content: str | Iterable[Mapping[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)


def _own_scorer(config: DictConfig, pool_address: str | None) -> Callable[..., Any]:
    """Return `reward_score` with the configured scheme, and with the judge if one is configured."""
    scheme = config.scoring.scheme

    def score(*, extra_info: dict[str, Any], **row: Any) -> dict[str, Any]:
        settings = {"scheme": scheme, "num_tokens": extra_info[COUNTED_TOKENS]}
        return dict(reward_score.compute_score(extra_info=extra_info, **row, **settings))

    values = judge_values(config, pool_address)
    if values is None:
        return score
    wanted = config.scoring.reasoning
    asked = ReasoningSettings(wanted.consistency_weight is not None, tuple(wanted.rubric))
    judge, audit_share = Judge(JudgeSettings.read(values)), config.scoring.checklist.audit_share

    async def judged_score(
        *, extra_info: dict[str, Any], data_source: str, solution_str: str, **row: Any
    ) -> dict[str, Any]:
        settings = {"scheme": scheme, "num_tokens": extra_info[COUNTED_TOKENS], "audit_share": audit_share}
        question = extra_info[QUESTION]
        response: dict[str, Any] = {"data_source": data_source, "solution_str": solution_str, "extra_info": extra_info}
        scored = await compute_judged_score(judge, **response, **row, **settings)
        if not asked.is_on:
            return dict(scored)
        return await judge_reasoning(judge, asked, question=question, scored=scored, **response)

    return judged_score
