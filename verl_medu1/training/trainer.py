"""verl's V1 trainers, with reward components passed to the advantage shaping, the log and the rollout dump.

verl passes only rewards, mask, group and configuration to an advantage estimator, and logs no reward components.
The classes here fetch what the reward manager returned for each sample (`reward_extra_info`) and pass it on;
everything else is verl's.
"""

from collections import Counter
from functools import partial
from typing import Any, override

import torch
import transfer_queue as tq
from omegaconf import DictConfig, open_dict
from tensordict import TensorDict
from torchdata.stateful_dataloader import StatefulDataLoader
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import PPOTrainer, register_trainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.profiler.performance import simple_timer

from verl_medu1.checks.rewards import is_on
from verl_medu1.config.compose import settings_in
from verl_medu1.config.constraints import REFERENCE_SURPRISAL
from verl_medu1.data.families import families_of
from verl_medu1.length.advantage import shape_advantages
from verl_medu1.length.shaping import Components, LengthShaping, lacking, length_shaping, longest
from verl_medu1.models.folder import correct_description
from verl_medu1.rollout.llm_client import client_of
from verl_medu1.run_folder.checkpoints import ACTOR, mend_tracker, model_folders, resumed_folder, step_folder
from verl_medu1.run_folder.progress import SAVE, STOPPED, Progress
from verl_medu1.run_folder.stop_request import StopRequest
from verl_medu1.training.advantages import Change, add_to_rewards, change_advantages
from verl_medu1.training.batch_order import Asked
from verl_medu1.training.checklist_metrics import item_metrics
from verl_medu1.training.checklist_sample import draw_items
from verl_medu1.training.constraints import Constraints
from verl_medu1.training.dynamic_sampling import ask_in_rounds, cost_metrics, forget_replaced
from verl_medu1.training.failed_questions import end_on_failed_questions, no_answers
from verl_medu1.training.failures import Failures
from verl_medu1.training.gdpo import delivered
from verl_medu1.training.left_out import Validation, has_empty_mini_batch, leave_out, rows_left_out
from verl_medu1.training.log_prob_record import write_record
from verl_medu1.training.metrics import (
    ADDED_TIME,
    component_metrics,
    group_metrics,
    level_metrics,
    shaping_metrics,
    verdict_metrics,
)
from verl_medu1.training.mismatch import alarm_metrics, mismatch_error, over_bounds
from verl_medu1.training.mixture_sampler import MixtureSampler, plan_stages
from verl_medu1.training.reference import fetch_surprisals
from verl_medu1.training.reward_spread import collapse_metrics
from verl_medu1.training.reward_terms import added_terms, weights_of_terms
from verl_medu1.training.validation_metrics import component_means, resampled
from verl_medu1.training.worker_fields import tensors_alone


