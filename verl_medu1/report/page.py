"""The report of one or several runs: an HTML page that needs no network or JavaScript, and its figures as PNG."""

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from omegaconf import DictConfig, OmegaConf

from verl_medu1 import __version__
from verl_medu1.data.storage import as_list
from verl_medu1.evaluate import tables
from verl_medu1.evaluate.summary import Figures, accuracy_differences, judged_differently
from verl_medu1.report.accuracy_plots import accuracy_plot, budget_plots
from verl_medu1.report.alarms import alarm_sentences
from verl_medu1.report.checklist_items import ItemTable, audit_sentence, item_table
from verl_medu1.report.curves import curves, run_styles, source_styles
from verl_medu1.report.excerpts import AcrossSteps, Outcomes, across_steps, outcomes
from verl_medu1.report.figure import Picture
from verl_medu1.report.memory_figure import MemoryFigure, memory_figure
from verl_medu1.report.row_images import RowImage, row_images
from verl_medu1.run_folder.reader import Run, read_run

SMALL = 1_000_000_000  # parameters; the answers of a smaller model say nothing about medicine
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

HELD_OUT, TRAINED_ON = "held-out questions (validation)", "training samples (rollouts)"

# The figures at the top of the page, over all held-out questions.
TILES: dict[str, Callable[[Figures], str]] = {
    "accuracy, %": lambda figures: tables.percent(figures["accuracy"]),
    "format kept, %": lambda figures: tables.percent(figures["format"]),
    "mean length, tokens": lambda figures: tables.number(figures["length"]),
    "from the budget, tokens": lambda figures: tables.number(figures["budget_distance"]),
}


def model_sentence(model: Mapping[str, Any]) -> str:
    """Return a sentence on the model, with a warning if it is small.

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
    """Return the settings that the page shows, if the configuration has them."""
    if config is None:
        return {}
    values = {name: OmegaConf.select(config, key) for name, key in SETTINGS.items()}
    return {name: str(value) for name, value in values.items() if value is not None}


def _judged_differently(run: Run) -> str | None:
    return judged_differently(*run.summaries.values()) if len(run.summaries) == 2 else None


def _comparison(run: Run) -> list[dict[str, Any]]:
    """Return one row per answer type and one overall, with the figures before and after."""
    differences = {}
    if run.before and run.after and not _judged_differently(run):
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
            "p": tables.p_text(differences[name].p_value) if name in differences else "",
        }
        for name in names
        if groups
    ]


def _files(config: DictConfig | None, key: str) -> list[str]:
    return [] if config is None else as_list(OmegaConf.select(config, key))


@dataclass(frozen=True)
class RunPart:
    """The part of the page about one run."""

    run: Run
    name: str
    model: str
    alarms: list[str]
    settings: dict[str, str]
    comparison: list[dict[str, Any]]
    judged_differently: str | None
    evaluations: list[Picture]
    memory: MemoryFigure | None
    outcomes: list[Outcomes]
    items: ItemTable | None
    items_from: str
    audit: str
    rows: list[AcrossSteps]
    rows_from: str
    # By row_id, of held-out questions and of samples.
    outcome_images: dict[str, list[RowImage]]
    images: dict[str, list[RowImage]]

    @classmethod
    def of(cls, run: Run, name: str) -> "RunPart":
        """Build the part from everything that the run folder contains."""
        is_validated_again = len(run.validation) > 1
        evaluations = [accuracy_plot(run.summaries), *budget_plots(run.summaries)] if run.summaries else []
        moves: list[Outcomes] = []
        if run.before is not None and run.after is not None and not _judged_differently(run):
            moves = outcomes(run.before.samples, run.after.samples)
        rows = across_steps(run.validation or run.rollouts)
        return cls(
            run=run,
            name=name,
            model=model_sentence(run.model),
            alarms=alarm_sentences(run.scalars),
            settings=settings(run.config),
            comparison=_comparison(run),
            judged_differently=_judged_differently(run),
            evaluations=evaluations,
            memory=memory_figure(run),
            outcomes=moves,
            # Held-out questions are the same at each step, but one validation has no other to be compared with.
            items=item_table(run.validation if is_validated_again else run.rollouts),
            items_from=HELD_OUT if is_validated_again else TRAINED_ON,
            audit=audit_sentence(run.scalars),
            rows=rows,
            rows_from=HELD_OUT if run.validation else TRAINED_ON,
            outcome_images=row_images(
                [str(run.after.summary.get("data", ""))] if run.after else [],
                {pair.row_id for kind in moves for pair in kind.first.values()},
            ),
            images=row_images(
                _files(run.config, "data.val_files" if run.validation else "data.train_files"),
                {column.row_id for row in rows for column in row.columns},
            ),
        )

    def pictures(self) -> list[Picture]:
        """Return the figures that show only this run."""
        return [*self.evaluations, *([self.memory.picture] if self.memory else [])]


def run_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each run: its folder's, with as many parent folders as are needed to make it unique."""
    parts = [path.resolve().parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    repeated = next(path for place, path in enumerate(paths) if parts[place] in parts[:place])
    raise ValueError(f"RUN {repeated} is given twice; give each run once.")


def render(parts: Sequence[RunPart], pictures: Sequence[Picture]) -> str:
    """Render the page.

    Text from models and files is escaped, and the page's own policy forbids scripts and network access.

    Args:
        parts: the runs.
        pictures: the curves of all runs.
    """
    environment = Environment(
        loader=PackageLoader("verl_medu1.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    several = len(parts) > 1
    return environment.get_template("report.html.j2").render(
        parts=parts,
        legend=run_styles([part.name for part in parts]) if several else source_styles(parts[0].run.scalars),
        columns=tables.COLUMNS,
        tiles=TILES,
        percent=tables.percent,
        curves=pictures,
        version=__version__,
        made=datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
    )


def write_report(run_dirs: Sequence[Path], out: Path) -> list[Run]:
    """Read run folders and write their report, with each figure as PNG in a folder next to it.

    Args:
        run_dirs: run folders, finished or not.
        out: HTML file; its folder is created. The PNGs go into the folder `<name>-figures`, replacing those of an
            earlier report.

    Returns:
        The runs as read; `missing` names the parts that are not there.

    Raises:
        ValueError: a folder is not a run folder, a file in it can't be read, or the page can't be written.
    """
    names = run_names(run_dirs)
    runs = [read_run(run_dir) for run_dir in run_dirs]
    parts = [RunPart.of(run, name) for run, name in zip(runs, names, strict=True)]
    pictures = curves({name: run.scalars for run, name in zip(runs, names, strict=True)})
    page = render(parts, pictures)
    figures = [*pictures, *(picture for part in parts for picture in part.pictures())]
    folder = out.with_name(f"{out.stem}-figures")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for earlier in folder.glob("[0-9][0-9]*-*.png"):
            earlier.unlink()
        for number, picture in enumerate(figures, start=1):
            name = re.sub(r"[^A-Za-z0-9]+", "-", picture.alt)[:80].strip("-").lower()
            (folder / f"{number:02d}-{name}.png").write_bytes(picture.png)
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"--out {out} can't be written ({error.strerror}); choose another file.") from None
    return runs
