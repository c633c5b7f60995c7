"""Ray's logical processors: how many a machine gives a run, and how many a run asks of each node.

An actor whose processors nobody has free is never started, and the run waits for it without a word.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig

UNITS = "transfer_queue.backend.SimpleStorage.num_data_storage_units"
NUM_CPUS = "ray_kwargs.ray_init.num_cpus"
# verl 0.9.1 reserves as many for each worker, in one placement group for a node
# (ResourcePoolManager.max_colocate_count, verl/single_controller/ray/base.py).
PER_WORKER = 3


def given_processors() -> int:
    """Processors that this process may use: those of its affinity, and no more than Slurm gave on this node.

    Example:
        >>> 1 <= given_processors() <= (os.cpu_count() or 1)
        True
    """
    allowed = len(os.sched_getaffinity(0))
    slurm = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(allowed, int(slurm)) if slurm.isdecimal() and int(slurm) else allowed


def asked_processors(config: "DictConfig") -> int:
    """The logical processors that a run asks of its first node, which has the most actors.

    Those of the workers' placement group, one each for TransferQueue's controller and for its storage units, which go
    round the nodes, and one that is free: all other actors take none while they run, but need one to be placed.

    Example:
        >>> from omegaconf import OmegaConf
        >>> asked_processors(OmegaConf.create({"trainer": {"nnodes": 2, "n_gpus_per_node": 8}}))
        27
    """
    from omegaconf import OmegaConf

    nodes = config.trainer.nnodes
    units = OmegaConf.select(config, UNITS) or 1
    return PER_WORKER * config.trainer.n_gpus_per_node + 1 + -(-units // nodes) + 1


def processor_violation(config: "DictConfig", given: int, where: str = "this process") -> str | None:
    """The sentence where a node gives a run fewer than it asks, or else None.

    Args:
        config: of the run; its `num_cpus`, which are logical, count in place of the node's.
        given: processors that the node gives.
        where: who has them.

    Example:
        >>> from omegaconf import OmegaConf
        >>> config = {"trainer": {"nnodes": 1, "n_gpus_per_node": 2}, "ray_kwargs": {"ray_init": {"num_cpus": 32}}}
        >>> processor_violation(OmegaConf.create(config), given=1) is None
        True
    """
    from omegaconf import OmegaConf

    asked, chosen = asked_processors(config), OmegaConf.select(config, NUM_CPUS)
    if chosen is not None:
        if isinstance(chosen, int) and chosen >= asked:
            return None
        return f"{NUM_CPUS} is {chosen!r}, and the run asks Ray for {asked} on a node; give at least {asked}."
    if given >= asked:
        return None
    return (
        f"{where} has {given} processors, and the run asks Ray for {asked} on a node; give sbatch "
        f"--cpus-per-task={asked} (cpus_per_node of a site file), lower trainer.n_gpus_per_node or {UNITS}, or set "
        f"{NUM_CPUS}={asked} to let the actors share what there is."
    )
