"""Responses that are there already: one line per response, found again by what was asked of whom."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verl_medu1.evaluate.questions import Question
from verl_medu1.evaluate.sampling import Sampling
from verl_medu1.evaluate.scoring import Response
from verl_medu1.run_folder import evaluations

RESPONSES = "responses.jsonl"


class ResponseCache:
    """`responses.jsonl` of an evaluation: appended to while it runs, so that one that was stopped goes on.

    A response's key is the digest of the model's content, the messages, how they are rendered, the
    sampling and the sample's number. Scores
    are not kept: they are made anew from the responses.

    Args:
        folder: of the evaluation.
        model: what tells the model from another (`verl_medu1.evaluate.models.fingerprint`).
        sampling: how responses are sampled.
        template_arguments: of the chat template.
    """

    def __init__(
        self, folder: Path, model: str, sampling: Sampling, template_arguments: Mapping[str, Any] | None = None
    ) -> None:
        self._path = folder / RESPONSES
        self._asked: list[Any] = [model, sampling.distribution, sampling.max_tokens, sampling.seed, sampling.dtype]
        if template_arguments:
            self._asked.append(dict(template_arguments))
        rows = evaluations.read_jsonl(self._path) if self._path.is_file() else []
        self._responses = {row["key"]: Response(*(row[name] for name in Response._fields)) for row in rows}
        # A last line that was cut off must not run into the next one.
        evaluations.write_jsonl(self._path, rows)

    def _key(self, question: Question, number: int) -> str:
        content = [*self._asked, question.prompt, question.budget_counts, number]
        return hashlib.blake2b(json.dumps(content, ensure_ascii=False).encode(), digest_size=16).hexdigest()

    def responses(self, question: Question, samples: int) -> list[Response]:
        """The responses that are there, from sample 0 on, up to the first that is not."""
        found = []
        for number in range(samples):
            response = self._responses.get(self._key(question, number))
            if response is None:
                break
            found.append(response)
        return found

    def add(self, question: Question, first: int, responses: list[Response]) -> None:
        """Keep responses, the first being the question's sample of that number."""
        rows = []
        for number, response in enumerate(responses, start=first):
            key = self._key(question, number)
            self._responses[key] = response
            rows.append({"key": key, **response._asdict()})
        evaluations.append_jsonl(self._path, rows)
