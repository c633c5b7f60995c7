"""How the driver's work grows: with the answers of a step, and with the files of prepare, report and plan.

    python benchmarks/scale.py [--only PART] [--repeat N] [--questions N ...] [--rows N ...] [--samples N ...]

No model, no Ray: answers of 512 to 2,048 tokens are made up, and all else is the project's: the trainer's own methods,
TransferQueue (controller and simple storage in a process of their own), verl's dump of rollouts and its TensorBoard
writer, and the commands `medu1 prepare`, `report` and `plan --search`. What the trainer reads from the queue and puts
back is measured by itself, not again with what is computed between the two.

Prints a Markdown table with one row for each part and size. Seconds are the median of five runs, with the least and the
most. Processor seconds are those of this process, or of the command, on one thread; they change less than seconds if
other programs are running. What the queue's process takes is not in them. The exponent is the slope of log(processor
seconds) over log(size) from the size above: 1 is linear.

The shares are of a step of the recipe qwen2.5-7b-1x8h100-tp2-pp1 as `medu1 plan` estimates it, if all answers have the
mean length of those here, with prompts of 256 tokens (`verl_medu1.plan.search.step_seconds`, without generation, so a
step takes longer). One share is on the recipe's 8 H100 for any number of answers, the other with 8 H100 for every 128
questions, where all steps take as long.
"""

import enum
import logging
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

PROMPT = 256  # tokens
OF_RECIPE = 128  # questions of a step


class Part(enum.StrEnum):
    """The parts that can be measured alone."""

    step = "step"
    mixture = "mixture"
    tensorboard = "tensorboard"
    prepare = "prepare"
    report = "report"
    plan = "plan"


@dataclass(frozen=True)
class Measured:
    """The runs of one part at one size.

    Attributes:
        name: the part.
        size: in words.
        number: the size.
        seconds: wall seconds of each run.
        processor_seconds: of each run.
        questions: of the step in which it is done; None if it is not done in each step.
        peak_gib: the largest of the runs; None where it was not measured.
    """

    name: str
    size: str
    number: int
    seconds: list[float]
    processor_seconds: list[float]
    questions: int | None = None
    peak_gib: float | None = None


def repeated(run: Callable[[], Any], repeat: int) -> tuple[list[float], list[float]]:
    """Return wall and processor seconds of each of `repeat` runs, after one that does not count."""
    run()
    seconds, processor = [], []
    for _ in range(repeat):
        start = time.perf_counter(), time.process_time()
        run()
        seconds.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    return seconds, processor


