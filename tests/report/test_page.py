"""The report of a generated run folder: complete, partial, strange and hostile ones."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.report.excerpts import cut, explain, outcomes, show, spread
from verl_medu1.report.page import model_sentence, run_names, write_report
from verl_medu1.run_folder.reader import read_run
from verl_medu1.training.mismatch import ALARM

HOSTILE = '</div></style></title><script>alert("pwned")</script><img src=x onerror=alert(1)> {{ 7*7 }} $x_{$'


class _Page(HTMLParser):
    """Tags, and the text that a reader sees."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page(tmp_path: Path) -> Callable[..., _Page]:
    def page(*runs: Path) -> _Page:
        write_report(runs, tmp_path / "out" / "report.html")
        return _Page(tmp_path / "out" / "report.html")

    return page


def test_a_whole_run_is_shown_with_nothing_missing(make_run: Callable, page: Callable) -> None:
    found = page(make_run(steps=16))
    assert "Missing" not in found.text
    assert "Research only; not medical advice." in found.text
    assert "Qwen2ForCausalLM, 2.5 million parameters" in found.text
    assert "nothing about medicine" in found.text
    for kind in ("calculation", "multiple_choice", "open_ended", "overall"):
        assert kind in found.text
    assert {"demo_calc", "demo_choice", "demo_open"} <= set(re.findall(r"demo_\w+", found.text))
    # 6 components and 4 figures of the advantage hook per source, 5 overall, the time of a step, accuracy.
    assert sum(tag == "img" for tag, _ in found.tags) == 17
    assert "step 16" in found.text
    assert "Read as “12.5”: right." in found.text


def test_steps_with_an_alarm_are_named(make_run: Callable, page: Callable) -> None:
    from torch.utils.tensorboard import SummaryWriter

    run = make_run(steps=3)
    assert "rollout_mismatch" not in page(run).text
    with SummaryWriter(str(run / "tensorboard")) as writer:
        for step, value in ((1, 0.0), (2, 1.0), (3, 1.0)):
            writer.add_scalar(ALARM, value, step)
    assert "In 2 of 3 steps, the first of them 2, the probabilities of rollout and trainer" in page(run).text


def test_each_figure_is_a_png_too(tmp_path: Path, make_run: Callable, page: Callable) -> None:
    folder = tmp_path / "out" / "report-figures"
    folder.mkdir(parents=True)
    for name in ("03-of-an-earlier-report.png", "103-of-a-long-one.png", "mine.txt"):
        (folder / name).write_text("")
    found = page(make_run())
    assert (folder / "mine.txt").is_file()
    files = sorted(folder.glob("*.png"))
    assert len(files) == sum(tag == "img" for tag, _ in found.tags)
    assert all(file.suffix == ".png" and file.read_bytes().startswith(b"\x89PNG") for file in files)
    assert {"02-accuracy-over-the-steps.png", "17-accuracy-per-answer-type-before-and-after.png"} <= {
        f.name for f in files
    }


def test_several_runs_are_laid_over_each_other(make_run: Callable, page: Callable) -> None:
    runs = [make_run(name="long", steps=6), make_run(name="short", steps=2)]
    found = page(*runs)
    assert "2 training runs" in found.text
    for name, step in (("long", 6), ("short", 2)):
        assert f"{name}: step {step}." in found.text
        assert f"Before and after, on held-out questions: {name}" in found.text
        assert f"Samples across steps: {name}" in found.text
    # Per measure and source one figure with both runs, 5 overall, and per run the time of a step and the accuracy.
    assert sum(tag == "img" for tag, _ in found.tags) == 10 * 3 + 5 + 2 * 2
    assert {"long", "short"} <= set(found.text.split())


def test_runs_are_named_by_what_tells_them_apart(tmp_path: Path) -> None:
    assert run_names([tmp_path / "a" / "run", tmp_path / "b" / "run"]) == ["a/run", "b/run"]
    assert run_names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    with pytest.raises(ValueError, match=r"RUN .*/b is given twice"):
        run_names([tmp_path / "a", tmp_path / "b", tmp_path / "b"])


@pytest.mark.parametrize(("steps", "says"), [(1, False), (2, True)])
def test_one_step_is_compared_with_no_other(make_run: Callable, page: Callable, steps: int, says: bool) -> None:
    assert ("not the same question at each step" in page(make_run(steps=steps)).text) == says


