"""Answers that share a prompt in one packed sequence: the same log-probs and gradients as rows one by one."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from tests.cpu.ranks import run_ranks
from tests.cpu.shared_prompts_worker import ANSWERS, PROMPTS
from tests.cpu.shared_prompts_worker import rows as rows_of_two_questions
from tests.cpu.small_engine import VOCABULARY
from tests.twins.twin import Twin, write_model
from verl_medu1.cpu.faster.shared_attention import register
from verl_medu1.cpu.faster.shared_prompts import can_share, pack

TOKENS = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=6)


def small_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            attn_implementation="sdpa",
        )
    )


@pytest.fixture(autouse=True)
def attention_in_blocks() -> Iterator[None]:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    before = ALL_ATTENTION_FUNCTIONS["sdpa"]
    register()
    yield
    ALL_ATTENTION_FUNCTIONS.register("sdpa", before)


def of_pack(
    model: LlamaForCausalLM, rows: list[torch.Tensor], prompts: list[int], in_blocks: bool = True
) -> torch.Tensor:
    packed = pack(rows, prompts)
    logits = model(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        attention_mask=packed.attention_mask,
        blocks=packed.blocks if in_blocks else None,
        logits_to_keep=packed.predicting,
        use_cache=False,
    ).logits[0]
    return logits.log_softmax(-1).gather(-1, packed.labels[:, None])[:, 0]


def one_by_one(model: LlamaForCausalLM, rows: list[torch.Tensor], prompts: list[int]) -> torch.Tensor:
    found = []
    for row, prompt in zip(rows, prompts, strict=True):
        log_probs = model(input_ids=row[None], use_cache=False).logits[0, :-1].log_softmax(-1)
        found.append(log_probs.gather(-1, row[1:, None])[prompt - 1 :, 0])
    return torch.cat(found)


@given(st.lists(TOKENS, min_size=1, max_size=3), st.lists(st.tuples(st.integers(0, 2), TOKENS), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_log_probs_and_gradients_are_those_of_rows_one_by_one(
    prompts: list[list[int]], answers: list[tuple[int, list[int]]]
) -> None:
    model = small_model()
    chosen = [(prompts[number % len(prompts)], answer) for number, answer in answers]
    rows = [torch.tensor(prompt + answer) for prompt, answer in chosen]
    lengths = [len(prompt) for prompt, _ in chosen]
    found = {}
    for way in (of_pack, partial(of_pack, in_blocks=False), one_by_one):
        model.zero_grad()
        log_probs = way(model, rows, lengths)
        (log_probs * torch.linspace(-1, 1, len(log_probs))).sum().backward()
        found[way] = [log_probs.detach(), *(weight.grad.clone() for weight in model.parameters())]  # type: ignore[union-attr]
    *ways, alone = found.values()
    for packed in ways:
        for ours, expected in zip(packed, alone, strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=2e-6)


def test_a_prompt_stands_once_for_all_its_answers() -> None:
    prompt = list(range(50))
    rows = [torch.tensor([*prompt, *answer]) for answer in ([60, 61], [62, 63, 64], [65])]
    packed = pack([*rows, torch.tensor([1, 70, 71])], [50, 50, 50, 1])
    assert packed.input_ids.shape[1] == 50 + 1 + 2 + 0 + 1 + 1
    assert packed.rows.tolist() == [0, 0, 1, 1, 1, 2, 3, 3]
    assert packed.places.tolist() == [49, 50, 101, 102, 103, 154, 156, 157]
    every = torch.cat([*rows, torch.tensor([1, 70, 71])])
    assert torch.equal(every[packed.places + 1], packed.labels)


def test_a_window_of_attention_or_padded_rows_are_left_to_verl() -> None:
    config = small_model().config
    assert can_share(rows_of_two_questions(True), config)
    assert not can_share(rows_of_two_questions(False), config)
    for name, value in (("sliding_window", 16), ("layer_types", ["full_attention", "sliding_attention"])):
        changed = small_model().config
        setattr(changed, name, value)
        assert not can_share(rows_of_two_questions(True), changed)


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_verls_engine_gives_the_same_with_fewer_tokens(tmp_path: Path) -> None:
    write_model(Twin("qwen2", True, 4, False, tp=1, pp=2), tmp_path / "model")
    run_ranks("tests.cpu.shared_prompts_worker", 1, tmp_path / "model", tmp_path)
    found = torch.load(tmp_path / "found.pt")
    padded, packed = found["padded"], found["packed"]
    for kind in ("", " warm-up"):
        expected, ours = found[f"padded{kind}"], found[f"packed{kind}"]
        for name in expected.keys() & {"log_probs", "entropy"}:
            torch.testing.assert_close(ours[name], expected[name], rtol=1e-5, atol=1e-5)
            assert expected[name].abs().sum() > 1
        for name, gradient in expected["gradients"].items():
            assert (ours["gradients"][name] - gradient).norm() <= 1e-5 * gradient.norm(), name
    assert packed["tokens"] == sum(PROMPTS) + len(PROMPTS) * sum(length - 1 for length in ANSWERS)
    assert padded["tokens"] == sum(len(ANSWERS) * (prompt + max(ANSWERS)) for prompt in PROMPTS)
