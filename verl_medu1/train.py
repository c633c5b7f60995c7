"""Training: `medu1 train` and `python -m verl_medu1.train`, a Hydra application on verl's configuration."""

import os
import sys

import hydra
from omegaconf import DictConfig, OmegaConf

from verl_medu1.checks import check, require_verl
from verl_medu1.recipe_group import register_recipes


def run(config: DictConfig) -> None:
    """Check the configuration, then train with verl under the watchdog.

    Raises:
        ValueError: what the configuration asks for is impossible; nothing has been started.
        verl_medu1.supervise.Stalled: the run made no progress for `watchdog.timeout_s` seconds.
    """
    check(config)
    os.makedirs(config.run_dir, exist_ok=True)
    OmegaConf.save(config, os.path.join(config.run_dir, "config.yaml"), resolve=True)

    from verl_medu1.supervise import supervised

    with supervised(config) as ray_config:
        from verl.trainer.main_ppo import TaskRunnerV1, run_ppo

        run_ppo(ray_config, task_runner_class=TaskRunnerV1)


@hydra.main(config_path="config", config_name="medu1", version_base="1.3")
def _main(config: DictConfig) -> None:
    try:
        run(config)
    except ValueError as error:
        print(f"medu1: {error}", file=sys.stderr)
        sys.exit(2)


def main() -> None:
    """Compose the configuration from the command line and train."""
    try:
        require_verl()
    except ValueError as error:
        print(f"medu1: {error}", file=sys.stderr)
        sys.exit(2)
    register_recipes()
    _main()


if __name__ == "__main__":
    main()
