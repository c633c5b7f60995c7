"""The steps of `medu1 export`, in order."""

from pathlib import Path

from verl_medu1.export.checkpoint import Checkpoint, find_checkpoint
from verl_medu1.export.compare import Comparison, compare
from verl_medu1.models.whole_folder import require_new, whole_folder


def export(
    given: Path, out: Path, evaluation: Path | None = None, base: str | None = None
) -> tuple[Checkpoint, Comparison | None]:
    """Write a checkpoint as a Hugging Face folder with a model card, after checking that it is the trained model.

    Args:
        given: a run, or a checkpoint of it; see `verl_medu1.export.checkpoint.find_checkpoint`.
        out: folder to write; it appears only once everything is written and checked.
        evaluation: a folder of `medu1 eval` for the card; by default the run's evaluations of this checkpoint.
        base: the model that LoRA's adapters were trained on; by default the one of the run's configuration.

    Returns:
        The exported checkpoint, and its comparison with the training engine's record (None without a record).

    Raises:
        ValueError: there is no such checkpoint, it is incomplete, `out` exists, the run's config.yaml can't be read,
            `evaluation` has no summary, LoRA's base model can't be loaded, or the exported model differs from the
            trained one.
    """
    checkpoint = find_checkpoint(given)
    require_new(out)

    from verl_medu1.export.adapter import merge_adapter, require_base
    from verl_medu1.export.card import find_evaluations, write_card
    from verl_medu1.export.merge import merge

    # Report a broken configuration or evaluation now, not after merging and comparing.
    checkpoint.configuration()
    evaluations = find_evaluations(checkpoint, evaluation)
    base = require_base(checkpoint, base)
    with whole_folder(out) as folder:
        if base is None:
            merge(checkpoint, folder)
        else:
            merge_adapter(checkpoint, base, folder)
        comparison = compare(folder, checkpoint.folder)
        if comparison is not None and not comparison.same:
            raise ValueError(
                f"{checkpoint.folder} exported is not the model that was trained: log-probabilities differ by "
                f"{comparison}; nothing was written."
            )
        write_card(out.name, checkpoint, folder, comparison, evaluations)
        for file in folder.rglob("*"):
            # safetensors creates files that only their owner may read.
            if file.is_file():
                file.chmod((folder / "config.json").stat().st_mode)
    return checkpoint, comparison
