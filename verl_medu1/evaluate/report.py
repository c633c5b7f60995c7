"""The report of a run: one HTML page that needs no network and no JavaScript."""

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from omegaconf import DictConfig, OmegaConf

from verl_medu1 import __version__
from verl_medu1.evaluate import tables
from verl_medu1.evaluate.curves import accuracy_plot, curves, source_styles
from verl_medu1.evaluate.excerpts import outcomes, step_excerpts
from verl_medu1.evaluate.memory_figure import memory_figure
from verl_medu1.evaluate.run_folder import Run, read_run
from verl_medu1.evaluate.summary import Figures, accuracy_differences

SMALL = 1_000_000_000  # parameters; below, a model's answers say nothing about medicine
SETTINGS = {
    "model": "actor_rollout_ref.model.path",
    "actor engine": "actor_rollout_ref.actor.strategy",
    "tensor parallel": "actor_rollout_ref.actor.megatron.tensor_model_parallel_size",
    "pipeline parallel": "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size",
    "rollout": "actor_rollout_ref.rollout.name",
    "questions per step": "data.train_batch_size",
    "answers per question": "actor_rollout_ref.rollout.n",
    "longest response": "data.max_response_length",
    "learning rate": "actor_rollout_ref.actor.optim.lr",
    "advantage": "algorithm.adv_estimator",
    "length penalty": "algorithm.length_penalty.name",
    "length penalty acts on": "algorithm.length_penalty.where",
    "length penalty weight": "algorithm.length_penalty.weight",
    "steps planned": "trainer.total_training_steps",
}

# The figures at the top of the page, over all held-out questions.
TILES: dict[str, Callable[[Figures], str]] = {
    "accuracy, %": lambda figures: tables.percent(figures["accuracy"]),
    "format kept, %": lambda figures: tables.percent(figures["format"]),
    "mean length, tokens": lambda figures: tables.number(figures["length"]),
    "from the budget, tokens": lambda figures: tables.number(figures["budget_distance"]),
}


def model_sentence(model: Mapping[str, Any]) -> str:
    """Which model this is and what its size allows to say.

    Args:
        model: `path`, `architecture`, `parameters`; each may be None.

    Example:
        >>> model_sentence({"path": "m", "architecture": "Qwen2ForCausalLM", "parameters": 2_500_000})
        'Model: m (Qwen2ForCausalLM, 2.5 million parameters). A model this small shows that the machinery works, and \
nothing about medicine.'
    """
    parameters = model["parameters"]
    size = "number of parameters unknown" if parameters is None else f"{parameters / 1e6:,.1f} million parameters"
    details = ", ".join(part for part in (model["architecture"], size) if part)
    sentence = f"Model: {model['path'] or 'unknown'} ({details})."
    if parameters is None:
        return f"{sentence} If it is a small model, it shows that the machinery works, and nothing about medicine."
    if parameters < SMALL:
        return f"{sentence} A model this small shows that the machinery works, and nothing about medicine."
    return sentence


def settings(config: DictConfig | None) -> dict[str, str]:
    """The settings that the page names, as far as the configuration has them."""
    if config is None:
        return {}
    values = {name: OmegaConf.select(config, key) for name, key in SETTINGS.items()}
    return {name: str(value) for name, value in values.items() if value is not None}


def _comparison(run: Run) -> list[dict[str, Any]]:
    """One row per answer type and one over all, with the figures before and after."""
    differences = {}
    if run.before and run.after:
        differences = accuracy_differences(run.before.samples, run.after.samples)
    groups = {
        label: {**summary["answer_type"], "overall": summary["overall"]} for label, summary in run.summaries.items()
    }
    names = [*sorted({name for group in groups.values() for name in group} - {"overall"}), "overall"]
    return [
        {
            "name": name,
            "figures": {label: group[name] for label, group in groups.items() if name in group},
            "change": tables.difference_text(differences.get(name)),
        }
        for name in names
        if groups
    ]


def render(run: Run) -> str:
    """The page of a run.

    Everything that a model or a file wrote is escaped, and the page forbids itself scripts and the network.
    """
    environment = Environment(
        loader=PackageLoader("verl_medu1.evaluate", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        run=run,
        name=run.path.resolve().name,
        model_sentence=model_sentence(run.model),
        settings=settings(run.config),
        comparison=_comparison(run),
        columns=tables.COLUMNS,
        tiles=TILES,
        percent=tables.percent,
        accuracy_picture=accuracy_plot(run.summaries) if run.summaries else None,
        sources=source_styles(run.scalars),
        curves=curves(run.scalars),
        memory=memory_figure(run),
        outcomes=outcomes(run.before.samples, run.after.samples) if run.before and run.after else [],
        steps=step_excerpts(run.rollouts),
        version=__version__,
        made=datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
    )


def write_report(run_dir: Path, out: Path) -> Run:
    """Read a run folder and write its report.

    Args:
        run_dir: folder of a run, finished or not.
        out: HTML file; its folder is made.

    Returns:
        What was read; `missing` names the parts that are not there.

    Raises:
        ValueError: the folder is none of a run, a file of it can't be read, or the page can't be written.
    """
    run = read_run(run_dir)
    page = render(run)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"--out {out} can't be written ({error.strerror}); choose another file.") from None
    return run
