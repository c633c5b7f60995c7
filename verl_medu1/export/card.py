"""The model card of an export: data, recipe, versions, evaluations, and the log-prob check."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verl_medu1.data.folds import official_rows_in
from verl_medu1.data.storage import MANIFEST
from verl_medu1.export.checkpoint import Checkpoint, setting
from verl_medu1.export.compare import Comparison
from verl_medu1.models.folder import needs_transformers_5
from verl_medu1.run_folder.checkpoints import LOG_PROBS
from verl_medu1.run_folder.evaluations import SUMMARY, read_json
from verl_medu1.run_folder.names import EVALUATIONS
from verl_medu1.verl_compat.versions import installed_versions

TEMPLATE = Path(__file__).with_name("card.md.j2")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
# Configuration key -> its title on the card.
SETTINGS = {
    "algorithm.adv_estimator": "advantage estimator",
    "scoring.scheme": "reward",
    "algorithm.length_penalty.name": "length penalty",
    "algorithm.length_penalty.where": "where the penalty enters",
    "algorithm.length_penalty.weight": "its weight",
    "data.train_batch_size": "questions of a step",
    "actor_rollout_ref.rollout.n": "answers per question",
    "actor_rollout_ref.rollout.temperature": "sampling temperature",
    "data.max_response_length": "longest answer in tokens",
    "data.apply_chat_template_kwargs": "arguments of the chat template",
    "actor_rollout_ref.actor.optim.lr": "learning rate",
    "actor_rollout_ref.actor.use_kl_loss": "KL term",
    "trainer.nnodes": "nodes",
    "trainer.n_gpus_per_node": "workers of a node",
    "actor_rollout_ref.actor.strategy": "training engine",
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size": "tensor parallel size",
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size": "pipeline parallel size",
}


@dataclass(frozen=True)
class Evaluated:
    """An evaluation by `medu1 eval` of this checkpoint or its export: its folder and summary."""

    folder: Path
    summary: Mapping[str, Any]


def write_card(
    name: str, checkpoint: Checkpoint, folder: Path, comparison: Comparison | None, evaluations: Sequence[Evaluated]
) -> None:
    """Write README.md from what the run and the checkpoint record; anything else is stated as unknown.

    Args:
        name: the model's name if the run has none.
        checkpoint: the exported checkpoint.
        folder: the exported folder.
        comparison: the log-prob check; None if there was no record to compare with.
        evaluations: from `find_evaluations`.
    """
    import jinja2

    config = checkpoint.configuration()
    base = setting(config, "actor_rollout_ref.model.path") or setting(config, "model.path")
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    text = environment.from_string(TEMPLATE.read_text()).render(
        name=setting(config, "trainer.experiment_name") or name,
        # Only a name on the hub: a local folder means nothing to other readers.
        hub_base=base if _HUB_NAME.fullmatch(str(base)) and not Path(str(base)).exists() else None,
        method="trained by reinforcement learning with verifiable rewards"
        if "actor_rollout_ref" in config
        else "trained on worked answers"
        if config
        else "trained",
        step=checkpoint.step,
        lora=checkpoint.lora,
        weights=checkpoint.weights.value,
        settings={title: value for key, title in SETTINGS.items() if (value := setting(config, key)) not in (None, {})},
        data=_data(config),
        comparison=comparison,
        evaluations=evaluations,
        needs_transformers_5=needs_transformers_5(folder),
        trained_with=_trained_with(checkpoint),
        exported_with=installed_versions(),
    )
    (folder / "README.md").write_text(text)


def _data(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the training files, with their sources from the manifest in the same folder."""
    files = setting(config, "data.train_files") or []
    found = []
    for file in [files] if isinstance(files, str) else files:
        path, manifest = Path(file), Path(file).parent / MANIFEST
        content = json.loads(manifest.read_text()) if manifest.is_file() else {}
        one_source = {content["source"]: {"licence": content.get("licence")}} if "source" in content else {}
        found.append(
            {
                "name": path.name,
                "sha256": setting(content.get("files", {}).get(path.name, {}), "sha256"),
                "rows": content.get("rows", {}).get(path.stem, {}),
                "sources": content.get("sources", one_source),
                "official": official_rows_in(path),
            }
        )
    return found


def find_evaluations(checkpoint: Checkpoint, given: Path | None) -> list[Evaluated]:
    """Return the evaluations for the card: the given one, or those in the run whose model is in this checkpoint.

    Args:
        checkpoint: the exported checkpoint.
        given: a folder that `medu1 eval` wrote; None for those in the run's folder `eval`.

    Raises:
        ValueError: `given` has no summary, or one can't be read.
    """
    if given:
        if not (given / SUMMARY).is_file():
            raise ValueError(f"--evaluation {given} has no {SUMMARY}; give a folder that `medu1 eval` wrote.")
        return [Evaluated(given, read_json(given / SUMMARY))]
    files = sorted((checkpoint.run / EVALUATIONS).glob(f"*/{SUMMARY}")) if checkpoint.run else []
    found = [Evaluated(file.parent, read_json(file)) for file in files]
    return [one for one in found if _is_in(Path(str(one.summary["model"]["path"])), checkpoint.folder)]


def _is_in(model: Path, folder: Path) -> bool:
    return model.resolve().is_relative_to(folder.resolve())


def _trained_with(checkpoint: Checkpoint) -> dict[str, str]:
    file = checkpoint.folder / LOG_PROBS
    return json.loads(file.read_text())["versions"] if file.is_file() else {}
