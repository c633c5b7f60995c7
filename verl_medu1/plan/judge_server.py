"""The judge that a job serves on its own nodes (slurm/lib/judge.sh): its GPUs, which the training does not have."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from verl_medu1.exit import Problem
from verl_medu1.machine.gpus import GIB, GPU
from verl_medu1.plan.architecture import Architecture, NotPlanned, find_architecture, has_config, require_planned
from verl_medu1.plan.rollout import rollout_weights
from verl_medu1.plan.rules.layout import vllm_size_violations
from verl_medu1.plan.settings import KEYS, Settings

# Variables of slurm/job.sh, set where a job is submitted.
MODEL, GPUS, OPTIONS, TIMEOUT = (f"MEDU1_JUDGE_{name}" for name in ("MODEL", "GPUS", "OPTIONS", "TIMEOUT_S"))


@dataclass(frozen=True)
class JudgeServer:
    """One server of vLLM on each node of a job.

    Attributes:
        model: that it serves.
        gpus: of each node, which share the model (tensor parallel).
        variables: those that job.sh reads about it, as they were given.
    """

    model: str
    gpus: int
    variables: Mapping[str, str]

    @property
    def overrides(self) -> list[str]:
        """What the job adds to the arguments of `medu1 train`, but for the port and the key."""
        return ["scoring.judge.base_url='http://127.0.0.1/v1'", f"scoring.judge.model='{self.model}'"]


def judge_server(environment: Mapping[str, str] | None = None) -> JudgeServer | None:
    """Return the judge's server that the environment asks for; None without MEDU1_JUDGE_MODEL.

    Args:
        environment: variables; None for those of this process.

    Raises:
        ValueError: MEDU1_JUDGE_GPUS is not a whole number of at least 1.

    Example:
        >>> judge_server({"MEDU1_JUDGE_MODEL": "Qwen/Qwen3-8B", "MEDU1_JUDGE_GPUS": "2"}).gpus
        2
    """
    environment = os.environ if environment is None else environment
    model, given = environment.get(MODEL), environment.get(GPUS) or "1"
    if not model:
        return None
    if not (given.isascii() and given.isdecimal() and int(given) >= 1):
        raise ValueError(f"{GPUS} is {given!r}; give a whole number of at least 1.")
    variables = {name: environment[name] for name in (MODEL, GPUS, OPTIONS, TIMEOUT) if environment.get(name)}
    return JudgeServer(model, int(given), variables)


def server_violations(server: JudgeServer | None, settings: Settings, node: int, whose: str) -> Iterator[Problem]:
    """Yield what keeps training and judge from sharing a node of `node` GPUs.

    Args:
        server: the judge's server; None for none.
        settings: of the training.
        node: GPUs of a node.
        whose: what the node is called in the sentence.

    Example:
        >>> server = JudgeServer("m", 2, {})
        >>> [problem.about for problem in server_violations(server, Settings(), 8, "a node of the site")]
        ['trainer.n_gpus_per_node']
    """
    if server is None:
        return
    key, number = KEYS["gpus_per_node"], settings.gpus_per_node
    elsewhere = f"serve the judge elsewhere (scoring.judge.base_url) and unset {MODEL}"
    if settings.device == "cpu":
        yield Problem(
            MODEL, f"{MODEL} is {server.model!r}, which needs GPUs, and {KEYS['device']} is 'cpu'; {elsewhere}."
        )
    elif server.gpus >= node:
        fewer = f"lower it to {node - 1} or less, or " if node > 1 else ""
        yield Problem(
            GPUS,
            f"{GPUS} is {server.gpus}, and {whose} has {node} GPUs, of which the training needs one; {fewer}"
            f"{elsewhere}.",
        )
    elif number + server.gpus > node:
        yield Problem(
            key,
            f"{key} is {number} and {GPUS} is {server.gpus}, and {whose} has {node} GPUs; lower {key} to "
            f"{node - server.gpus} or less, or {elsewhere}.",
        )
    try:
        yield from vllm_size_violations(GPUS, server.gpus, _architecture(server))
    except NotPlanned:  # nothing is known of it
        pass


def _architecture(server: JudgeServer) -> Architecture:
    try:
        return find_architecture(server.model)
    except NotPlanned:
        raise
    except ValueError:
        if has_config(server.model):
            raise
        # It may be a folder of the nodes, or of a container.
        raise NotPlanned(f"{MODEL} is {server.model!r}, which has no config.json on this machine.") from None


def server_weights(server: JudgeServer) -> float:
    """Return the bytes of the judge's weights on each of its GPUs, in bfloat16.

    Raises:
        NotPlanned: nothing is known of the model.

    Example:
        >>> round(server_weights(JudgeServer("Qwen2.5-7B-Instruct", 2, {})) / 2**30, 1)
        7.1
    """
    model = _architecture(server)
    require_planned(model)
    return rollout_weights(model, Settings(rollout_tp=server.gpus))


def server_sentence(server: JudgeServer, gpu: GPU) -> str:
    """Say which GPUs the judge has, and what its weights take of their memory."""
    start = f"Judge: {server.model} on GPUs of its own, {server.gpus} of each node"
    try:
        weights = server_weights(server)
    except NotPlanned as why:
        return f"{start}; its memory is not planned: {why}"
    says = f"{start}; each has {weights / GIB:.1f} GiB of weights in bfloat16, of {gpu.memory_gib}"
    if weights > gpu.memory:
        return f"{says}, which is too little: raise {GPUS}, or quantise it ({OPTIONS})."
    return f"{says}."