def step_reference(questions: int) -> float:
    """Return the seconds of a step that the module's docstring names, on 8 GPUs."""
    from scale_step import LONGEST, RECIPE, SHORTEST

    from verl_medu1.config.compose import compose_recipe
    from verl_medu1.machine.gpus import find_gpu
    from verl_medu1.plan.architecture import find_architecture
    from verl_medu1.plan.search import step_seconds
    from verl_medu1.plan.verdict import plan_of

    settings, path = compose_recipe([f"recipe={RECIPE}"])
    settings = replace(settings, train_batch=questions, prompt=PROMPT, response=(SHORTEST + LONGEST) // 2)
    return step_seconds(plan_of(find_architecture(path), find_gpu("h100-80"), settings))


def measure_steps(questions: Sequence[int], repeat: int, folder: Path) -> Iterator[Measured]:
    """Measure what the driver does with the answers to so many questions, and the sum of its parts."""
    import transfer_queue as tq
    from scale_queue import start_queue
    from scale_step import ANSWERS, PARTITION, compose, put_batch, trainer_of, works_of_a_step

    start_queue()
    for number in questions:
        trainer, batch = trainer_of(compose()), put_batch(number)
        size, parts = f"{number:,} x {ANSWERS}", []
        for work in works_of_a_step(trainer, batch, number, folder):
            measured = Measured(work.name, size, number, *repeated(work.run, repeat), questions=number)
            parts += [measured] if work.counts else []
            yield measured
        runs = range(repeat)
        seconds = [sum(part.seconds[run] for part in parts) for run in runs]
        processor = [sum(part.processor_seconds[run] for part in parts) for run in runs]
        yield Measured("**the sum**", size, number, seconds, processor, questions=number)
        trainer._shutdown_dump_executor()
        tq.kv_clear(keys=batch.keys, partition_id=PARTITION)


def measure_mixture(repeat: int) -> Iterator[Measured]:
    """Measure the mixture's start and its draws."""
    from scale_step import mixture_works

    for rows in (10**5, 10**6):
        for work in mixture_works(rows, batch=512):
            yield Measured(work.name, f"{rows:,} rows", rows, *repeated(work.run, repeat))


def measure_tensorboard(repeat: int, folder: Path) -> Iterator[Measured]:
    """Measure how long the scalars of one step take to write; their number grows with the data sources alone."""
    from scale_step import tensorboard_writer

    os.environ["TENSORBOARD_DIR"] = str(folder / "tensorboard")
    for scalars in (100, 1000):
        run = tensorboard_writer(scalars)
        yield Measured("TensorBoard", f"{scalars:,} scalars", scalars, *repeated(run, repeat), questions=OF_RECIPE)


def measure_command(what: str, number: int, repeat: int, folder: Path, arguments: Sequence[str]) -> Measured:
    """Measure a command of `medu1`; `what` is the unit of its size."""
    from scale_commands import run_medu1

    runs = [run_medu1(folder, *arguments) for _ in range(repeat)]
    name = f"`medu1 {arguments[0]}{' --search' * ('--search' in arguments)}`"
    return Measured(
        name,
        f"{number:,} {what}",
        number,
        [run.seconds for run in runs],
        [run.processor_seconds for run in runs],
        peak_gib=max(run.peak_gib for run in runs),
    )


def measure_prepare(rows: Sequence[int], repeat: int, folder: Path) -> Iterator[Measured]:
    """Measure `medu1 prepare` of a file of multiple-choice questions."""
    from scale_commands import write_questions

    for number in rows:
        file, out = folder / "questions.jsonl", folder / f"data-{number}"
        write_questions(file, number)
        arguments = ["prepare", "--source", f"own={file}:multiple_choice", "--out", str(out)]
        yield measure_command("rows", number, repeat, folder, arguments)


def measure_report(samples: Sequence[int], repeat: int, folder: Path) -> Iterator[Measured]:
    """Measure `medu1 report` of a run with so many evaluated samples."""
    from scale_commands import write_run

    for number in samples:
        run = folder / f"run-{number}"
        write_run(run, number)
        arguments = ["report", str(run), "--out", str(run / "report.html")]
        yield measure_command("samples", number, repeat, folder, arguments)


def measure_plan(repeat: int, folder: Path) -> Iterator[Measured]:
    """Measure the search for a layout of the 70B recipe; each GPU has as many questions as in the recipe."""
    for gpus in (64, 512, 4096):
        batch = [f"data.train_batch_size={2 * gpus}", f"actor_rollout_ref.actor.ppo_mini_batch_size={gpus}"]
        arguments = ["plan", "recipe=llama-3.1-70b-8x8h100-tp8-pp4", *batch, "--gpus", str(gpus), "--search"]
        yield measure_command("GPUs", gpus, repeat, folder, arguments)


def table(measured: Sequence[Measured]) -> str:
    """Return the Markdown table."""
    numbers = {one.questions for one in measured if one.questions}
    steps = {number: step_reference(number) for number in numbers | ({OF_RECIPE} if numbers else set())}
    columns = ("what", "size", "seconds", "processor seconds", "exponent", "share on 8 GPUs")
    columns += (f"share with 8 GPUs for {OF_RECIPE} questions", "peak GiB")
    rows = [columns, ("---",) * len(columns)]
    for name in dict.fromkeys(one.name for one in measured):
        before = None
        for one in (one for one in measured if one.name == name):
            processor = statistics.median(one.processor_seconds)
            wall = f"{statistics.median(one.seconds):.3g} ({min(one.seconds):.3g} to {max(one.seconds):.3g})"
            exponent = "" if before is None else f"{_exponent(before, one):.2f}"
            here, grown = (
                ("", "")
                if one.questions is None
                else (f"{processor / steps[number]:.2%}" for number in (one.questions, OF_RECIPE))
            )
            peak = "" if one.peak_gib is None else f"{one.peak_gib:.2f}"
            rows.append((name, one.size, wall, f"{processor:.3g}", exponent, here, grown, peak))
            before = one
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _exponent(small: Measured, large: Measured) -> float:
    less, more = (statistics.median(one.processor_seconds) for one in (small, large))
    return math.log(more / less) / math.log(large.number / small.number)


def main(
    only: Annotated[list[Part] | None, typer.Option(help="Measure only this part; repeated for several.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Number of runs, of which the median counts.")] = 5,
    questions: Annotated[
        list[int] | None, typer.Option(min=1, help="Questions of a step; default 128, 512 and 2048.")
    ] = None,
    rows: Annotated[list[int] | None, typer.Option(min=1, help="Rows to prepare; default 10^5 and 10^6.")] = None,
    samples: Annotated[list[int] | None, typer.Option(min=1, help="Samples to report; default 10^4 and 10^5.")] = None,
) -> None:
    """Print how the driver's work grows, as Markdown."""
    # Threads that wait for each other would count as processor time.
    os.environ["OMP_NUM_THREADS"] = "1"
    # TransferQueue warns of its own choice of threads at each call.
    logging.disable(logging.WARNING)
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: dict[Part, Callable[[], Iterator[Measured]]] = {
            Part.step: lambda: measure_steps(questions or [128, 512, 2048], repeat, folder),
            Part.mixture: lambda: measure_mixture(repeat),
            Part.tensorboard: lambda: measure_tensorboard(repeat, folder),
            Part.prepare: lambda: measure_prepare(rows or [10**5, 10**6], repeat, folder),
            Part.report: lambda: measure_report(samples or [10**4, 10**5], repeat, folder),
            Part.plan: lambda: measure_plan(repeat, folder),
        }
        for part in only or list(Part):
            for one in parts[part]():
                typer.echo(f"{one.name}, {one.size}: {statistics.median(one.processor_seconds):.3g} s", err=True)
                measured.append(one)
    typer.echo(table(measured))
    # The queue's threads do not end.
    os._exit(0)


if __name__ == "__main__":
    typer.run(main)
