"""What the report says of a run's alarms."""

from verl_medu1.report.alarms import ALARMS, alarm_sentences


def test_each_alarm_that_went_off_has_its_sentence() -> None:
    went_off = {alarm: {1: 0.0, 2: 1.0} for alarm in ALARMS}
    assert [sentence.split(", the")[0] for sentence in alarm_sentences(went_off)] == ["In 1 of 2 steps"] * len(ALARMS)
    for alarm, meaning in ALARMS.items():
        assert alarm_sentences({alarm: {3: 1.0}}) == [f"In 1 of 1 steps, the first of them 3, {meaning}."]


def test_nothing_is_said_without_an_alarm() -> None:
    assert alarm_sentences({}) == []
    assert alarm_sentences({alarm: {1: 0.0, 2: 0.0} for alarm in ALARMS}) == []
