"""Scores responses with a judge, for `medu1 eval` and `medu1 score`; finds its settings, `scoring.judge` of a file."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from reward_score import compute_score
from reward_score.judge import Judge, JudgedScore, JudgeSettings, compute_judged_score
from reward_score.judge.failed_share import FailedShare, TooManyFailures
from reward_score.verdict import Score
from verl_medu1.checks.judge import settings_violations
from verl_medu1.data.credentialed import judge_violations
from verl_medu1.exit import raise_all

# The value of --judge that leaves the judge of the model's run out.
NONE = "none"
# Responses are judged in portions of this many, and a judge that gives no verdicts ends the command after one.
PORTION = 256
HOW_TO_GIVE = "give a YAML file with scoring.judge.base_url and .model, such as a run's config.yaml"


def read_judge(file: Path, data_sources: Iterable[str]) -> JudgeSettings | None:
    """Read the settings of a judge, and check that it can and may judge rows of these data sources.

    Args:
        file: YAML file with `scoring.judge`, such as a run's config.yaml.
        data_sources: registered data sources.

    Returns:
        The settings; None if the file has no `scoring.judge.base_url`.

    Raises:
        ValueError: the file can't be read; or one sentence for each wrong setting, for a required check that is not met
            and for credentialed rows that would leave the machine.
    """
    try:
        config = OmegaConf.load(file)
        found = OmegaConf.select(config, "scoring.judge") if OmegaConf.is_dict(config) else None
        values: Any = OmegaConf.to_container(found, resolve=True) if OmegaConf.is_dict(found) else {}
    except OSError as error:
        raise ValueError(f"{file} can't be read ({error.strerror}); {HOW_TO_GIVE}.") from None
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ValueError(f"{file} can't be read ({str(error).splitlines()[0]}); {HOW_TO_GIVE}.") from None
    if values.get("base_url") is None:
        return None
    violations = [*settings_violations(values), *judge_violations(str(values["base_url"]), data_sources)]
    raise_all(f"{file}: {violation}" for violation in violations)
    return JudgeSettings.read(values)


def judge_for(given: str | None, run: Path | None, data_sources: Iterable[str]) -> JudgeSettings | None:
    """Return the judge that `--judge` names, or else that of the model's run; None if there is none.

    Args:
        given: value of `--judge`: a file, "none", or None for the judge of the run.
        run: config.yaml of the run; None for a model outside of a run.
        data_sources: registered data sources.

    Raises:
        ValueError: as in `read_judge`, or the given file names no judge.
    """
    if given == NONE or (given is None and run is None):
        return None
    if given is not None:
        settings = read_judge(Path(given).expanduser(), data_sources)
        if settings is None:
            raise ValueError(f"--judge {given} has no scoring.judge.base_url; {HOW_TO_GIVE}.")
        return settings
    assert run is not None
    try:
        return read_judge(run, data_sources)
    except ValueError as error:
        raise ValueError(
            f"{error} Or choose another judge with --judge FILE, or rules alone with --judge {NONE}."
        ) from None


def describe(settings: JudgeSettings | None) -> dict[str, Any] | None:
    """Return what the verdicts of a judge depend on, as summary.json has it; None for rules alone."""
    if settings is None:
        return None
    return {
        "model": settings.model,
        "when": settings.when,
        "threshold": settings.threshold,
        "log_probs": settings.log_probs,
    }


def require_judge(infos: Iterable[object], what: str) -> None:
    """Refuse rows with a checklist where no judge is given, because rules can't score them.

    Raises:
        ValueError: a row's `extra_info` has a checklist.
    """
    from reward_score.checklist import read_checklist

    checklists = (read_checklist(info.get("checklist")) for info in infos if isinstance(info, Mapping))
    if not all(item.has_rule for checklist in checklists for item in checklist):
        raise ValueError(
            f"{what} has extra_info.checklist with items without a rule, which a judge decides; give --judge FILE."
        )


def score_all(calls: Sequence[Mapping[str, Any]], settings: JudgeSettings | None) -> Sequence[Score]:
    """Score responses, in order, with a judge or by rules alone.

    Args:
        calls: arguments of `reward_score.compute_score`, by name.
        settings: of the judge; None for rules alone.

    Returns:
        What `compute_score` returns, or with a judge `reward_score.judge.JudgedScore`: where `judge_failed` is 1.0, the
        response has no verdict.

    Raises:
        ValueError: the judge gave no verdict on more than `max_failed_share` of what it was asked about.
    """
    if settings is None:
        return [compute_score(**call) for call in calls]
    try:
        return asyncio.run(_judge_all(calls, settings))
    except TooManyFailures as error:
        raise ValueError(str(error)) from None


async def _judge_all(calls: Sequence[Mapping[str, Any]], settings: JudgeSettings) -> list[JudgedScore]:
    judge, latest = Judge(settings), FailedShare(settings.max_failed_share)
    scores: list[JudgedScore] = []
    try:
        for first in range(0, len(calls), PORTION):
            portion = calls[first : first + PORTION]
            scores += await asyncio.gather(*(compute_judged_score(judge, **call) for call in portion))
            latest.add(scores[first:])
    finally:
        await judge.close()
    # Over all of them, however few they are.
    FailedShare(settings.max_failed_share, least=1).add(scores)
    return scores
