"""Majority vote over the samples of a question."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from verl_medu1.run_folder.evaluations import Sample


def majority(samples: Sequence[Sample]) -> float:
    """Return the probability that the majority answer of a question is right (Wang et al. 2022, arXiv 2203.11171).

    Answers are equal if the scorer read the same (`pred`). A sample without an answer has no vote; a tie is broken
    uniformly at random, hence a probability.

    Args:
        samples: all samples of one question.

    Example:
        >>> majority([{"pred": "A", "acc": 1.0}, {"pred": "B", "acc": 0.0}, {"pred": "", "acc": 0.0}])
        0.5
    """
    votes = Counter(sample["pred"] for sample in samples if sample["pred"])
    if not votes:
        return 0.0
    most = max(votes.values())
    winners = [answer for answer, number in votes.items() if number == most]
    return float(np.mean([np.mean([s["acc"] for s in samples if s["pred"] == winner]) for winner in winners]))
