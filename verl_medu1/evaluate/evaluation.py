"""The steps of `medu1 eval`, in order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from reward_score import answer_type
from reward_score.judge import JudgeSettings
from verl_medu1.environments.environment import make_environment
from verl_medu1.evaluate import endpoint, generation, models
from verl_medu1.evaluate.cache import ResponseCache
from verl_medu1.evaluate.episodes import NONE, episodes_for
from verl_medu1.evaluate.formats import FORMATS
from verl_medu1.evaluate.judging import describe, judge_for, require_judge, score_all
from verl_medu1.evaluate.questions import Question
from verl_medu1.evaluate.sampling import Request, Sampling, missing_requests
from verl_medu1.evaluate.scoring import Response, call_of, sample_of
from verl_medu1.evaluate.summary import summarize
from verl_medu1.models.chat_template import prompt_fault
from verl_medu1.run.foreign_output import foreign_output_to
from verl_medu1.run_folder import evaluations


@dataclass(frozen=True)
class Answerer:
    """The source of the responses: vLLM in this process, or an endpoint if `url` is given."""

    model: str
    url: str | None = None
    key_variable: str | None = None
    template_arguments: Mapping[str, Any] = field(default_factory=dict)
    # `episodes` of the model's run, whose responses have several turns.
    episodes: Mapping[str, Any] | None = None

    @property
    def identity(self) -> str:
        """An identifier of the model; for an endpoint only its address and the model's name are known."""
        return f"{self.url} {self.model}" if self.url else models.fingerprint(self.model)

    def describe(self) -> dict[str, Any]:
        """Return `path`, `architecture`, `parameters`; the last two are None if unknown."""
        if self.url:
            return {"path": f"{self.model} at {self.url}", "architecture": None, "parameters": None}
        return models.describe_model(self.model)

    def answer(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[Request, list[Response]]]:
        """Yield requests with their responses, as they complete."""
        if self.url:
            return endpoint.ask(self.url, self.model, self.key_variable, requests, sampling, self.template_arguments)
        return generation.generate(self.model, requests, sampling, self.template_arguments, self.episodes)


def prepare_answerer(
    model: str,
    url: str | None,
    key_variable: str | None,
    questions: Sequence[Question],
    template_arguments: Mapping[str, Any] | None = None,
    episodes: str | None = None,
) -> Answerer:
    """Check the model or the endpoint before anything is written or started.

    Args:
        model: as given on the command line.
        url: URL of an endpoint, or None.
        key_variable: environment variable with the endpoint's key.
        questions: the questions to ask.
        template_arguments: arguments of the chat template; None for those of the run that contains the model.
        episodes: value of `--episodes`.

    Raises:
        ValueError: there is no such model, its chat template or tokenizer would make right answers score as wrong, or
            the endpoint can't be used.
    """
    if url:
        if episodes not in (None, NONE):
            raise ValueError(f"--episodes {episodes} is for a model in this process; leave it or --endpoint out.")
        endpoint.check_endpoint(url, key_variable, questions)
        return Answerer(model, url, key_variable, template_arguments or {})
    folder = models.resolve_model(model)
    generation.set_environment(folder)
    tokenizer = generation.load_tokenizer(folder)
    models.check_weights(folder)
    arguments = models.arguments_of_the_run(folder) if template_arguments is None else template_arguments
    if fault := prompt_fault(tokenizer, arguments, questions[0].prompt):
        raise ValueError(f"--model {model}: {fault}")
    several = episodes_for(episodes, models.config_of_the_run(folder))
    if several and any(question.images for question in questions):
        raise ValueError("--data has images, which responses of several turns are not shown; give --episodes none.")
    if several:
        make_environment(several["environment"], several["settings"])
        if several["environment"] == "searcher" and any(question.asked_as in FORMATS for question in questions):
            raise ValueError(
                "--formats asks for answers in other formats, and with the environment searcher its reader answers; "
                "leave --formats out."
            )
    return Answerer(folder, template_arguments=arguments, episodes=several)


def judge_of(given: str | None, answerer: Answerer, questions: Sequence[Question], data: str) -> JudgeSettings | None:
    """Return the judge of an evaluation: that of `--judge`, or else of the model's run; None for rules alone.

    Without an open-ended question, the run's judge would never be asked, and is left out: it may be gone, and an
    evaluation without it can be compared.

    Args:
        given: value of `--judge`: a file, "none", or None.
        answerer: from `prepare_answerer`.
        questions: the questions to ask.
        data: their origin, for the sentence.

    Raises:
        ValueError: the judge can't or must not be used, or questions with a checklist have none.
    """
    data_sources = {question.data_source for question in questions}
    is_asked = any(answer_type(source) == "open_ended" for source in data_sources)
    run = None if answerer.url or not is_asked else models.config_of_the_run(answerer.model)
    settings = judge_for(given, run, data_sources)
    if settings is None:
        require_judge((question.extra_info for question in questions), f"--data {data}")
    return settings


def run_evaluation(
    answerer: Answerer,
    questions: Sequence[Question],
    out: Path,
    sampling: Sampling,
    data: str,
    judge: JudgeSettings | None = None,
) -> dict[str, Any]:
    """Generate missing responses, score, summarise and write everything.

    Args:
        answerer: from `prepare_answerer`.
        questions: the questions to ask.
        out: folder for responses.jsonl, samples.jsonl, summary.json and engine.log. Its responses to the same requests
            are reused, so that a stopped evaluation can continue.
        sampling: sampling settings.
        data: origin of the questions, for the summary.
        judge: from `judge_of`.

    Returns:
        The summary.

    Raises:
        ValueError: the folder can't be created, a prompt is too long, the endpoint fails, or the judge does too often.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out {out} can't be made ({error.strerror}); choose another folder.") from None
    identity = answerer.identity
    cache = ResponseCache(out, identity, sampling, answerer.template_arguments, answerer.episodes)
    have = [len(cache.responses(question, sampling.samples)) for question in questions]
    requests = missing_requests(questions, have, sampling.samples)
    with foreign_output_to(out / evaluations.ENGINE_LOG) as own, _progress(own) as progress:
        bar = progress.add_task("answers", total=len(questions) * sampling.samples, completed=sum(have))
        for request, responses in answerer.answer(requests, sampling) if requests else ():
            cache.add(request.question, request.first, responses)
            progress.advance(bar, len(responses))
    answers = [
        (question, response, number)
        for question in questions
        for number, response in enumerate(cache.responses(question, sampling.samples))
    ]
    scores = score_all([call_of(question, response) for question, response, _ in answers], judge)
    samples = [sample_of(*answer, score) for answer, score in zip(answers, scores, strict=True)]
    summary = {
        "model": {**answerer.describe(), "fingerprint": identity},
        "data": data,
        "sampling": asdict(sampling),
        "template_arguments": dict(answerer.template_arguments),
        "episodes": answerer.episodes,
        "judge": describe(judge),
        **summarize(samples),
    }
    evaluations.write_jsonl(out / evaluations.SAMPLES, samples)
    evaluations.write_json(out / evaluations.SUMMARY, summary)
    return summary


def _progress(stream: TextIO) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(file=stream))
