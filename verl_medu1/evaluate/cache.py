"""Cache of responses: one line per response, with a key made from the model and the request."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verl_medu1.evaluate.questions import Question
from verl_medu1.evaluate.sampling import Sampling
from verl_medu1.evaluate.scoring import Response
from verl_medu1.run_folder import evaluations


class ResponseCache:
    """`responses.jsonl` of an evaluation: appended to while it runs, so that a stopped evaluation can continue.

    A response's key is a digest of the model's identity, the messages and their images, the template arguments, the
    sampling settings, what the budget counts, and the sample's number. Scores are not cached: they are recomputed from
    the responses.

    Args:
        folder: the evaluation's folder.
        model: identity of the model (`verl_medu1.evaluate.models.fingerprint`).
        sampling: sampling settings.
        template_arguments: arguments of the chat template.
        episodes: settings of responses of several turns.
    """

    def __init__(
        self,
        folder: Path,
        model: str,
        sampling: Sampling,
        template_arguments: Mapping[str, Any] | None = None,
        episodes: Mapping[str, Any] | None = None,
    ) -> None:
        self._path = folder / evaluations.RESPONSES
        self._asked: list[Any] = [model, sampling.distribution, sampling.max_tokens, sampling.seed, sampling.dtype]
        if template_arguments:
            self._asked.append(dict(template_arguments))
        if episodes:
            self._asked.append({"episodes": dict(episodes)})
        rows = evaluations.read_jsonl(self._path) if self._path.is_file() else []
        self._responses = {row["key"]: Response(*(row[name] for name in Response._fields)) for row in rows}
        # Rewrite the file: a truncated last line must not run into the next one.
        evaluations.write_jsonl(self._path, rows)

    def _key(self, question: Question, number: int) -> str:
        content = [*self._asked, question.prompt, question.budget_counts, number]
        if question.images:
            content.append([hashlib.blake2b(image).hexdigest() for image in question.images])
        return hashlib.blake2b(json.dumps(content, ensure_ascii=False).encode(), digest_size=16).hexdigest()

    def responses(self, question: Question, samples: int) -> list[Response]:
        """Return the cached responses from sample 0 up to the first that is missing."""
        found = []
        for number in range(samples):
            response = self._responses.get(self._key(question, number))
            if response is None:
                break
            found.append(response)
        return found

    def add(self, question: Question, first: int, responses: list[Response]) -> None:
        """Store responses, the first of which is the question's sample number `first`."""
        rows = []
        for number, response in enumerate(responses, start=first):
            key = self._key(question, number)
            self._responses[key] = response
            rows.append({"key": key, **response._asdict()})
        evaluations.append_jsonl(self._path, rows)
