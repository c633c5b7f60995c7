"""The settings of a judge, `scoring.judge` in a recipe; each mistake is one sentence."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from reward_score.chat.settings import ChatSettings


class RequiredCheck(BaseModel):
    """What `medu1 judge check` must have measured before a training may start; see `reward_score.judge.check_result`.

    Attributes:
        file: Result file of the check; None requires nothing.
        min_accuracy: Least accuracy of rules and judge together.
        max_false_positives: Largest share of adversarial answers accepted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str | None = Field(default=None, description="the file that `medu1 judge check` wrote, or null")
    min_accuracy: float = Field(default=0.9, ge=0, le=1, description="a number from 0 to 1")
    max_false_positives: float = Field(default=0.05, ge=0, le=1, description="a number from 0 to 1")


class JudgeSettings(ChatSettings):
    """The endpoint of a judge, and how it is asked.

    Attributes:
        when: Which answers it is asked about: "undecided", those that rules can't decide; "always", also those that
            equal the reference.
        log_probs: Whether to ask for the log-probs of the verdict; some servers refuse them.
        threshold: The answer is right if the probability of "yes" is above this; without log-probs the word decides.
        max_failed_share: A run ends if more than this share of its latest questions got no verdict.
        required_check: What must have been measured before a training may start.

    Example:
        >>> JudgeSettings.read({"base_url": "http://127.0.0.1:8000/v1", "model": "judge", "threshold": 1})
        Traceback (most recent call last):
        ...
        ValueError: threshold is 1; give a number between 0 and 1
    """

    when: Literal["undecided", "always"] = Field(default="undecided", description="undecided or always")
    log_probs: bool = Field(default=True, description="true or false")
    threshold: float = Field(default=0.5, gt=0, lt=1, description="a number between 0 and 1")
    max_failed_share: float = Field(default=0.05, ge=0, le=1, description="a number from 0 to 1")
    required_check: RequiredCheck = Field(default=RequiredCheck(), description="file and, optionally, its limits")
