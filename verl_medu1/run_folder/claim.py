"""Lock a run folder for one process, and refuse to resume a run whose settings have changed."""

import fcntl
import json
import os
import socket
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from omegaconf import DictConfig, OmegaConf

from verl_medu1.data.storage import sha256
from verl_medu1.exit import raise_all, say
from verl_medu1.run_folder.checkpoints import newest_step
from verl_medu1.run_folder.names import CONFIG
from verl_medu1.run_folder.whole_file import replace_file

LOCK, FINGERPRINT = "run.lock", "fingerprint.json"
ALLOW = "--allow-changed"
# What must not change when a run resumes: method, optimisation, sampling, what makes up a batch, and the layout, by
# which the optimizer states of a checkpoint are sharded. What only affects speed, memory or output (micro-batches,
# rollout parallelism, logging, saving) may change.
KEYS = (
    "algorithm.adv_estimator",
    "algorithm.filter_groups.enable",
    "algorithm.filter_groups.max_inflight_gen_batches",
    "algorithm.filter_groups.metric",
    "algorithm.gdpo_reward_keys",
    "algorithm.gdpo_reward_weights",
    "algorithm.length_penalty",
    "algorithm.norm_adv_by_std_in_grpo",
    "algorithm.rollout_correction",
    "algorithm.use_kl_in_reward",
    "scoring.scheme",
    "scoring.judge.model",
    "scoring.judge.threshold",
    "scoring.judge.when",
    "reward.custom_reward_function",
    "reward.reward_manager",
    "data.apply_chat_template_kwargs",
    "data.max_prompt_length",
    "data.max_response_length",
    "data.mixture",
    "data.seed",
    "data.shuffle",
    "data.train_batch_size",
    "actor_rollout_ref.actor.clip_ratio",
    "actor_rollout_ref.actor.clip_ratio_high",
    "actor_rollout_ref.actor.clip_ratio_low",
    "actor_rollout_ref.actor.entropy_coeff",
    "actor_rollout_ref.actor.kl_loss_coef",
    "actor_rollout_ref.actor.loss_agg_mode",
    "actor_rollout_ref.actor.loss_scale_factor",
    "actor_rollout_ref.actor.megatron.context_parallel_size",
    "actor_rollout_ref.actor.megatron.expert_model_parallel_size",
    "actor_rollout_ref.actor.megatron.expert_tensor_parallel_size",
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size",
    "actor_rollout_ref.actor.megatron.router_replay.mode",
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size",
    "actor_rollout_ref.actor.optim",
    "actor_rollout_ref.actor.policy_loss.loss_mode",
    "actor_rollout_ref.actor.ppo_epochs",
    "actor_rollout_ref.actor.ppo_mini_batch_size",
    "actor_rollout_ref.actor.strategy",
    "actor_rollout_ref.actor.use_kl_loss",
    "actor_rollout_ref.model.lora",
    "actor_rollout_ref.model.lora_alpha",
    "actor_rollout_ref.model.lora_rank",
    "actor_rollout_ref.model.target_modules",
    "actor_rollout_ref.rollout.n",
    "actor_rollout_ref.rollout.temperature",
    "actor_rollout_ref.rollout.top_k",
    "actor_rollout_ref.rollout.top_p",
    "trainer.n_gpus_per_node",
    "trainer.nnodes",
    "trainer.v1.trainer_mode",
)
# Compared by content, so these files may move.
MODEL, FILES = "actor_rollout_ref.model.path", ("data.train_files", "data.val_files")
# The length of the training determines where a mixture's stages end and how the learning rate decays. It is compared
# only if there are stages or a schedule.
LENGTH = ("trainer.total_epochs", "trainer.total_training_steps")
# Only this many bytes at each end of a weight file are hashed: reading all of a large model takes minutes.
ENDS = 1 << 20


class RunClaim:
    """The lock on a run's folder. It is released when the process that took it ends, in any way.

    Attributes:
        run_dir: the folder.
    """

    def __init__(self, run_dir: Path, file: IO[str] | None) -> None:
        self.run_dir, self._file = run_dir, file

    def release(self) -> None:
        """Release the lock before the process ends."""
        if self._file is not None:
            self._file.close()
            self._file = None


