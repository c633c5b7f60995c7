"""What the report says of the steps in which an alarm went off."""

from collections.abc import Mapping

from verl_medu1.run_folder.reader import Series
from verl_medu1.training import mismatch, reward_spread

ALARMS = {
    mismatch.ALARM: "the probabilities of rollout and trainer differed by more than rollout_mismatch allows "
    f"({', '.join(mismatch.MEASURES)})",
    reward_spread.ALARM: "the rewards of a data source's groups deviated by less than scoring.min_spread "
    "(reward/SOURCE/score/spread), so that their differences may be noise",
}


def alarm_sentences(scalars: Mapping[str, Series]) -> list[str]:
    """Say for each alarm in which steps it went off; nothing for one that never did.

    Args:
        scalars: the run's metrics; an alarm is 1 in a step in which it went off, and 0 in others.

    Example:
        >>> alarm_sentences({reward_spread.ALARM: {1: 0.0, 2: 1.0, 3: 1.0}})
        ["In 2 of 3 steps, the first of them 2, the rewards of a data source's groups deviated by less than \
scoring.min_spread (reward/SOURCE/score/spread), so that their differences may be noise."]
    """
    sentences = []
    for alarm, meaning in ALARMS.items():
        values = scalars.get(alarm, {})
        if steps := [step for step, value in values.items() if value]:
            sentences.append(f"In {len(steps)} of {len(values)} steps, the first of them {min(steps)}, {meaning}.")
    return sentences
