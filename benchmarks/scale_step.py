"""One step's work of the driver for `scale.py`: made-up answers, and the trainer's methods that take them."""

import contextlib
import io
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf, open_dict
from tensordict import NonTensorStack, TensorDict
from transfer_queue import KVBatchMeta
from verl.utils.tracking import Tracking

import reward_score
from verl_medu1.config.compose import compose_config
from verl_medu1.training.advantages import add_to_rewards, change_advantages
from verl_medu1.training.batch_order import Asked
from verl_medu1.training.constraints import Constraints
from verl_medu1.training.failures import Failures
from verl_medu1.training.metrics import component_metrics, group_metrics
from verl_medu1.training.mixture_sampler import MixtureSampler, plan_stages
from verl_medu1.training.reward_spread import collapse_metrics
from verl_medu1.training.trainer import MedU1TrainerSync

RECIPE = "qwen2.5-7b-1x8h100-tp2-pp1"
ANSWERS = 16  # to a question
SHORTEST, LONGEST = 512, 2048  # tokens of an answer, evenly spread between them
SOURCES = ("MedQA", "MedMCQA", "PubMedQA", "MedXpertQA")
TEXT = "The pain radiates to the left arm and began 3 hours ago; troponin is 0.4 ng/mL. "
PARTITION = "train"
# Batches drawn in one measurement of the mixture.
DRAWS = 100


@dataclass(frozen=True)
class Work:
    """A part of the driver's work.

    Attributes:
        name: what it does.
        run: does it once.
        counts: whether it is a part of the sum; not if a step does another part instead.
    """

    name: str
    run: Callable[[], Any]
    counts: bool = True


def compose() -> DictConfig:
    """Compose the 7B recipe with a constraint."""
    constraint = "algorithm.constraints={brief: {cost: over_budget, limit: 0.05}}"
    config = compose_config([f"recipe={RECIPE}", f"data.max_response_length={LONGEST}", constraint])
    with open_dict(config):
        for name in ("algorithm", "scoring", "rollout_mismatch"):
            config[name] = OmegaConf.create(OmegaConf.to_container(config[name], resolve=True))
    return config


def trainer_of(config: DictConfig) -> MedU1TrainerSync:
    """Return the recipe's trainer without workers: only what the methods below read."""
    trainer = MedU1TrainerSync.__new__(MedU1TrainerSync)
    trainer.config, trainer.global_steps, trainer.timing_raw = config, 1, {}
    trainer._penalty, trainer._constraints = config.algorithm.length_penalty, Constraints(config.algorithm)
    trainer._components, trainer._asked, trainer._asked_sources = {}, Asked(), Counter()
    trainer._failures = Failures(config)
    trainer._init_dump_executor()
    return trainer


def _answers(questions: int) -> tuple[list[str], list[int], list[dict[str, Any]]]:
    """Return keys, lengths and components of the answers, in the order in which they could have finished."""
    rng = random.Random(0)
    options = [{"letter": letter, "text": f"option {letter}"} for letter in "ABCD"]
    info = {"options": options, "answer_type": "multiple_choice"}
    scored = {
        letter: dict(
            reward_score.compute_score(
                data_source="MedQA",
                solution_str=f"<think>It is that.</think><answer>{letter}</answer>",
                ground_truth="A",
                extra_info=info,
            )
        )
        for letter in "AB"
    }
    keys = [f"{question:032x}_{answer}_0" for question in range(questions) for answer in range(ANSWERS)]
    rng.shuffle(keys)
    lengths = [rng.randint(SHORTEST, LONGEST) for _ in keys]
    components = []
    for key, length in zip(keys, lengths, strict=True):
        budget = 600 + 100 * (int(key.partition("_")[0], 16) % 12)
        components.append(
            scored[rng.choice("AB")]
            | {
                "row_id": f"medqa/{key[:32]}",
                "length": float(length),
                "counted_tokens": float(length),
                "budget_mode": "max",
                "budget_counts": "response",
                "budget_tokens": float(budget),
                "over_budget": float(length > budget),
                "budget_distance": float(max(0, length - budget)),
            }
        )
    return keys, lengths, components


