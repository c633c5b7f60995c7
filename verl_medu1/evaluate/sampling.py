"""Sampling settings, seeds, and requests for samples."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from verl_medu1.evaluate.questions import Question

# The model's unmodified distribution, from which training samples too (verl's trainer/config/rollout/rollout.yaml). Set
# explicitly, because a server takes its defaults from the model's generation_config.json.
TOP_P = 1.0
NOTHING_LEFT_OUT: dict[str, Any] = {"top_k": -1, "repetition_penalty": 1.0}
DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Sampling:
    """Sampling settings; see the options of `medu1 eval`."""

    samples: int
    temperature: float
    max_tokens: int
    seed: int
    batch: int
    dtype: str
    tensor_parallel_size: int

    def __post_init__(self) -> None:
        for name in ("samples", "max_tokens", "batch", "tensor_parallel_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be at least 1.")
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"--temperature is {self.temperature}; it must be at least 0 (0 is greedy).")
        if self.temperature == 0 and self.samples > 1:
            raise ValueError(
                f"--samples is {self.samples} with --temperature 0, which gives one answer; raise the temperature, or "
                "ask for one sample."
            )
        if self.dtype not in DTYPES:
            raise ValueError(f"--dtype is {self.dtype!r}; choose one of {', '.join(DTYPES)}.")
        if self.seed < 0:
            raise ValueError(f"--seed is {self.seed}; it must be at least 0.")

    @property
    def distribution(self) -> dict[str, Any]:
        """The settings of the token distribution, under vLLM's names."""
        return {"temperature": self.temperature, "top_p": TOP_P, **NOTHING_LEFT_OUT}


class Request(NamedTuple):
    """A request for `number` samples of one question, starting with its sample `first`."""

    question: Question
    first: int
    number: int


def seed_of(question: Question, seed: int) -> int:
    """Return the seed of a question's sample 0; sample i uses this plus i.

    It depends only on the question's messages and the seed of the evaluation, not on other questions in the file.
    """
    content = json.dumps([seed, question.prompt], ensure_ascii=False).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:4], "big") // 2


def missing_requests(questions: Sequence[Question], have: Sequence[int], samples: int) -> list[Request]:
    """Return requests for the missing samples.

    Args:
        questions: all questions.
        have: number of samples of each question that exist already, from number 0 on.
        samples: number of samples that each question needs.
    """
    return [
        Request(question, first, samples - first)
        for question, first in zip(questions, have, strict=True)
        if first < samples
    ]
