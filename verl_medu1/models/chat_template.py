"""The model's chat template: renders prompts, and checks that a response to them can be scored.

verl renders prompts and demonstrations with `data.apply_chat_template_kwargs` and decodes responses without special
tokens. All code that renders prompts or counts their tokens uses this module, so that all see the same tokens. The
checks find, before anything heavy starts, a template or tokenizer with which no response can earn a reward.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from reward_score import compute_score
from reward_score.response import ANSWER_CLOSE, ANSWER_OPEN, TAGS, THINK_CLOSE, THINK_OPEN, parse_response
from reward_score.schemes import DEFAULT_SCHEME

KEY = "data.apply_chat_template_kwargs"
Messages = Sequence[Mapping[str, str]]

# A question with a known answer, and that answer as our prompts ask for it.
QUESTION = ({"role": "system", "content": "Think first."}, {"role": "user", "content": "Which one?\nA. this\nB. that"})
REASONING, ANSWER = f"Two of the four criteria are met.{THINK_CLOSE}", f"{ANSWER_OPEN}B{ANSWER_CLOSE}"
DEMONSTRATION = (*QUESTION, {"role": "assistant", "content": THINK_OPEN + REASONING + ANSWER})
GOLD = ("MedQA", "B", {"options": [{"letter": "A", "text": "this"}, {"letter": "B", "text": "that"}]})


def template_arguments(config: DictConfig) -> dict[str, Any]:
    """Return `data.apply_chat_template_kwargs` of a composed configuration as a plain dict.

    Example:
        >>> template_arguments(OmegaConf.create({"data": {"apply_chat_template_kwargs": {"enable_thinking": False}}}))
        {'enable_thinking': False}
    """
    arguments = OmegaConf.select(config, KEY)
    return dict(OmegaConf.to_container(arguments, resolve=True)) if arguments else {}  # type: ignore[arg-type]


def parse_arguments(texts: Sequence[str]) -> dict[str, Any]:
    """Parse template arguments from the command line: NAME=VALUE, with a YAML value.

    Raises:
        ValueError: an argument has another form, or a name occurs twice.

    Example:
        >>> parse_arguments(["enable_thinking=false", "effort=low"])
        {'enable_thinking': False, 'effort': 'low'}
    """
    arguments: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier() or name in arguments:
            raise ValueError(f"--template-argument is {text!r}; write NAME=VALUE, each name once.")
        try:
            arguments[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError(f"--template-argument is {text!r}; its value is not valid YAML.") from None
    return arguments


def render_text(tokenizer: Any, messages: Messages, arguments: Mapping[str, Any]) -> str:
    """Render messages as the prompt text that the model sees.

    Args:
        tokenizer: a `transformers` tokenizer with a chat template.
        messages: with `role` and `content`.
        arguments: from `template_arguments`.
    """
    return str(
        tokenizer.apply_chat_template(list(messages), **{**arguments, "tokenize": False, "add_generation_prompt": True})
    )


def render_tokens(tokenizer: Any, messages: Messages, arguments: Mapping[str, Any]) -> list[int]:
    """Render messages as token ids, as verl does in training."""
    forced = {"tokenize": True, "add_generation_prompt": True, "return_dict": False}
    return list(tokenizer.apply_chat_template(list(messages), **{**arguments, **forced}))


def prompt_fault(
    tokenizer: Any, arguments: Mapping[str, Any], messages: Messages = QUESTION, scheme: str | None = DEFAULT_SCHEME
) -> str | None:
    """Return why a well-formed right response to a rendered prompt would not earn its reward; None if it would.

    Renders the prompt, encodes and decodes (as verl does) the part of the response that the template leaves to the
    model, and scores it.

    Args:
        tokenizer: a `transformers` tokenizer.
        arguments: from `template_arguments`.
        messages: a prompt of the run.
        scheme: `scoring.scheme`; None if the reward is not ours, so that only the rendering can be checked.

    Returns:
        The rest of a sentence about the chat template or the tokenizer, with the remedy.
    """
    if fault := _rendering_fault(tokenizer, arguments, messages):
        return fault
    if scheme is None:
        return None
    prompt = render_text(tokenizer, messages, arguments)
    # What the template writes between the question and the model's first token.
    begun = prompt.rpartition(messages[-1]["content"].strip())[2]
    if THINK_CLOSE in begun:
        answer = ANSWER
    else:
        answer = REASONING + ANSWER if THINK_OPEN in begun else THINK_OPEN + REASONING + ANSWER
    decoded = _after_a_round_trip(tokenizer, answer)
    source, gold, info = GOLD
    full = compute_score(source, THINK_OPEN + REASONING + ANSWER, gold, info, scheme=scheme)["score"]
    if compute_score(source, decoded, gold, info, scheme=scheme)["score"] == full:
        return None
    if lost := [tag for tag in TAGS if tag in answer and tag not in decoded]:
        return (
            f"the tokenizer has {', '.join(lost)} as special tokens, which are left out when an answer is decoded; "
            'make them ordinary tokens ("special": false in tokenizer.json and tokenizer_config.json).'
        )
    if THINK_CLOSE in begun:
        given = f" with {dict(arguments)}" if arguments else ""
        return (
            f"the chat template closes the reasoning before the answer begins{given}, so that no answer can be "
            f"well-formed; leave it open ({KEY}, or --template-argument: for Qwen3 enable_thinking=true), take another "
            "chat template, or train with scoring.scheme=accuracy."
        )
    return (
        f"the tokenizer makes {decoded!r} of the right answer {answer!r}, which then scores less than {full:g}; use "
        "the tokenizer that belongs to the model."
    )


def demonstration_fault(tokenizer: Any, arguments: Mapping[str, Any], messages: Messages) -> str | None:
    """Return which part of a demonstration supervised training would not see; None if reasoning and answer are kept.

    Args:
        tokenizer: a `transformers` tokenizer.
        arguments: from `template_arguments`.
        messages: a demonstration, the assistant's turn last.

    Returns:
        The rest of a sentence, with the remedy.
    """
    *question, turn = messages
    if fault := _rendering_fault(tokenizer, arguments, question):
        return fault
    rendered = _rendered_turn(tokenizer, turn, arguments)
    response = parse_response(turn["content"])
    parts = {"reasoning": response.reasoning, "end of the reasoning": THINK_CLOSE, "answer": ANSWER_OPEN}
    if not response.well_formed:  # a user's own format
        parts = {"text": turn["content"].strip()}
    if missing := [name for name, text in parts.items() if text not in rendered]:
        return (
            f"the chat template drops the {' and the '.join(missing)} of the assistant's turn, so that the "
            "demonstrations teach something else than they say; take a template that keeps the turn as it is "
            "(chat_template.jinja in the model's folder, or model.custom_chat_template)."
        )
    return None


def _rendering_fault(tokenizer: Any, arguments: Mapping[str, Any], messages: Messages) -> str | None:
    from jinja2 import TemplateError

    if tokenizer.chat_template is None:
        return "the tokenizer has no chat template; add its chat_template.jinja, or take the instruction-tuned model."
    try:
        prompt = render_text(tokenizer, messages, arguments)
    except (TemplateError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        without_system = [message for message in messages if message["role"] != "system"]
        if len(without_system) < len(messages) and _rendering_fault(tokenizer, arguments, without_system) is None:
            return (
                f"the chat template refuses a system message ({reason}), and the prompts have one; take a chat "
                "template that puts it into the user's turn."
            )
        return f"the chat template can't render the prompt ({reason}); correct it, or {KEY}."
    for message in messages:
        if message["content"].strip() not in prompt:
            role = message["role"]
            return f"the chat template leaves the {role} message out of the prompt; take a template that keeps it."
    return None


def _after_a_round_trip(tokenizer: Any, answer: str) -> str:
    """Encode a response with its end-of-turn token, and decode it as verl decodes a rollout."""
    tokens = tokenizer.encode(answer, add_special_tokens=False)
    if tokenizer.eos_token_id is not None:
        tokens = [*tokens, tokenizer.eos_token_id]
    return str(tokenizer.decode(tokens, skip_special_tokens=True))


def _rendered_turn(tokenizer: Any, turn: Mapping[str, str], arguments: Mapping[str, Any]) -> str:
    """Render a turn as verl's SFT dataset does: alone, or after a user's turn if the template requires one."""
    from jinja2 import TemplateError

    options = {**arguments, "tokenize": False, "add_generation_prompt": False}
    try:
        return str(tokenizer.apply_chat_template([turn], **options))
    except (TemplateError, TypeError, ValueError):
        return str(tokenizer.apply_chat_template([{"role": "user", "content": ""}, turn], **options))