def test_validation_shows_the_same_question_at_each_step(make_run: Callable, page: Callable) -> None:
    run = make_run(steps=1)
    (run / "validation").mkdir()
    for step in (5, 10, 15):
        row = {"input": "Which?", "output": f"<think>x</think><answer>{step}</answer>", "gts": "15", "pred": str(step),
               "acc": float(step == 15), "format": 1.0, "score": 0.0, "data_source": "held-out"}  # fmt: skip
        (run / "validation" / f"{step}.jsonl").write_text("".join(
            json.dumps(row | {"input": text}) + "\n" for text in (f"only at {step}", "Which?")))  # fmt: skip
    found = page(run)
    assert "the same question at each step" in found.text
    assert "held-out questions (validation)" in found.text
    assert "only at" not in found.text
    assert [found.text.count(f"Read as “{step}”") for step in (5, 10, 15)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        ({"acc": 1.0, "pred": "B", "reason": "option letter"}, "Read as “B”: right (option letter)."),
        ({"acc": 0.0, "pred": "B"}, "Read as “B”: wrong."),
        ({"acc": 0.0, "pred": "", "reason": "no answer"}, "No answer was read: no answer."),
        ({"acc": 0.0, "error": 1.0, "pred": "", "reason": "no gold"}, "The scorer could not judge this: no gold."),
        (
            {"acc": 1.0, "format": 0.0, "score": 0.0, "pred": "B", "reason": "x"},
            "Read as “B”: right (x). The format was not kept: the reward is 0.",
        ),
        ({"acc": 0.0, "pred": "x" * 900, "reason": ""}, f"Read as “{'x' * 200} … (700 more characters)”: wrong."),
    ],
)
def test_the_verdict_is_explained(sample: dict, sentence: str) -> None:
    assert explain(sample) == sentence


def test_a_hostile_response_of_a_megabyte_is_shown_as_text(make_run: Callable, page: Callable) -> None:
    found = page(make_run(steps=2, text=HOSTILE + "<b>" * 350_000))
    assert "<script" not in found.source
    assert "<b>x" not in found.source
    assert '<script>alert("pwned")</script>' in found.text
    assert len(found.source) < 2_000_000


def test_a_hundred_thousand_samples_give_a_page_that_opens(
    tmp_path: Path, make_run: Callable, page: Callable, sample: Callable
) -> None:
    run = make_run(steps=2)
    row = (run / "rollouts" / "1.jsonl").read_text().splitlines()[0] + "\n"
    (run / "rollouts" / "3.jsonl").write_text(row * 100_000)
    for name in ("before", "after"):
        line = json.dumps(sample("ROW")) + "\n"
        lines = [line.replace('"ROW"', f'"{number}"') for number in range(10_000)]
        (run / "eval" / name / "samples.jsonl").write_text("".join(lines))
    found = page(run)
    assert "step 3" in found.text
    assert "right → right: 10000" in found.text
    assert len(found.source) < 1_500_000


def test_the_page_needs_no_network_and_no_script(make_run: Callable, page: Callable) -> None:
    found = page(make_run())
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in found.tags}
    for _, attributes in found.tags:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/svg+xml;base64,"))
        assert not [name for name in attributes if name.startswith("on")]
    assert "default-src 'none'" in found.source


def test_hostile_responses_are_shown_as_text(make_run: Callable, page: Callable) -> None:
    found = page(make_run(text=HOSTILE))
    assert "<script" not in found.source
    assert not [tag for tag, attributes in found.tags if "onerror" in attributes]
    assert '<script>alert("pwned")</script><img src=x onerror=alert(1)> {{ 7*7 }}' in found.text


def test_hostile_names_of_sources_are_shown_as_text(
    tmp_path: Path, sample: Callable, write_evaluation: Callable, page: Callable
) -> None:
    samples = [sample("<b>id</b>", data_source=HOSTILE, answer_type=HOSTILE)]
    write_evaluation(tmp_path / "run" / "eval" / "before", samples)
    write_evaluation(tmp_path / "run" / "eval" / "after", samples)
    found = page(tmp_path / "run")
    assert "<script" not in found.source
    assert '<script>alert("pwned")</script>' in found.text


