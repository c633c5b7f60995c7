"""The planned memory of a run's ranks and the trainer's measured peak, for the report."""

from contextlib import suppress
from dataclasses import dataclass

from omegaconf import OmegaConf

from verl_medu1.config.compose import settings_in
from verl_medu1.machine.gpus import GIB, GPU, known_gpus, processor
from verl_medu1.plan.architecture import find_architecture
from verl_medu1.plan.plot import draw
from verl_medu1.plan.settings import Settings
from verl_medu1.plan.verdict import Plan, plan_of
from verl_medu1.report.figure import Picture, picture
from verl_medu1.run_folder.reader import Run

# Peak memory allocated by a worker (verl/workers/engine_workers.py).
PEAK = "actor/perf/max_memory_allocated_gb"


@dataclass(frozen=True)
class MemoryFigure:
    """The picture and its caption."""

    picture: Picture
    sentence: str


def card_of(settings: Settings, name: str) -> GPU | None:
    """Return the device of a run: this machine's CPU, or the GPU in the run's name (recipe names contain it).

    Example:
        >>> card_of(Settings(), "qwen2.5-32b-1x8h200-tp8-pp1").name
        'h200-141'
    """
    if settings.device == "cpu":
        return processor(settings.gpus_per_node)
    return next((card for kind, card in known_gpus().items() if kind.partition("-")[0] in name), None)


def plan_of_run(run: Run) -> Plan | None:
    """Return the plan of a run; None if its settings, the model's dimensions or the kind of GPU are unknown."""
    if run.config is None or "actor_rollout_ref" not in run.config:  # a supervised run is not planned
        return None
    settings = settings_in(run.config)
    card = card_of(settings, str(OmegaConf.select(run.config, "trainer.experiment_name")))
    if card is None:
        return None
    # The model may have been moved, or have an architecture or a training that can't be planned.
    with suppress(ValueError):
        return plan_of(find_architecture(str(run.model["path"])), card, settings)
    return None


def memory_figure(run: Run) -> MemoryFigure | None:
    """Plot the planned memory per phase, with a line at the peak that verl logged; None without a plan.

    There is no line on the CPU, where verl logs the memory of the whole process with its libraries, which the plan
    does not include.
    """
    plan = plan_of_run(run)
    if plan is None:
        return None
    peak = max(run.scalars.get(PEAK, {}).values(), default=None)
    sentence = f"Planned for each GPU (medu1 plan); the dashed line is the memory of a {plan.gpu.name}."
    if peak is None:
        return MemoryFigure(picture(draw(plan), "planned memory of each rank, phase by phase", wide=True), sentence)
    if plan.settings.device == "cpu":
        sentence += f" A worker had {peak:.1f} GiB at its peak, with all its libraries, which no plan counts."
        peak = None
    else:
        sentence += f" The trainer had {peak:.1f} GiB at its peak (red), vLLM not counted."
    figure = draw(plan, None if peak is None else peak * GIB)
    return MemoryFigure(picture(figure, "planned memory of each rank, phase by phase", wide=True), sentence)
