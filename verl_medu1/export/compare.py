"""What an exported model finds likely, against what the training engine recorded when it saved the checkpoint."""

import json
from dataclasses import dataclass
from pathlib import Path

from verl_medu1.training.log_prob_record import FILE

# Two programs that compute the same in float32 differ in the last digits. In a lower precision single tokens differ by
# more, as they do between any two kernels; weights that are not the model's differ by whole units.
MAX_IN_FLOAT32, MEAN_IN_LOWER = 1e-4, 0.1


@dataclass(frozen=True)
class Comparison:
    """Differences of log-probabilities between the exported model and the training engine.

    Attributes:
        tokens: how many were compared.
        largest, mean: absolute differences.
        dtype: what the training engine computed in.
    """

    tokens: int
    largest: float
    mean: float
    dtype: str

    @property
    def same(self) -> bool:
        """Whether the two are one model, as far as the precision tells."""
        if self.dtype == "float32":
            return self.largest <= MAX_IN_FLOAT32
        return self.mean <= MEAN_IN_LOWER

    def __str__(self) -> str:
        return f"{self.largest:.2g} at most, {self.mean:.2g} in the mean over {self.tokens} tokens ({self.dtype})"


def compare(model: Path, checkpoint: Path) -> Comparison | None:
    """Compute the log-probabilities of the recorded tokens with transformers, in the trained precision, and compare.

    Args:
        model: the exported folder.
        checkpoint: the folder of the checkpoint, which holds the record.

    Returns:
        None where the checkpoint has no record.
    """
    if not (checkpoint / FILE).is_file():
        return None
    import torch
    from transformers import AutoModelForCausalLM

    record = json.loads((checkpoint / FILE).read_text())
    # In what the engine computed in, whatever config.json says; FP8 is none of torch's that a model is loaded in.
    dtype = "auto" if record["dtype"] == "fp8" else record["dtype"]
    tokens = torch.tensor(record["tokens"])
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(model, dtype=dtype)(tokens[None]).logits[0].float()
    found = torch.log_softmax(logits, -1)[:-1].gather(-1, tokens[1:, None])[:, 0]
    difference = (found - torch.tensor(record["log_probs"])).abs()
    return Comparison(len(difference), float(difference.max()), float(difference.mean()), record["dtype"])
