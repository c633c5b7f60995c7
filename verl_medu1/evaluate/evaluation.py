"""The steps of `medu1 eval`, in order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from verl_medu1.evaluate import endpoint, generation, models
from verl_medu1.evaluate.cache import ResponseCache
from verl_medu1.evaluate.questions import Question
from verl_medu1.evaluate.sampling import Request, Sampling, missing_requests
from verl_medu1.evaluate.scoring import Response, score_response
from verl_medu1.evaluate.summary import summarize
from verl_medu1.models.chat_template import prompt_fault
from verl_medu1.run.foreign_output import foreign_output_to
from verl_medu1.run_folder import evaluations

# What vLLM prints, in the folder of an evaluation.
LOG = "engine.log"


@dataclass(frozen=True)
class Answerer:
    """Who answers: vLLM in this process, or an endpoint if `url` is given; prompts have these template arguments."""

    model: str
    url: str | None = None
    key_variable: str | None = None
    template_arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What tells this answerer from others. Of an endpoint the address and the name are all that is known."""
        return f"{self.url} {self.model}" if self.url else models.fingerprint(self.model)

    def describe(self) -> dict[str, Any]:
        """`path`, `architecture`, `parameters`; the last two are None where they are not known."""
        if self.url:
            return {"path": f"{self.model} at {self.url}", "architecture": None, "parameters": None}
        return models.describe_model(self.model)

    def answer(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[Request, list[Response]]]:
        """Requests with their responses, as they come."""
        if self.url:
            return endpoint.ask(self.url, self.model, self.key_variable, requests, sampling, self.template_arguments)
        return generation.generate(self.model, requests, sampling, self.template_arguments)


def prepare_answerer(
    model: str,
    url: str | None,
    key_variable: str | None,
    questions: Sequence[Question],
    template_arguments: Mapping[str, Any] | None = None,
) -> Answerer:
    """Check who is to answer, before anything is written or started.

    Args:
        model: as given on the command line.
        url: of an endpoint, or None.
        key_variable: environment variable of the endpoint's key.
        questions: what is asked.
        template_arguments: of the chat template; None for those of the run that the model stands in.

    Raises:
        ValueError: there is no such model, no right answer to its prompts can be scored as one, or the endpoint
            can't be asked.
    """
    if url:
        endpoint.check_endpoint(url, key_variable, questions)
        return Answerer(model, url, key_variable, template_arguments or {})
    folder = models.resolve_model(model)
    generation.set_environment(folder)
    tokenizer = generation.load_tokenizer(folder)
    models.check_weights(folder)
    arguments = models.arguments_of_the_run(folder) if template_arguments is None else template_arguments
    if fault := prompt_fault(tokenizer, arguments, questions[0].prompt):
        raise ValueError(f"--model {model}: {fault}")
    return Answerer(folder, template_arguments=arguments)


def run_evaluation(
    answerer: Answerer, questions: Sequence[Question], out: Path, sampling: Sampling, data: str
) -> dict[str, Any]:
    """Generate what is not there yet, score, summarise and store.

    Args:
        answerer: of `prepare_answerer`.
        questions: what is asked.
        out: folder for responses.jsonl, samples.jsonl, summary.json and engine.log. Responses in it that answer the
            same request are used again, so that an evaluation that was stopped goes on.
        sampling: how.
        data: where the questions are from, for the summary.

    Returns:
        The summary.

    Raises:
        ValueError: the folder can't be made, a prompt is too long, or the endpoint fails.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out {out} can't be made ({error.strerror}); choose another folder.") from None
    cache = ResponseCache(out, answerer.identity, sampling, answerer.template_arguments)
    have = [len(cache.responses(question, sampling.samples)) for question in questions]
    requests = missing_requests(questions, have, sampling.samples)
    with foreign_output_to(out / LOG) as own, _progress(own) as progress:
        bar = progress.add_task("answers", total=len(questions) * sampling.samples, completed=sum(have))
        for request, responses in answerer.answer(requests, sampling) if requests else ():
            cache.add(request.question, request.first, responses)
            progress.advance(bar, len(responses))
    samples = [
        score_response(question, response, number)
        for question in questions
        for number, response in enumerate(cache.responses(question, sampling.samples))
    ]
    summary = {
        "model": answerer.describe(),
        "data": data,
        "sampling": asdict(sampling),
        "template_arguments": dict(answerer.template_arguments),
        **summarize(samples),
    }
    evaluations.write_jsonl(out / evaluations.SAMPLES, samples)
    evaluations.write_json(out / evaluations.SUMMARY, summary)
    return summary


def _progress(stream: TextIO) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(file=stream))
