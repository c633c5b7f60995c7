"""Training: `medu1 train` and `python -m verl_medu1.run.train`, a Hydra application on verl's configuration.

This module is started twice: first by the user, then as the driver by the keeper that the first start becomes
(verl_medu1/run/keeper.py).
"""

import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from verl_medu1.checks.batches import left_out
from verl_medu1.checks.evidence import evidence_notice
from verl_medu1.checks.model import memory_warning
from verl_medu1.checks.rewards import filter_warning
from verl_medu1.checks.run import check
from verl_medu1.checks.stack import check_overrides, require_plugin, require_verl
from verl_medu1.config.arguments import require_arguments
from verl_medu1.config.model_path import take_newest_model
from verl_medu1.config.recipes import TRAIN, register_recipes
from verl_medu1.data.storage import training_rows
from verl_medu1.exit import ExitCode, in_one_sentence, say
from verl_medu1.run.channel import connect
from verl_medu1.run.start import start
from verl_medu1.run_folder.attempts import this_attempt
from verl_medu1.run_folder.claim import begin_or_resume, claim


@hydra.main(config_path="pkg://verl_medu1.config", config_name="medu1", version_base="1.3")
def _main(config: DictConfig) -> None:
    channel = connect()
    assert channel, "training has a keeper (verl_medu1/run/start.py)"
    with in_one_sentence():
        if config.trainer.device == "cpu":
            from verl_medu1.cpu.collection import collect_seldom
            from verl_medu1.cpu.faster.forking import fork_workers, variables_of

            variables = variables_of(config)
            if variables is not None and not os.environ.get("RAY_ADDRESS"):  # else a job's nodes did it
                fork_workers(variables, channel.temporary)  # first: it takes as long as all before the workers
            collect_seldom()
        take_newest_model(config, TRAIN)
        check(config)
        require_plugin()
        if warning := memory_warning(config):
            say(f"medu1: {warning}")
        notices = (left_out(config, training_rows(config)), filter_warning(config), evidence_notice(config))
        claimed = claim(Path(config.run_dir))
        begin_or_resume(config)
    for notice in notices:
        if notice:
            say(f"medu1: {notice}")

    from verl_medu1.run.supervise import supervised
    from verl_medu1.run_folder.progress import STOPPED, Progress
    from verl_medu1.run_folder.stop_request import StopRequest

    stop_request = StopRequest(config.run_dir)
    if this_attempt() is None:  # in a job, slurm/job.sh did this before any request could arrive
        stop_request.take()  # an old request that an earlier start did not live to meet
    stop_request.make_on_signal()
    with supervised(config, channel) as ray_config:
        from verl.trainer.main_ppo import TaskRunnerV1, run_ppo

        run_ppo(ray_config, task_runner_class=TaskRunnerV1)
    if Progress(config.run_dir).read()["phase"] == STOPPED:
        say("medu1: stopped on request after a checkpoint; the same command resumes.")
        sys.exit(ExitCode.STOPPED)
    claimed.release()


def drive() -> None:
    """Compose the configuration from the command line and train."""
    with in_one_sentence():
        require_verl()
        check_overrides()
        require_arguments(sys.argv[1:], TRAIN)
        register_recipes()
    _main()


if __name__ == "__main__":
    if connect():
        drive()
    else:
        start("verl_medu1.run.train", sys.argv[1:])
