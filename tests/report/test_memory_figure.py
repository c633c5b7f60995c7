"""The report's picture of the memory: planned bars of the run's own settings, and the peak that was logged."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from verl_medu1.config.recipes import register_recipes
from verl_medu1.machine.gpus import GIB
from verl_medu1.plan.plot import draw
from verl_medu1.report.memory_figure import PEAK, memory_figure, plan_of_run
from verl_medu1.report.page import RunPart, render
from verl_medu1.run_folder.reader import Run

SEVEN = "recipe=qwen2.5-7b-1x8h100-tp2-pp1"


def config(*overrides: str) -> DictConfig:
    register_recipes()
    GlobalHydra.instance().clear()
    with initialize_config_module("verl_medu1.config", version_base="1.3"):
        return compose("medu1", overrides=list(overrides))


def test_the_plan_is_that_of_the_run(tmp_path: Path) -> None:
    plan = plan_of_run(Run(tmp_path, config=config(SEVEN)))
    assert plan is not None and plan.gpu.name == "h100-80" and plan.settings.tp == 2
    assert plan.model.name == "Qwen/Qwen2.5-7B-Instruct"


def test_the_peak_is_drawn_beside_the_plan(tmp_path: Path) -> None:
    run = Run(tmp_path, config=config(SEVEN), scalars={PEAK: {1: 30.0, 2: 41.5}})
    found = memory_figure(run)
    assert found is not None and "had 41.5 GiB at its peak" in found.sentence and "h100-80" in found.sentence
    plan = plan_of_run(run)
    assert plan is not None
    heights = [[line.get_ydata()[0] for line in panel.lines] for panel in draw(plan, 41.5 * GIB).axes]
    assert heights == [[79.1, 41.5], [79.1], [79.1], [79.1]]
    part = RunPart.of(run, "run")
    page = render([part], [])
    assert '<h2 id="memory-1">' in page and found.sentence in page
    assert found.picture.alt in {picture.alt for picture in part.pictures()}


def test_on_the_cpu_the_whole_process_is_no_figure_of_the_plan(tmp_path: Path) -> None:
    own = config("recipe=quickstart", "actor_rollout_ref.model.path=Qwen/Qwen2.5-3B-Instruct")
    found = memory_figure(Run(tmp_path, config=own, scalars={PEAK: {1: 1.5}}))
    assert found is not None and "had 1.5 GiB at its peak, with all its libraries" in found.sentence


@pytest.mark.parametrize(
    "overrides",
    [
        [SEVEN, "actor_rollout_ref.model.path=somebody/else"],
        [SEVEN, "trainer.experiment_name=mine"],
        ["recipe=smollm2-135m-cpu"],
    ],
    ids=["model not known", "kind of GPU not known", "FSDP2"],
)
def test_what_can_not_be_planned_has_no_picture(tmp_path: Path, overrides: list[str]) -> None:
    assert memory_figure(Run(tmp_path, config=config(*overrides))) is None
    assert memory_figure(Run(tmp_path)) is None
