"""Templates and tokenizers as they are published, good and bad: the probes pass the first and name the second."""

import json
import re

import pytest
from omegaconf import OmegaConf

from reward_score.response import TAGS
from verl_medu1.models.chat_template import (
    demonstration_fault,
    parse_arguments,
    prompt_fault,
    render_text,
    render_tokens,
    template_arguments,
)
from verl_medu1.models.tiny import CHAT_TEMPLATE, train_tokenizer

TURN = "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
GENERATION = "{% if add_generation_prompt %}<|im_start|>assistant\n%s{% endif %}"
# Qwen3's switch, DeepSeek-R1's open reasoning and its cut through assistant turns, Gemma's refusal.
SWITCHED = (
    "{% for m in messages %}" + TURN + "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
OPENED = "{% for m in messages %}" + TURN + "{% endfor %}" + GENERATION.replace("%s", "<think>\n")
CLOSED = OPENED.replace("<think>\n", "<think>\n\n</think>\n\n")
CUT = CHAT_TEMPLATE.replace("message['content']", "message['content'].split('</think>')[-1]")
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
) + CHAT_TEMPLATE
FOLDED = (  # the system message in the user's turn
    "{% set system = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}"
    "{% for m in messages if m['role'] != 'system' %}<|im_start|>{{ m['role'] }}\n"
    "{{ system ~ '\n\n' ~ m['content'] if m['role'] == 'user' else m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DROPS_SYSTEM = "{% for m in messages if m['role'] != 'system' %}" + TURN + "{% endfor %}" + GENERATION.replace("%s", "")
WANTS_A_USER = (
    "{% if messages | selectattr('role', 'equalto', 'user') | list | length == 0 %}"
    "{{ raise_exception('No user query found') }}{% endif %}"
) + CHAT_TEMPLATE
DEMONSTRATION = [
    {"role": "system", "content": "Think."},
    {"role": "user", "content": "Which?"},
    {"role": "assistant", "content": "<think>because two of four</think><answer>B</answer>"},
]


@pytest.fixture(scope="module")
def tokenizer_with():
    """The tiny tokenizer with a template of one's choice."""
    tokenizer = train_tokenizer(["Which of the four is it? Two of four criteria are met, so this one, and not that."])

    def get(template: str | None):
        tokenizer.chat_template = template
        return tokenizer

    return get


@pytest.fixture(scope="module")
def with_special_tags(tmp_path_factory):
    """The same tokens, of which the tags are special ones."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("special")
    train_tokenizer(["Which of the four is it?"]).save_pretrained(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    for token in content["added_tokens"]:
        token["special"] = token["special"] or token["content"] in TAGS
    (folder / "tokenizer.json").write_text(json.dumps(content))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    for token in settings.get("added_tokens_decoder", {}).values():
        token["special"] = token["special"] or token["content"] in TAGS
    settings["extra_special_tokens"] = list(TAGS)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("template", "arguments"),
    [
        (CHAT_TEMPLATE, {}),
        (SWITCHED, {}),
        (SWITCHED, {"enable_thinking": True}),
        (OPENED, {}),
        (FOLDED, {}),
        (WANTS_A_USER, {}),
    ],
)
@pytest.mark.parametrize("scheme", ["gated_binary", "gated_similarity", "accuracy", "release", None])
def test_a_right_answer_earns_its_reward(tokenizer_with, template, arguments, scheme):
    assert prompt_fault(tokenizer_with(template), arguments, scheme=scheme) is None


@pytest.mark.parametrize(
    ("template", "arguments", "sentence"),
    [
        (None, {}, "has no chat template; add its chat_template.jinja"),
        (CLOSED, {}, "closes the reasoning before the answer begins, .*take another chat template"),
        (SWITCHED, {"enable_thinking": False}, "closes the reasoning .*'enable_thinking': False.*enable_thinking=true"),
        (NO_SYSTEM, {}, r"refuses a system message \(System role not supported\), .*take a chat template that puts it"),
        (DROPS_SYSTEM, {}, "leaves the system message out of the prompt"),
        ("{{ nothing.at_all.here }}", {}, "can't render the prompt"),
        ("{% if %}", {}, "can't render the prompt"),
    ],
)
def test_a_template_without_a_right_answer_is_named(tokenizer_with, template, arguments, sentence):
    fault = prompt_fault(tokenizer_with(template), arguments)
    assert fault is not None
    assert re.search(sentence, fault), fault


def test_an_answer_without_reasoning_is_right_where_the_answer_alone_counts(tokenizer_with):
    assert prompt_fault(tokenizer_with(CLOSED), {}, scheme="accuracy") is None


def test_tags_that_are_special_tokens_are_named(with_special_tags):
    fault = prompt_fault(with_special_tags, {})
    assert fault is not None and all(tag in fault for tag in TAGS) and '"special": false' in fault
    assert prompt_fault(with_special_tags, {}, scheme=None) is None


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, SWITCHED, FOLDED, WANTS_A_USER])
def test_a_demonstration_holds_its_reasoning_and_answer(tokenizer_with, template):
    assert demonstration_fault(tokenizer_with(template), {}, DEMONSTRATION) is None


@pytest.mark.parametrize(
    ("template", "sentence"),
    [(CUT, "drops the reasoning"), (NO_SYSTEM, "refuses a system message"), (None, "has no chat template")],
)
def test_a_demonstration_that_loses_something_is_named(tokenizer_with, template, sentence):
    fault = demonstration_fault(tokenizer_with(template), {}, DEMONSTRATION)
    assert fault is not None and sentence in fault


def test_a_demonstration_in_a_format_of_ones_own_is_compared_whole(tokenizer_with):
    own = [*DEMONSTRATION[:2], {"role": "assistant", "content": "It is B."}]
    assert demonstration_fault(tokenizer_with(CHAT_TEMPLATE), {}, own) is None
    shortened = CHAT_TEMPLATE.replace("message['content']", "message['content'][:5]")
    fault = demonstration_fault(tokenizer_with(shortened), {}, [own[-1] | {"role": "user"}, own[-1]])
    assert fault is not None


def test_arguments_reach_text_and_tokens_alike(tokenizer_with):
    tokenizer, messages = tokenizer_with(SWITCHED), DEMONSTRATION[:2]
    config = OmegaConf.create({"data": {"apply_chat_template_kwargs": {"enable_thinking": False}}})
    for arguments in ({}, template_arguments(config)):
        text = render_text(tokenizer, messages, arguments)
        assert tokenizer.decode(render_tokens(tokenizer, messages, arguments)) == text
        assert text.endswith("</think>\n\n") == bool(arguments)


@pytest.mark.parametrize("text", ["enable_thinking", "=true", "a b=1", "x={"])
def test_an_argument_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="--template-argument is"):
        parse_arguments([text])
    with pytest.raises(ValueError, match="once"):
        parse_arguments(["a=1", "a=2"])
