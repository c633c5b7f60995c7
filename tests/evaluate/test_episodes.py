"""Responses of several turns in an evaluation: who takes a turn when, with which seed, and what is kept of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.rollout.test_episode import ANSWER, ASK, Notes, Reading
from verl_medu1.environments import environment
from verl_medu1.evaluate.cache import ResponseCache
from verl_medu1.evaluate.episodes import Several, episodes_for
from verl_medu1.evaluate.evaluation import prepare_answerer
from verl_medu1.evaluate.generation import load_tokenizer
from verl_medu1.evaluate.questions import Question
from verl_medu1.evaluate.sampling import Request, Sampling
from verl_medu1.evaluate.scoring import Response, call_of, sample_of

SAMPLING = Sampling(2, 1.0, 120, 0, 8, "auto", 1)
EPISODES = {
    "environment": "notes",
    "settings": {},
    "max_turns": 3,
    "max_turn_tokens": 60,
    "max_observation_tokens": 20,
    "max_failed_share": 0.05,
}


class Script:
    """An engine that says what the first unheard of its scripts has for a prompt of so many turns."""

    def __init__(self, tokenizer: Any, turns: Mapping[str, Sequence[str]]) -> None:
        self.tokenizer, self.turns, self.rounds = tokenizer, turns, []

    def generate(self, inputs: Sequence[Any], parameters: Sequence[Any], use_tqdm: bool) -> list[Any]:
        self.rounds.append([parameter.seed for parameter in parameters])
        return [self._output(prompt["prompt_token_ids"]) for prompt in inputs]

    def _output(self, prompt: list[int]) -> Any:
        text = self.tokenizer.decode(prompt)
        said = text.count("<|im_start|>assistant") - 1
        (script,) = [turns for name, turns in self.turns.items() if name in text]
        ids = [*self.tokenizer.encode(script[said]), self.tokenizer.eos_token_id]
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=ids)])


@pytest.fixture
def sampled(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(environment, "added", lambda group: {"notes": Notes})
    monkeypatch.setattr(environment, "load", lambda found: found)
    environment._made.cache_clear()

    def sampled(turns: Mapping[str, Sequence[str]], first: int = 0) -> tuple[list[tuple[Request, list[Response]]], Any]:
        tokenizer = load_tokenizer(str(inputs / "model"))
        several = Several(EPISODES, SAMPLING, tokenizer, str(inputs / "model"), {})
        requests = [Request(question(name), first, 2 - first) for name in turns]
        prompts = [
            tokenizer.apply_chat_template(request.question.prompt, add_generation_prompt=True, return_dict=False)
            for request in requests
        ]
        engine = Script(tokenizer, turns)
        return several.responses(engine, list(zip(requests, prompts, strict=True))), engine

    return sampled


def question(name: str) -> Question:
    info = {"note": "The dose is 5 mg.", "budget_mode": "none", "budget_tokens": 0}
    return Question(name, "MedQA", [{"role": "user", "content": f"Question {name}?"}], "B", info)


def test_episodes_take_turns_until_each_has_ended(sampled: Callable[..., Any]) -> None:
    found, engine = sampled({"one": [ANSWER], "two": [ASK, ANSWER], "six": [ASK, ASK, ASK]})
    assert [len(seeds) for seeds in engine.rounds] == [6, 4, 2]
    seeds = [seed for seeds in engine.rounds for seed in seeds]
    assert len(set(seeds)) == len(seeds)
    texts = {request.question.row_id: [response.text for response in responses] for request, responses in found}
    assert texts == {"one": [ANSWER] * 2, "two": [ANSWER] * 2, "six": [ASK] * 2}
    ended = {request.question.row_id: responses[0].episode["ended"] for request, responses in found}
    assert ended == {"one": "answered", "two": "answered", "six": "turns"}


def test_a_sample_has_the_same_seeds_whatever_else_is_asked(sampled: Callable[..., Any]) -> None:
    _, both = sampled({"two": [ASK, ANSWER]})
    _, last = sampled({"two": [ASK, ANSWER]}, first=1)
    assert [seeds[1:] for seeds in both.rounds] == last.rounds


def test_too_many_calls_that_fail_end_it(sampled: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    turns = {f"{number:02}": [ASK, ANSWER] for number in range(11)}
    assert len(sampled(turns)[0]) == 11
    monkeypatch.setattr(Reading, "failed", property(lambda self: self.calls, lambda self, value: None), raising=False)
    with pytest.raises(ValueError, match=r"the environment failed in 22 of its latest 22 calls"):
        sampled(turns)


def test_what_is_kept_is_scored_again_as_it_was(sampled: Callable[..., Any], tmp_path: Path) -> None:
    ((request, (response, _)),), _ = sampled({"two": [ASK, ANSWER]})
    cache = ResponseCache(tmp_path, "model", SAMPLING, None, EPISODES)
    cache.add(request.question, 0, [response])
    assert ResponseCache(tmp_path, "model", SAMPLING, None, EPISODES).responses(request.question, 1) == [response]
    assert not ResponseCache(tmp_path, "model", SAMPLING, None, EPISODES | {"max_turns": 2}).responses(
        request.question, 1
    )
    assert call_of(request.question, response)["extra_info"]["facts"] == {"heard": [ASK, ANSWER]}
    sample = sample_of(request.question, response, 0, {"score": 1.0, "acc": 1.0})  # type: ignore[typeddict-item]
    assert (sample["response"], sample["turns"], sample["calls"]) == (ANSWER, 2.0, 1.0)
    assert sample["length"] < sum(map(len, [ASK, ANSWER]))


LOOP = "actor_rollout_ref: {rollout: {agent: {default_agent_loop: LOOP}}}\n"
LIMITS = "max_turns: 3, max_turn_tokens: 6, max_observation_tokens: 2, max_failed_share: 0.05"
SET = f"episodes: {{environment: notes, settings: {{}}, {LIMITS}}}\n"


@pytest.mark.parametrize(
    ("text", "as_run", "found"),
    [
        (LOOP.replace("LOOP", "medu1_episode") + SET, True, "notes"),
        (LOOP.replace("LOOP", "medu1_seeded") + SET, True, None),
        (SET, False, "notes"),
    ],
)
def test_the_run_of_a_model_or_a_file_says_whom_it_talks_to(
    tmp_path: Path, text: str, as_run: bool, found: str | None
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    episodes = episodes_for(None, file) if as_run else episodes_for(str(file), None)
    assert (episodes and episodes["environment"]) == found
    assert episodes_for("none", file) is None and episodes_for(None, None) is None


def test_a_file_without_episodes_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("episodes: {environment: notes}")
    with pytest.raises(ValueError, match=r"has no episodes.settings; give a YAML file"):
        episodes_for(str(file), None)


def test_other_formats_are_not_for_a_reader(inputs: Path, tmp_path: Path) -> None:
    settings = "{address: 'http://127.0.0.1:1/', reader: rules}"
    file = tmp_path / "config.yaml"
    file.write_text(f"episodes: {{environment: searcher, settings: {settings}, {LIMITS}}}\n")
    given = (str(inputs / "model"), None, None)
    assert prepare_answerer(*given, [question("one")], episodes=str(file)).episodes
    other = replace(question("one"), asked_as="short_answer")
    with pytest.raises(ValueError, match=r"with the environment searcher its reader answers; leave --formats out"):
        prepare_answerer(*given, [question("one"), other], episodes=str(file))