def claim(run_dir: Path) -> RunClaim:
    """Lock a run's folder for this process, which must outlive every other process that uses the folder.

    This is a POSIX lock (fcntl), which shared file systems honour across machines; child processes do not inherit it.
    On a file system without locks, the folder is used without one and the user is told so.

    Args:
        run_dir: created if it does not exist.

    Raises:
        ValueError: another process holds the lock, or the folder can't be written to.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        file = (run_dir / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise ValueError(f"run_dir={run_dir} can't be written to: {error.strerror}.") from error
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise ValueError(
            f"run_dir is {str(run_dir)!r}, which {holder} is using; wait for it, end it, or choose another run_dir."
        ) from None
    except OSError as error:
        file.close()
        say(f"medu1: run_dir {run_dir} can't be locked ({error.strerror}); start no second run in it.")
        return RunClaim(run_dir, None)
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {datetime.now().astimezone():%Y-%m-%d %H:%M}\n")
    file.flush()
    return RunClaim(run_dir, file)


def begin_or_resume(config: DictConfig) -> None:
    """Compare the configuration with the fingerprint in the run folder, then write the new one; claim the folder first.

    A difference is an error only if there is a checkpoint to resume from. If config.yaml differs from the last
    attempt's, the old one is kept as config-1.yaml, ...

    Args:
        config: of the run; `allow_changed` lists keys that may differ.

    Raises:
        ValueError: one sentence for each difference.
    """
    run_dir, checkpoints = Path(config.run_dir), Path(config.trainer.default_local_dir)
    now = fingerprint(config)
    file = run_dir / FINGERPRINT
    if config.trainer.resume_mode == "auto" and newest_step(checkpoints) is not None and file.is_file():
        before = json.loads(file.read_text(encoding="utf-8"))
        raise_all(differences(before, now, config.allow_changed))
    try:
        replace_file(file, [json.dumps(now, indent=2) + "\n"])
        keep_and_write(run_dir, config)
    except OSError as error:
        raise ValueError(f"run_dir={run_dir} can't be written to: {error.strerror}.") from error


def fingerprint(config: DictConfig) -> dict[str, Any]:
    """Return what must not change while a run is resumed: key -> value; for data and weights, name and content hashes.

    Args:
        config: of the run; its files must exist.
    """
    optimizer = config.actor_rollout_ref.actor.optim
    schedule = optimizer.get("lr_scheduler_type") or optimizer.get("lr_decay_style") or "constant"
    keys = [*KEYS, *(LENGTH if config.data.mixture.stages or schedule != "constant" else ())]
    values = {key: _plain(OmegaConf.select(config, key)) for key in keys}
    model = str(config.actor_rollout_ref.model.path)
    values[MODEL] = {"is": model, "content": weights_of(Path(model).expanduser())}
    for key in FILES:
        names = OmegaConf.select(config, key) or []
        names = [names] if isinstance(names, str) else list(names)
        values[key] = {"is": ", ".join(names), "content": [sha256(Path(name).expanduser()) for name in names]}
    return values


def differences(before: Mapping[str, Any], now: Mapping[str, Any], allowed: Collection[str] = ()) -> list[str]:
    """Return one sentence for each key whose value has changed, except for the allowed keys.

    Example:
        >>> print(*differences({"data.seed": 1}, {"data.seed": 2}))
        data.seed was 1 when this run began, and is 2 now; set it back, choose another run_dir, or go on with it by \
--allow-changed data.seed.
    """
    found = []
    for key, value in now.items():
        if key not in before or key in allowed:
            continue
        old, new = before[key], value
        if isinstance(value, Mapping) and "content" in value:
            if old["content"] == value["content"] and (value["content"] or old["is"] == value["is"]):
                continue
            old, new = old["is"], value["is"]
            if old == new:
                old, new = f"{old!r} with another content", f"{new!r}"
        elif old == new:
            continue
        if isinstance(value, Mapping) and "content" not in value and isinstance(old, Mapping):
            parts = [part for part in {**old, **value} if old.get(part) != value.get(part)]
            old, new = ({part: side.get(part) for part in parts} for side in (old, value))
        found.append(
            f"{key} was {old} when this run began, and is {new} now; set it back, choose another run_dir, or go on "
            f"with it by {ALLOW} {key}."
        )
    return found


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def weights_of(folder: Path) -> dict[str, str]:
    """Map the name of each weight file to its size and the digest of its ends; empty for a model name on the Hub.

    Example:
        >>> weights_of(Path("Qwen/Qwen2.5-7B-Instruct"))
        {}
    """
    import hashlib

    found = {}
    for file in sorted(folder.glob("*.safetensors")) if folder.is_dir() else ():
        size = file.stat().st_size
        with file.open("rb") as content:
            digest = hashlib.sha256(content.read(ENDS))
            content.seek(max(0, size - ENDS))
            digest.update(content.read(ENDS))
        found[file.name] = f"{size} {digest.hexdigest()[:16]}"
    return found


def keep_and_write(run_dir: Path, config: DictConfig) -> None:
    """Write a run's config.yaml with all interpolations resolved; keep a different earlier one as config-N.yaml.

    Args:
        run_dir: must exist.
        config: of the run.
    """
    file, text = run_dir / CONFIG, OmegaConf.to_yaml(config, resolve=True)
    if file.is_file() and file.read_text(encoding="utf-8") != text:
        number = 1
        while (run_dir / f"config-{number}.yaml").exists():
            number += 1
        os.replace(file, run_dir / f"config-{number}.yaml")
    replace_file(file, [text])
