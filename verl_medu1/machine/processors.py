"""Ray's logical processors: how many a machine gives a run, and how many a run needs on each node.

If no node has enough free processors for an actor, Ray never starts it, and the run waits for it silently.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig

UNITS = "transfer_queue.backend.SimpleStorage.num_data_storage_units"
NUM_CPUS = "ray_kwargs.ray_init.num_cpus"
# verl 0.9.1 reserves this many for each worker, in one placement group per node
# (ResourcePoolManager.max_colocate_count, verl/single_controller/ray/base.py).
PER_WORKER = 3


def given_processors() -> int:
    """Return how many processors this process may use: those of its affinity, at most what Slurm gave on this node.

    Example:
        >>> 1 <= given_processors() <= (os.cpu_count() or 1)
        True
    """
    allowed = len(os.sched_getaffinity(0))
    slurm = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(allowed, int(slurm)) if slurm.isdecimal() and int(slurm) else allowed


def workers_per_node(config: "DictConfig") -> int:
    """Return how many workers, each with a GPU of its own, a run has on its first node.

    These are the trainer's, and those of a pool of reward models (`reward.reward_model.enable_resource_pool`).

    Raises:
        ValueError: the size of the pool is no whole number of at least 1.

    Example:
        >>> from omegaconf import OmegaConf
        >>> pool = {"enable_resource_pool": True, "n_gpus_per_node": 1}
        >>> workers_per_node(OmegaConf.create({"trainer": {"n_gpus_per_node": 2}, "reward": {"reward_model": pool}}))
        3
    """
    from omegaconf import OmegaConf

    if not OmegaConf.select(config, "reward.reward_model.enable_resource_pool"):
        return int(config.trainer.n_gpus_per_node)
    pool = config.reward.reward_model.n_gpus_per_node
    if not is_size(pool):
        raise ValueError(f"reward.reward_model.n_gpus_per_node is {pool!r}; it must be a whole number of at least 1.")
    return int(config.trainer.n_gpus_per_node + pool)


def is_size(value: object) -> bool:
    """Return whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def asked_processors(config: "DictConfig") -> int:
    """Return how many logical processors a run needs on its first node, which has the most actors.

    These are the processors of the workers' placement groups, one for TransferQueue's controller, one for each of its
    storage units, which are spread over the nodes, and a free one: all other actors use none while they run, but need
    one to be placed.

    Example:
        >>> from omegaconf import OmegaConf
        >>> asked_processors(OmegaConf.create({"trainer": {"nnodes": 2, "n_gpus_per_node": 8}}))
        27
    """
    from omegaconf import OmegaConf

    nodes = config.trainer.nnodes
    units = OmegaConf.select(config, UNITS) or 1
    return PER_WORKER * workers_per_node(config) + 1 + -(-units // nodes) + 1


def processor_violation(config: "DictConfig", given: int, where: str = "this process") -> str | None:
    """Return a sentence if a node gives a run fewer processors than it needs, else None.

    Args:
        config: of the run; its logical `num_cpus`, if set, count instead of the node's processors.
        given: processors that the node gives.
        where: name of the node or process, for the sentence.

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