def put_batch(questions: int) -> KVBatchMeta:
    """Put the answers to questions into the queue, with the fields and dtypes of verl's agent loop, and scored."""
    keys, lengths, components = _answers(questions)
    uids = [key.partition("_")[0] for key in keys]
    draw = torch.Generator().manual_seed(0)

    def nested(make: Callable[[int], torch.Tensor]) -> torch.Tensor:
        return torch.nested.as_nested_tensor([make(length) for length in lengths], layout=torch.jagged)

    right = torch.tensor([sample["score"] for sample in components])
    values = iter((right - right.mean()) / right.std() + torch.rand(len(keys), generator=draw) * 1e-3)
    fields = {
        "response_mask": nested(lambda length: torch.ones(length, dtype=torch.int64)),
        "rm_scores": nested(lambda length: torch.zeros(length)),
        "advantages": nested(lambda length: next(values).expand(length).clone()),
        "uid": NonTensorStack(*uids),
        "data_source": NonTensorStack(*(SOURCES[int(uid, 16) % len(SOURCES)] for uid in uids)),
        "extra_fields": NonTensorStack(*({"reward_extra_info": sample} for sample in components)),
    }
    tags = [{"is_padding": False, "seq_len": length} for length in lengths]
    return tq.kv_batch_put(keys=keys, partition_id=PARTITION, fields=TensorDict(fields, len(keys)), tags=tags)


def works_of_a_step(trainer: MedU1TrainerSync, batch: KVBatchMeta, questions: int, folder: Path) -> list[Work]:
    """Return what the driver does with the answers of a step, in its order.

    Args:
        trainer: from `trainer_of`.
        batch: from `put_batch`.
        questions: number of questions.
        folder: where the rollouts are written.
    """
    real = [False] * len(batch)
    uids = [f"{question:032x}" for question in range(questions)]
    components = trainer._fetch_components(batch)
    trainer._components.update(zip(batch.keys, components, strict=True))
    shaping = trainer._length_shaping(batch.keys, components, real)
    assert shaping is not None
    texts = [TEXT * (int(sample["length"]) * 4 // len(TEXT)) for sample in components]
    prompts, golds = [TEXT * 10] * len(texts), ["A"] * len(texts)
    scores = [sample["score"] for sample in components]
    sources = [sample["data_source"] for sample in components]
    mask = (torch.arange(LONGEST) < torch.tensor([sample["length"] for sample in components]).unsqueeze(1)).long()
    base = (shaping.correct.float() - 0.5 + torch.rand(len(batch)) * 1e-3).unsqueeze(1) * mask

    def length() -> None:
        values = trainer._length_shaping(batch.keys, components, real)
        assert values is not None
        group_metrics(values.group, values.correct, sources)

    def order() -> None:
        trainer._asked.add(uids)
        trainer._asked.order(batch.keys)

    def dump() -> None:
        # verl prints the file's name.
        with contextlib.redirect_stdout(io.StringIO()):
            trainer._dump_generations(prompts, texts, golds, scores, {"uid": batch.keys}, str(folder))
            wait(trainer._dump_futures)

    return [
        Work("order of the answers", order),
        Work("components from the queue", lambda: trainer._fetch_components(batch)),
        Work("answers without a verdict", lambda: trainer._leave_out(batch, components, {})),
        Work("length values of the groups", length),
        Work("advantages from the queue and back", lambda: change_advantages(batch, [])),
        Work("a constraint", lambda: trainer._constraints.constrain(base, mask, batch.keys, components, real)),
        # On a copy: the first run would leave no room above the floor for the next.
        Work("length term with floor", lambda: trainer._shape_advantages(batch.keys, shaping, {}, base.clone(), mask)),
        Work("rewards from the queue and back", lambda: add_to_rewards(batch, shaping.values * 0), False),
        Work("metrics of each source", lambda: component_metrics(components)),
        Work("alarm at a small spread", lambda: collapse_metrics(components, trainer.config.scoring.min_spread)),
        Work("rollouts as JSON", dump),
    ]


def tensorboard_writer(scalars: int) -> Callable[[], None]:
    """Return a function that writes the scalars of one step, as verl does; `TENSORBOARD_DIR` says where."""
    with contextlib.redirect_stdout(io.StringIO()):
        tracking = Tracking("scale", "scale", default_backend=["tensorboard"], config={})
    metrics = {f"reward/source-{number // 20}/component-{number % 20}/mean": 0.5 for number in range(scalars)}
    return lambda: tracking.log(metrics, step=1)


def mixture_works(rows: int, batch: int) -> list[Work]:
    """Return what the mixture does for a data set of so many rows: its start, and `DRAWS` batches after that."""
    families = [SOURCES[row % len(SOURCES)] for row in range(rows)]
    stages = plan_stages(Counter(families), None, None, 1000)

    def start() -> Any:
        order = iter(MixtureSampler(families, stages, batch, seed=1))
        for _ in range(batch):
            next(order)
        return order

    order = start()

    def draw() -> None:
        for _ in range(batch * DRAWS):
            next(order)

    return [Work("mixture: start and first batch", start), Work(f"mixture: {DRAWS} more batches", draw)]
