"""Draws the memory of a plan: a stacked bar for each pipeline stage, phase by phase."""

from pathlib import Path
from typing import TYPE_CHECKING

from verl_medu1.machine.gpus import GIB
from verl_medu1.plan.memory import PHASES
from verl_medu1.plan.verdict import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = {
    "weights": "#0072b2",
    "gradients": "#56b4e9",
    "optimizer": "#009e73",
    "activations": "#e69f00",
    "logits": "#d55e00",
    "gathering": "#8c6d31",
    "reference": "#999999",
    "vLLM": "#cc79a7",
    "reserve": "#d9d9d9",
}
FORMATS = (".svg", ".png")


def draw(plan: Plan, used: float | None = None) -> "Figure":
    """Draw the memory of each rank, with a panel for each phase.

    Args:
        plan: of a run.
        used: peak memory of the trainer's process in a run, in bytes, if known.
    """
    from matplotlib.figure import Figure  # takes a second to import, and few users ask for a picture

    figure = Figure(figsize=(max(8.0, 3 + len(plan.ranks)), 4.2), layout="constrained")
    shown = {part for rank in plan.ranks for phase in rank.phases.values() for part, size in phase.items() if size}
    panels = figure.subplots(1, len(PHASES), sharey=True)
    stages = [str(rank.stage) for rank in plan.ranks]
    for panel, phase in zip(panels, PHASES, strict=True):
        bottom = [0.0] * len(stages)
        for part, colour in PARTS.items():
            if part not in shown:
                continue
            heights = [rank.phases[phase].get(part, 0.0) / GIB for rank in plan.ranks]
            panel.bar(stages, heights, bottom=bottom, color=colour, label=part)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        panel.axhline(plan.gpu.memory_gib, color="black", linestyle="--", linewidth=1)
        if used is not None and phase == PHASES[0]:
            panel.axhline(used / GIB, color="#b00020", linewidth=1.5, label="measured, trainer alone")
        panel.set_title(phase, fontsize=9)
        panel.set_xlabel("pipeline stage", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("GiB of a rank", fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False)
    settings = plan.settings
    figure.suptitle(
        f"{plan.model.name}, {settings.layout.replace(' x ', ' ')}; the line is a {plan.gpu.name}",
        fontsize=9,
    )
    return figure


def write_plot(plan: Plan, file: Path) -> None:
    """Draw the memory of each rank into a file.

    Args:
        plan: of a run.
        file: to write, .svg or .png.

    Raises:
        ValueError: the file has another extension or can't be written.
    """
    if file.suffix not in FORMATS:
        raise ValueError(f"--plot is {str(file)!r}; end it in {' or '.join(FORMATS)}.")
    figure = draw(plan)
    try:
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=150)
    except OSError as error:
        raise ValueError(f"--plot {file} can't be written ({error.strerror}); choose another file.") from None
