"""Runs the stages of a pipeline, one after the other, each as a medu1 command of its own."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from verl_medu1.checks.checklist import checklist_violations
from verl_medu1.checks.judge import judge_violations
from verl_medu1.config.compose import compose_config
from verl_medu1.config.inputs import inputs_of
from verl_medu1.config.keys import unknown_key_violations
from verl_medu1.config.recipes import SFT, TRAIN
from verl_medu1.exit import in_one_sentence, raise_all, say
from verl_medu1.run_folder.claim import claim
from verl_medu1.run_folder.pipeline import (
    DONE,
    PIPELINE,
    TRAINING,
    WAITS,
    Stage,
    read_stages,
    state_of,
    write_stages,
)


def run_pipeline(run_dir: Path, stages: Sequence[Stage]) -> int:
    """Run what is left of a pipeline.

    A stage that is done is left alone. One that was cut off is started again by the same command: a training goes on
    from its newest checkpoint if it saves what that needs, and anything else begins anew.

    Args:
        run_dir: folder of the pipeline.
        stages: in order.

    Returns:
        0, or the exit code of the stage that failed.

    Raises:
        ValueError: another process works in `run_dir`, a setting of a stage is wrong, or a stage that has begun would
            now be another one.
    """
    raise_all(violation for stage in stages for violation in stage_violations(stage))
    claimed = claim(run_dir)
    _, begun = read_stages(run_dir)
    raise_all(changes(run_dir, stages))
    begun = {stage.name: begun[stage.name] for stage in stages if stage.name in begun and state_of(stage) != WAITS}
    write_stages(run_dir, stages, begun)
    for number, stage in enumerate(stages, 1):
        if state_of(stage) == DONE:
            say(f"medu1: stage {number} of {len(stages)}, {stage.name}: done, {stage.folder}")
            continue
        begun[stage.name] = inputs_of(stage)
        write_stages(run_dir, stages, begun)
        say(f"medu1: stage {number} of {len(stages)}, {stage.name}")
        say(f"$ medu1 {stage.command} {shlex.join(stage.arguments)}")
        if code := _run(command_of(stage)):
            say(f"medu1: stage {stage.name} ended with exit code {code}; the same command goes on from there.")
            return code
        if (state := state_of(stage)) != DONE:
            raise ValueError(
                f"stage {stage.name} ended without its last checkpoint ({state}); set trainer.save_freq above 0."
            )
    claimed.release()
    return 0


def stage_violations(stage: Stage) -> Iterator[str]:
    """Check what can be checked of a stage before the stages on which it builds have run.

    Raises:
        ValueError: its configuration can't be composed.
    """
    if stage.command not in TRAINING:
        return
    kind = SFT if stage.command == "sft" else TRAIN
    try:
        config = compose_config(stage.arguments, kind)
    except ValueError as error:
        raise ValueError(f"stage {stage.name}: {error}") from None
    found = list(unknown_key_violations(config, kind))
    if kind == TRAIN:
        found += [*judge_violations(config), *checklist_violations(config)]
    yield from (f"stage {stage.name}: {sentence}" for sentence in found)


def changes(run_dir: Path, stages: Sequence[Stage]) -> Iterator[str]:
    """Yield one sentence for each stage that has begun with other arguments or inputs than it would have now.

    Args:
        run_dir: folder of the pipeline, with the record of earlier starts.
        stages: as they would be run now.
    """
    earlier, begun = read_stages(run_dir)
    known = {stage.name: stage for stage in earlier}
    for stage in stages:
        if stage.name not in begun or state_of(stage) == WAITS:
            continue
        before = known[stage.name]
        way_out = f"set it back, choose another run_dir, or remove {stage.folder} to run the stage again"
        if (before.command, before.arguments) != (stage.command, stage.arguments):
            old, new = ({one.command, *one.arguments} for one in (before, stage))
            yield (f"stage {stage.name} began with {_words(old - new)}, and has {_words(new - old)} now; {way_out}.")
            continue
        now = inputs_of(stage)
        for argument, content in begun[stage.name].items():
            if now.get(argument) != content:
                yield (
                    f"stage {stage.name} began with another content of {argument}; {way_out}. {run_dir / PIPELINE} has "
                    "what it began with."
                )


def _words(arguments: set[str]) -> str:
    return " ".join(sorted(arguments)) or "nothing in its place"


def command_of(stage: Stage) -> list[str]:
    """Return the command of a stage: torchrun's, if a supervised training takes several processes of this machine."""
    module = [sys.executable, "-m", "verl_medu1.cli.app", stage.command]
    if stage.command == "sft":
        processes = int(compose_config([*stage.arguments], SFT).trainer.n_gpus_per_node)
        if processes > 1:
            torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
            module = [sys.executable, "-m", *torchrun, "-m", "verl_medu1.run.sft"]
    return [*module, *stage.arguments]


def _run(command: Sequence[str]) -> int:
    """Run a command in a session of its own and pass signals on, so that it does not outlive a pipeline told to end.

    A command that ends well in spite of a signal, as one can that is about to, does not let the pipeline go on.
    """
    process = subprocess.Popen(command, start_new_session=True)
    with _passed_on(process) as received:
        code = process.wait()
    if code == 0 and received:
        return 128 + received[0]
    return code if code >= 0 else 128 - code


@contextmanager
def _passed_on(process: "subprocess.Popen[Any]") -> Iterator[list[int]]:
    """Pass signals on to a process; yields the list of those that have come."""
    received: list[int] = []

    def pass_on(number: int, _: object) -> None:
        received.append(number)
        process.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = {
        number: signal.signal(number, pass_on)
        for number in numbers
        if signal.getsignal(number) != signal.SIG_IGN  # nohup ignores SIGHUP
    }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    # In a job: python -m verl_medu1.run.pipeline COMMAND ARGUMENTS.
    _command, *_arguments = sys.argv[1:]
    with in_one_sentence():
        _line = command_of(Stage("job", _command, tuple(_arguments), Path()))
    os.execv(_line[0], _line)
