"""Compares an exported model's log-probs with those that the training engine recorded with the checkpoint."""

import json
from dataclasses import dataclass
from pathlib import Path

from verl_medu1.run_folder.checkpoints import LOG_PROBS
from verl_medu1.training.log_prob_record import inputs_with_image

# Two float32 implementations of the same model differ in the last digits. In lower precision single tokens differ by
# more, as they do between any two kernels; with the wrong weights, log-probs differ by whole units.
MAX_IN_FLOAT32, MEAN_IN_LOWER = 1e-4, 0.1


@dataclass(frozen=True)
class Comparison:
    """Differences in log-probs between the exported model and the training engine.

    Attributes:
        tokens: number of tokens compared.
        largest, mean: absolute differences.
        dtype: the precision of the training engine.
    """

    tokens: int
    largest: float
    mean: float
    dtype: str

    @property
    def same(self) -> bool:
        """Whether the two are the same model, as far as the precision allows to tell."""
        if self.dtype == "float32":
            return self.largest <= MAX_IN_FLOAT32
        return self.mean <= MEAN_IN_LOWER

    def __str__(self) -> str:
        return f"{self.largest:.2g} at most, {self.mean:.2g} in the mean over {self.tokens} tokens ({self.dtype})"


def compare(model: Path, checkpoint: Path) -> Comparison | None:
    """Compute the log-probs of the recorded tokens with transformers, in the training precision, and compare.

    Args:
        model: the exported folder.
        checkpoint: the checkpoint's folder, which contains the record.

    Returns:
        The differences; None if the checkpoint has no record.
    """
    if not (checkpoint / LOG_PROBS).is_file():
        return None
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

    record = json.loads((checkpoint / LOG_PROBS).read_text())
    # Use the engine's precision, whatever config.json says; transformers can't load a model in FP8.
    dtype = "auto" if record["dtype"] == "fp8" else record["dtype"]
    tokens = torch.tensor(record["tokens"])
    if record.get("with_image"):  # checkpoints of earlier versions don't say
        inputs = inputs_with_image(AutoProcessor.from_pretrained(model))
        assert inputs["input_ids"][0].tolist() == record["tokens"], "the processor is that of the training"
        exported = AutoModelForImageTextToText.from_pretrained(model, dtype=dtype)
    else:
        inputs, exported = {"input_ids": tokens[None]}, AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
    with torch.no_grad():
        logits = exported(**inputs).logits[0].float()
    found = torch.log_softmax(logits, -1)[:-1].gather(-1, tokens[1:, None])[:, 0]
    difference = (found - torch.tensor(record["log_probs"])).abs()
    return Comparison(len(difference), float(difference.max()), float(difference.mean()), record["dtype"])
