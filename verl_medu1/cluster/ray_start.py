"""The options of `ray_node` for a configuration, so that a cluster on Slurm is what `medu1 train` would start.

python -m verl_medu1.cluster.ray_start recipe=NAME key=value
"""

import argparse
import json
from collections.abc import Iterator

from omegaconf import DictConfig, OmegaConf

from verl_medu1.config.compose import compose_config
from verl_medu1.cpu.faster.forking import variables_of
from verl_medu1.exit import in_one_sentence
from verl_medu1.machine.processors import workers_per_node


def options_of(config: DictConfig) -> Iterator[tuple[str, str]]:
    """Translate `config.ray_kwargs.ray_init` into options of `ray start`.

    Yields:
        ("head", option) for options of the head node only, ("node", option) for options of every node: those of
        `ray start`, and `--fork-with`, which is `ray_node`'s own.

    Example:
        >>> from omegaconf import OmegaConf
        >>> init = {"num_cpus": 8, "include_dashboard": False}
        >>> trainer = {"n_gpus_per_node": 2, "device": "cuda"}
        >>> list(options_of(OmegaConf.create({"trainer": trainer, "ray_kwargs": {"ray_init": init}})))
        [('node', '--num-gpus=2'), ('node', '--num-cpus=8'), ('head', '--include-dashboard=False')]
    """
    init = config.ray_kwargs.ray_init
    yield "node", f"--num-gpus={workers_per_node(config)}"
    for key, option in {"num_cpus": "--num-cpus", "object_store_memory": "--object-store-memory"}.items():
        if init.get(key) is not None:
            yield "node", f"{option}={init[key]}"
    if (variables := variables_of(config)) is not None:
        yield "node", f"--fork-with={json.dumps(variables)}"
    yield "head", f"--include-dashboard={init.get('include_dashboard', False)}"
    if init.get("_system_config"):
        yield "head", f"--system-config={json.dumps(OmegaConf.to_container(init._system_config, resolve=True))}"


def main() -> None:
    """Print the options, one per line, after "head" or "node"."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as for `medu1 train`")
    arguments, overrides = parser.parse_known_args()
    with in_one_sentence():
        for who, option in options_of(compose_config([*arguments.overrides, *overrides])):
            print(who, option)


if __name__ == "__main__":
    main()