class MedU1Trainer(PPOTrainer):
    """Our additions to each of verl's V1 trainers: length-shaped advantages, metrics per source, the mixture."""

    train_dataloader: StatefulDataLoader

    def __init__(self, config: DictConfig) -> None:
        # verl looks up a mode's settings, and whether it is asynchronous, by its own names.
        with open_dict(config):
            config.trainer.v1.trainer_mode = config.trainer.v1.trainer_mode.removeprefix("medu1_")
        self._asked = Asked()
        self._asked_sources: Counter[str] = Counter()
        super().__init__(config)
        self._penalty = config.algorithm.length_penalty
        self._term_weights = weights_of_terms(config)
        self._progress = Progress(config.run_dir)
        self._stop_request = StopRequest(config.run_dir)
        self._components: dict[str, Components] = {}
        self._constraints = Constraints(config.algorithm)
        self._stopped = False
        self._failures = Failures(config)

    @override
    def _build_replay_buffer(self) -> Any:
        buffer = super()._build_replay_buffer()
        buffer.poll_interval = self.config.trainer.v1.sampler.poll_interval
        end_on_failed_questions(buffer)
        forget_replaced(buffer, self._asked)
        if self.trainer_mode == "sync" and buffer.filter_groups_metric is not None:
            ask_in_rounds(buffer, self._asked)
        return buffer

    # ------------------------------------------------------------------ rows of a batch

    @override
    def _init_dataloader(self) -> None:
        super()._init_dataloader()
        self._progress.steps = self.total_training_steps
        data, built = self.config.data, self.train_dataloader
        if data.mixture.by is None:
            return
        families = families_of(self.train_dataset.dataframe, data.mixture.by)
        stages = plan_stages(Counter(families), data.mixture.weights, data.mixture.stages, self.total_training_steps)
        self.train_dataloader = StatefulDataLoader(
            dataset=built.dataset,
            batch_size=built.batch_size,
            num_workers=built.num_workers,
            drop_last=True,
            collate_fn=built.collate_fn,
            sampler=MixtureSampler(families, stages, data.train_batch_size, data.seed),
        )

    # ------------------------------------------------------------------ progress and failures, for run/supervise.py

    @override
    def on_init_end(self) -> None:
        self._progress.report(self.global_steps, "first weight sync")
        super().on_init_end()
        self._progress.report(self.global_steps, "initialised")

    @override
    def on_validate_begin(self) -> None:
        self._progress.report(self.global_steps, "validation")

    @override
    def on_step_begin(self) -> None:
        self._components.clear()

    @override
    def on_sample_begin(self) -> None:
        self._progress.report(self.global_steps, "rollout")

    @override
    def on_sample_end(self) -> None:
        super().on_sample_end()
        # If a part of the run died and took responses with it, verl would train on the rest and save the result.
        if failed := self.replay_buffer.failure_keys["train"]:
            raise no_answers(self.global_steps, len(failed))
        self._progress.report(self.global_steps, "update")

    @override
    def on_step_end(self) -> None:
        if self.global_steps < self.total_training_steps and self._stop_request.take():
            self._stop_after_this_step()
        self._progress.report(self.global_steps, "weight sync")
        super().on_step_end()
        self._progress.report(self.global_steps, "step done")

    # ------------------------------------------------------------------ checkpoints

    @override
    def _load_checkpoint(self) -> None:
        mend_tracker(self.config.trainer.default_local_dir)
        super()._load_checkpoint()
        if self.global_steps:
            self._constraints.load(resumed_folder(self.config.trainer, self.global_steps))

    @override
    def _save_checkpoint(self) -> None:
        self._progress.report(self.global_steps, SAVE)
        # First: once verl has saved its part, it counts the checkpoint as complete.
        step = step_folder(self.config.trainer.default_local_dir, self.global_steps)
        actor = self.config.actor_rollout_ref.actor
        write_record(self.actor_rollout_wg, self.tokenizer, self.processor, actor, step / ACTOR)
        self._constraints.save(step)
        super()._save_checkpoint()
        for model in model_folders(step):
            correct_description(model)

    def _stop_after_this_step(self) -> None:
        save_freq = self.config.trainer.save_freq
        if save_freq <= 0 or self.global_steps % save_freq:
            self._save_checkpoint()
        # verl's loop (trainer_base.py, PPOTrainer.fit) compares with this number before each step.
        self.total_training_steps = self.global_steps
        self._stopped = True

    @override
    def on_train_end(self) -> None:
        super().on_train_end()
        if self._stopped:
            self._progress.report(self.global_steps - 1, STOPPED)

    # ------------------------------------------------------------------ batch order

    @override
    def _submit_batch_to_rollout(self, batch: TensorDict) -> int:
        self._asked.add(batch["uid"])
        self._asked_sources.update(batch["data_source"])
        if (number := self.config.scoring.checklist.items_per_step) is not None:
            draw_items(batch, number, self.global_steps, self.config.data.seed)
        return super()._submit_batch_to_rollout(batch)

    @override
    def _balance_batch(
        self,
        batch: KVBatchMeta,
        metrics: dict[str, Any],
        logging_prefix: str = "global_seqlen",
        keep_minibatch: bool = False,
    ) -> KVBatchMeta:
        batch.reorder(self._asked.order(batch.keys))
        return super()._balance_batch(batch, metrics, logging_prefix, keep_minibatch)

    # ------------------------------------------------------------------ components

    def _fetch_components(self, batch: KVBatchMeta) -> list[Components]:
        """Fetch what the reward manager returned for each sample of the batch, with its question and data source."""
        data = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["uid", "extra_fields", "data_source"]
        )
        questions, sources, extra_fields = (data.pop(key).tolist() for key in ("uid", "data_source", "extra_fields"))
        return [
            {"uid": question, "data_source": source, **(extra.get("reward_extra_info") or {})}
            for question, source, extra in zip(questions, sources, extra_fields, strict=True)
        ]

    @override
    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        with simple_timer(ADDED_TIME, self.timing_raw):
            components = self._fetch_components(batch)
            if self.use_reference_policy:
                for sample, value in zip(components, fetch_surprisals(batch), strict=True):
                    sample[REFERENCE_SURPRISAL] = value
            self._components.update(zip(batch.keys, components, strict=True))
            self._leave_out(batch, components, metrics)
            # Padding rows only fill up the batch; they are not responses.
            is_padding = [bool(tag.get("is_padding", False)) for tag in batch.tags]
            shaping = self._length_shaping(batch.keys, components, is_padding)
            if shaping is not None:
                real = [row for row, padding in enumerate(is_padding) if not padding]
                sources = [components[row]["data_source"] for row in real]
                metrics.update(group_metrics(shaping.group[real], shaping.correct[real], sources))
                for sample, value in zip(components, shaping.values.tolist(), strict=True):
                    sample["length_score"] = value
                if self._penalty.where == "reward":
                    batch = add_to_rewards(batch, shaping.weight * shaping.values)
            if self._term_weights:
                batch = add_to_rewards(batch, added_terms(components, is_padding, self._term_weights))
        with delivered(components):
            batch = super()._compute_advantage(batch, metrics)
        self._watch_mismatch(metrics)

        def constrain(base: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            constrained, figures = self._constraints.constrain(base, mask, batch.keys, components, is_padding)
            metrics.update(figures)
            return constrained

        # Before the length term, which then keeps right answers in the order that the constraints leave.
        changes: list[Change] = [constrain] if self._constraints else []
        # With a weight of 0 no advantage changes, so nothing needs to be fetched.
        if shaping is not None and self._penalty.where == "advantage" and shaping.weight.any():
            changes.append(partial(self._shape_advantages, batch.keys, shaping, metrics))
        if changes:
            with simple_timer(ADDED_TIME, self.timing_raw):
                batch = change_advantages(batch, changes)
        return batch

    def _watch_mismatch(self, metrics: dict[str, Any]) -> None:
        """Log whether rollout and trainer differ by more than `rollout_mismatch` allows; if configured, end the run."""
        bounds = self.config.rollout_mismatch
        found = over_bounds(metrics, bounds)
        metrics.update(alarm_metrics(metrics, found))
        if found and bounds.end_run:
            raise mismatch_error(self.global_steps, found)

    def _leave_out(self, batch: KVBatchMeta, components: list[Components], metrics: dict[str, Any]) -> None:
        """Take responses without a verdict out of their groups, and end the run if there are too many."""
        real = [not tag.get("is_padding", False) for tag in batch.tags]
        responses = [sample for sample, is_real in zip(components, real, strict=True) if is_real]
        self._failures.add(responses)
        metrics.update(verdict_metrics(responses))
        if rows := [row for row in rows_left_out(batch.keys, components) if real[row]]:
            metrics["judge/left_out"] = len(rows)
            leave_out(batch, rows)
            is_padding = [bool(tag.get("is_padding", False)) for tag in batch.tags]
            ours = self.config.actor_rollout_ref
            dp = settings_in(self.config).dp
            if has_empty_mini_batch(is_padding, ours.actor, ours.rollout.n, dp):
                raise RuntimeError(
                    f"step {self.global_steps} is not trained on: there was no verdict on any group of a mini-batch; "
                    "see that the judge's or reader's server answers, then run the same command again"
                )

    def _length_shaping(
        self, keys: list[str], components: list[Components], is_padding: list[bool]
    ) -> LengthShaping | None:
        """Return what the length term needs; None if the reward is not ours and the length term is off."""
        # verl names a row {question}_{answer}_{sequence}; each row would count as an answer.
        if self._penalty.where != "off" and is_on(self._penalty) and any(not key.endswith("_0") for key in keys):
            raise RuntimeError(
                f"algorithm.length_penalty.where is {self._penalty.where}, and the agent loop returned several "
                "sequences for one answer, of which the length term knows only one; set where=off"
            )
        lacks = lacking(components, self._penalty.unit)
        if not lacks:
            return length_shaping(components, is_padding, self._penalty, longest(self.config, self._penalty.unit))
        if self._penalty.where != "off" and is_on(self._penalty):
            raise RuntimeError(
                f"algorithm.length_penalty.where is {self._penalty.where}, and the rewards come without "
                f"{', '.join(lacks)}, which our reward manager adds; take it, or set where=off"
            )
        return None

    def _shape_advantages(
        self, keys: list[str], shaping: LengthShaping, metrics: dict[str, Any], base: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        shaped = shape_advantages(
            advantages=base,
            response_mask=mask,
            group=shaping.group,
            correct=shaping.correct,
            length_score=shaping.values.clamp(-1.0, 1.0),
            weight=shaping.weight,
            in_place=True,
        )
        sources = [self._components[key]["data_source"] for key in keys]
        metrics.update(shaping_metrics(shaped, shaping.correct, shaping.group, sources))
        return shaped.advantages

    @override
    def _update_actor(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        with tensors_alone(batch):
            return super()._update_actor(batch, metrics)

    # ------------------------------------------------------------------ validation

    @override
    def _val_metrics_update(
        self,
        data_sources: list[str],
        sample_uids: list[str],
        reward_extra_infos_dict: dict[str, list[Any]],
        sample_turns: list[int],
        expected_acc_counts: dict[tuple[str, str], int] | None = None,
    ) -> dict[str, float]:
        sampled = Validation(data_sources, sample_uids, dict(reward_extra_infos_dict), expected_acc_counts or {})
        self._failures.add(components := sampled.components())
        judged = sampled.judged()
        metrics = super()._val_metrics_update(
            judged.sources, judged.uids, resampled(judged.infos), sample_turns, expected_acc_counts=judged.expected
        )
        metrics |= component_means(judged.sources, judged.uids, judged.infos)
        counts = verdict_metrics(components)
        if gone := sampled.without_verdict():
            counts["judge/questions_left_out"] = len(gone)
        return metrics | {f"val-aux/{name}": value for name, value in counts.items()}

    # ------------------------------------------------------------------ log and rollout dump

    @override
    def _compute_metrics(
        self, batch: KVBatchMeta, metrics: dict[str, Any], timing_raw: dict[str, float], global_steps: int, epoch: int
    ) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, global_steps=global_steps, epoch=epoch)
        samples = [
            self._components[key]
            for key, tag in zip(batch.keys, batch.tags, strict=True)
            if not tag.get("is_padding", False)
        ]
        with simple_timer(ADDED_TIME, timing_raw):
            metrics.update(component_metrics(samples) | level_metrics(samples) | item_metrics(samples))
            metrics.update(collapse_metrics(samples, self.config.scoring.min_spread))
        if self.config.algorithm.filter_groups.enable:
            trained = {sample["uid"]: sample["data_source"] for sample in samples}
            metrics.update(cost_metrics(self._asked_sources, Counter(trained.values())))
            self._asked_sources.clear()
        metrics[f"timing_s/{ADDED_TIME}"] = timing_raw[ADDED_TIME]

    @override
    def _dump_generations(
        self,
        inputs: list[str],
        outputs: list[str],
        gts: list[Any],
        scores: list[float],
        reward_extra_infos_dict: dict[str, list[Any]],
        dump_path: str,
    ) -> None:
        # verl's validation dump already has the components; its rollout dump has only the keys.
        if set(reward_extra_infos_dict) == {"uid"}:
            samples = [self._components[key] for key in reward_extra_infos_dict["uid"]]
            reward_extra_infos_dict = reward_extra_infos_dict | {
                name: [sample[name] for sample in samples] for name in samples[0] if name not in ("score", "uid")
            }
        super()._dump_generations(inputs, outputs, gts, scores, reward_extra_infos_dict, dump_path)


@register_trainer("medu1_sync")
class MedU1TrainerSync(MedU1Trainer, PPOTrainerSync):
    """verl's synchronous trainer with our additions."""

    @override
    def get_llm_client(self) -> Any:
        return client_of(self.llm_server_manager)


@register_trainer("medu1_colocate_async")
class MedU1TrainerColocateAsync(MedU1Trainer, PPOTrainerColocateAsync):
    """verl's trainer with partial rollouts on the same devices, with our additions."""
