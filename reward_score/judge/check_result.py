"""The result file of `medu1 judge check`: how well a judge does on labelled answers, and what it costs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from reward_score.judge.reply import fingerprint
from reward_score.judge.settings import JudgeSettings


class Share(BaseModel):
    """A share of `number` answers with its 95 % Wilson interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    low: float
    high: float
    number: int


class Decider(BaseModel):
    """How often one who decides errs: the rules, the judge alone, or both together. A share of no answers is None.

    Attributes:
        accuracy: Answers decided as labelled.
        right_refused: Right answers called wrong.
        wrong_accepted: Wrong answers called right.
        adversarial_accepted: The same of the adversarial ones among them, with those that try to instruct the judge.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    accuracy: Share | None
    right_refused: Share | None
    wrong_accepted: Share | None
    adversarial_accepted: Share | None


class Cost(BaseModel):
    """What the check has cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    questions: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float


class CheckResult(BaseModel):
    """The result of a check.

    Attributes:
        model: The judge's name at its endpoint.
        threshold: Above which probability of "yes" it accepted.
        log_probs: Whether it was asked for log-probs.
        asked: Fingerprint of instructions and schema.
        date: When the check ended.
        data: Name of the file of labelled answers.
        rules, judge, together: Their errors.
        agreement: Answers on which rules and judge agree.
        failures: Questions without a verdict, by kind; they are in no share.
        cost: Requests, tokens, seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    threshold: float
    log_probs: bool
    asked: str
    date: str
    data: str
    rules: Decider
    judge: Decider
    together: Decider
    agreement: Share | None
    failures: dict[str, int]
    cost: Cost

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a result file.

        Raises:
            ValueError: There is no such file, or it is something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ValueError(f"{str(path)!r} can't be read ({error.strerror})") from None
        except ValidationError:
            raise ValueError(f"{str(path)!r} is not a result of `medu1 judge check`") from None


def check_violations(settings: JudgeSettings) -> Iterator[str]:
    """Yield one sentence for each way in which `settings.required_check` is not met, each beginning with its key."""
    needed = settings.required_check
    if needed.file is None:
        return
    try:
        result = CheckResult.load(Path(needed.file).expanduser())
    except ValueError as error:
        yield f"required_check.file: {error}; run `medu1 judge check`, or set it to null"
        return
    again = "run `medu1 judge check` again with the settings of the run"
    measured = (result.model, result.threshold, result.log_probs)
    used = (settings.model, settings.threshold, settings.log_probs)
    if measured != used:
        yield (
            f"required_check.file is {needed.file!r}, made with model, threshold and log_probs {measured}, and the "
            f"run has {used}; {again}"
        )
    if result.asked != fingerprint():
        yield f"required_check.file is {needed.file!r}, made when the judge was asked in other words; {again}"
    # Together, rules decide equal answers. With "always" the judge does, and what it errs on alone counts.
    decider = result.judge if settings.when == "always" else result.together
    accuracy, accepted = decider.accuracy, decider.adversarial_accepted
    if accuracy is None or accuracy.low < needed.min_accuracy:
        found = "has no accuracy" if accuracy is None else f"has an accuracy of at least {accuracy.low:.3f}"
        yield (
            f"required_check.min_accuracy is {needed.min_accuracy:g}, and {needed.file!r} {found}; take a better "
            "judge or more labelled answers, or lower it"
        )
    if accepted is None or accepted.high > needed.max_false_positives:
        found = "has no adversarial answers" if accepted is None else f"has a share of up to {accepted.high:.3f}"
        yield (
            f"required_check.max_false_positives is {needed.max_false_positives:g}, and {needed.file!r} {found}; take "
            "a better judge or more labelled answers, or raise it"
        )