MISSING = {
    "tensorboard": "tensorboard/ has no scalars",
    "rollouts": "rollouts/ has no step",
    "eval/before": "eval/before has no evaluation",
    "eval/after": "eval/after has no evaluation",
    "config.yaml": "config.yaml is not there",
}
SECTIONS = {
    "tensorboard": "Curves over the training steps",
    "rollouts": "Samples across steps",
    "eval": "Before and after, on held-out questions",
    "eval/both": "The same held-out question before and after",
    "config.yaml": "answers per question",
}


@pytest.mark.parametrize("part", MISSING)
def test_a_missing_part_is_named(make_run: Callable, part: str) -> None:
    run = make_run(steps=1)
    (run / part).rename(run.parent / "elsewhere")
    (sentence,) = read_run(run).missing
    assert sentence.startswith(MISSING[part])


@pytest.mark.parametrize(
    ("kept", "sections"),
    [
        (["tensorboard", "config.yaml"], ["tensorboard", "config.yaml"]),
        (["rollouts"], ["rollouts"]),
        (["eval"], ["eval", "eval/both"]),
        (["eval/after"], ["eval"]),
        (["config.yaml"], ["config.yaml"]),
    ],
)
def test_what_is_there_is_shown_and_the_rest_named(
    make_run: Callable, page: Callable, kept: list[str], sections: list[str]
) -> None:
    whole = make_run(steps=1)
    run = whole.with_name("partial")
    for part in kept:
        (run / part).parent.mkdir(parents=True, exist_ok=True)
        (whole / part).rename(run / part)
    found = page(run)
    assert [name for name, heading in SECTIONS.items() if heading in found.text] == [
        name for name in SECTIONS if name in sections
    ]
    named = {part for part, sentence in MISSING.items() if f"Missing: {sentence}" in found.text}
    assert named == {part for part in MISSING if not any(part.startswith(name) for name in kept)}


def test_a_running_job_is_shown_as_far_as_it_is(make_run: Callable, page: Callable) -> None:
    run = make_run(steps=2)
    (run / "eval" / "after" / "summary.json").unlink()
    (run / "rollouts" / "3.jsonl").write_text('{"input": "q", "output": "a", "gts": "b"}\n{"input": "half')
    events = next((run / "tensorboard").iterdir())
    events.write_bytes(events.read_bytes()[:-7])
    (run / "progress.json").write_text('{"step": 3, "phase": "rollout", "time": 1750000000.0}')
    found = page(run)
    assert "step 3, rollout, 2025-06-15" in found.text
    assert "at 3 of 3 steps" in found.text


def test_one_step_and_not_a_number_are_drawn(make_run: Callable, page: Callable) -> None:
    found = page(make_run(steps=1, gradient_norm=float("nan")))
    assert sum(tag == "img" for tag, _ in found.tags) == 17


def test_only_some_of_many_and_long_samples_are_shown(make_run: Callable, page: Callable) -> None:
    found = page(make_run(steps=20, questions=300, text="x" * 9_000))
    assert "at 4 of 20 steps" in found.text
    assert "more characters" in found.text
    assert len(found.source) < 1_500_000


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_of_no_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=rf"RUN_DIR .*{name} .*give the run_dir of a training"):
        write_report([tmp_path / name], tmp_path / "report.html")


def test_a_page_that_cannot_be_written_is_one_sentence(make_run: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--out .* can't be written"):
        write_report([make_run()], tmp_path / "file" / "report.html")


def test_a_resumed_run_has_each_step_once(make_run: Callable) -> None:
    run = make_run(steps=2)
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run / "tensorboard"), filename_suffix=".resumed") as writer:
        writer.add_scalar("critic/score/mean", 0.125, 2)
        writer.add_scalar("critic/score/mean", 0.25, 3)
    series = read_run(run).scalars["critic/score/mean"]
    assert list(series) == [1, 2, 3]
    assert (series[2], series[3]) == (0.125, 0.25)


@pytest.mark.parametrize(
    ("parameters", "expected", "not_expected"),
    [
        (2_457_856, "2.5 million parameters). A model this small shows", "If it is"),
        (None, "number of parameters unknown). If it is a small model", "this small"),
        (7_600_000_000, "7,600.0 million parameters).", "small"),
    ],
)
def test_what_a_model_of_this_size_allows_to_say(parameters: int | None, expected: str, not_expected: str) -> None:
    sentence = model_sentence({"path": "m", "architecture": "Qwen2ForCausalLM", "parameters": parameters})
    assert expected in sentence
    assert not_expected not in sentence


def test_outcomes_count_questions_and_show_the_first_of_each_kind(sample: Callable) -> None:
    before = [sample("a", right=False), sample("b", right=False), sample("c", right=True), sample("only before")]
    after = [sample("a", right=True), sample("b", right=True), sample("c", right=False), sample("only after")]
    (kind,) = outcomes(before, after)
    assert kind.answer_type == "calculation"
    assert kind.counts == {"wrong → right": 2, "right → wrong": 1, "right → right": 0, "wrong → wrong": 0}
    assert list(kind.first) == ["wrong → right", "right → wrong"]
    assert "Question a" in kind.first["wrong → right"].question
    assert not kind.first["wrong → right"].before.right
    assert kind.first["wrong → right"].after.right


def test_outcomes_leave_other_answer_formats_out(sample: Callable) -> None:
    before = [sample("a", right=False), sample("a", right=True, asked_as="ranked_list")]
    after = [sample("a", right=True), sample("a", right=False, asked_as="ranked_list")]
    (kind,) = outcomes(before, after)
    assert kind.counts == {"wrong → right": 1, "right → wrong": 0, "right → right": 0, "wrong → wrong": 0}


def test_a_response_out_of_format_is_shown_whole_with_its_problem() -> None:
    shown = show({"acc": 0.0}, "I think <answer>B")
    assert shown.answer == "I think <answer>B"
    assert shown.problem
    kept = show({"acc": 1.0, "length": 12.0, "reason": "same letter"}, "<think>Because.</think><answer>B</answer>")
    assert (kept.reasoning, kept.answer, kept.problem) == ("Because.", "B", "")
    assert kept.facts == [("tokens", "12")]


def test_an_episode_is_shown_turn_by_turn() -> None:
    said = [
        ("assistant", "<think>a</think>?"),
        ("user", "<answer>C</answer>"),
        ("assistant", "<think>b</think><answer>B</answer>"),
    ]
    shown = show({"acc": 1.0, "pred": "B", "dialogue": json.dumps(said)}, "all of it, decoded as one text")
    assert (shown.reasoning, shown.answer, shown.problem) == ("b", "B", "")
    assert shown.turns == [("model", "<think>a</think>?"), ("environment", "<answer>C</answer>")]
    assert show({"acc": 1.0, "pred": "B", "dialogue": ""}, "<think>b</think><answer>B</answer>").turns == []


@given(st.text(), st.integers(1, 50))
def test_cut_text_is_a_beginning_and_says_what_it_leaves_out(text: str, limit: int) -> None:
    shown = cut(text, limit)
    assert shown.startswith(text[:limit])
    assert (shown == text) == (len(text) <= limit)
    if len(text) > limit:
        assert shown.endswith(f"({len(text) - limit:,} more characters)")


@given(st.lists(st.integers(), min_size=1, unique=True).map(sorted), st.integers(2, 9))
def test_spread_keeps_order_first_and_last(steps: list[int], number: int) -> None:
    chosen = spread(steps, number)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(number, len(steps))
    assert (chosen[0], chosen[-1]) == (steps[0], steps[-1])


def test_answers_without_a_verdict_are_counted_and_different_judges_are_not_compared(
    make_run: Callable, page: Callable, sample: Callable
) -> None:
    run = make_run()
    assert "Left out" not in page(run).text and "left out" not in page(run).text
    file = run / "eval" / "after" / "summary.json"
    summary = json.loads(file.read_text())
    summary["overall"]["left_out"] = 7
    summary["judge"] = {"model": "m", "threshold": 0.5, "log_probs": True}
    file.write_text(json.dumps(summary))
    found = page(run).text
    assert "in the evaluation after training, left out: 7 answers without a verdict of the judge" in found
    assert "not compared: One was judged by rules alone, and the other by m, threshold 0.5" in found
    # Neither a change of accuracy nor how questions moved.
    assert "wrong → right" in page(make_run(name="same")).text and "wrong → right" not in found
    before = [sample("a"), sample("b", judge_failed=1.0)]
    assert [sum(one.counts.values()) for one in outcomes(before, [sample("a"), sample("b")])] == [1]
