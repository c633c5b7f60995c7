"""Builds chat messages from question, options, instruction and budget; the model's chat template renders them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from reward_score.registry import ANSWER_TYPES
from verl_medu1.data.budget import Budget, budget_sentence
from verl_medu1.data.catalogue import EXAMINATIONS, listed, read_catalogue
from verl_medu1.data.example import Example
from verl_medu1.data.images.placeholders import placeholder_fault, with_placeholders

DEFAULT_FILE = Path(__file__).with_name("prompts.yaml")
# Key of the file -> placeholders that its texts must contain.
_PLACEHOLDERS = {
    "instructions": set(),
    "option": {"letter", "text"},
    "budget": {"tokens"},
    "reasoning_budget": {"tokens"},
    "consultation": {"questions"},
}
_BUDGETS_IN_WORDS = ("exact", "max")
# What a budget counts -> key of the file.
_BUDGET_KEYS = {"response": "budget", "reasoning": "reasoning_budget"}


@dataclass(frozen=True)
class Prompts:
    """The texts of a prompt file; prompts.yaml explains them. `system` has one text, or several variants."""

    system: Sequence[str]
    instructions: Mapping[str, str]
    option: str
    budget: Mapping[str, Mapping[str, str]]
    consultation: str = ""

    def messages(self, example: Example, budget: Budget) -> list[dict[str, str]]:
        """Return the chat messages of a question: a system and a user message.

        The user message has the question, one line per option, and a last line with instruction and budget. For a
        consultation that line begins with how many questions may be asked. Below the question stand the examinations
        that may be ordered, with their prices. Each `<image>` stands for an image. Of several system messages the
        question's row id chooses one, so that all responses to it are to the same prompt.

        Args:
            example: the question.
            budget: its length budget, stated in words.

        Returns:
            Messages with `role` and `content`.

        Raises:
            ValueError: there is no instruction for the answer type, or the texts have more or fewer `<image>` than the
                question has images.

        Example:
            >>> example = Example("MedQA", "1", "multiple_choice", "Which?", "A", (("A", "this"), ("B", "that")))
            >>> print(load_prompts().messages(example, Budget("max", 90))[1]["content"])
            Which?
            A. this
            B. that
            Answer with the letter of one option. Use at most 90 tokens.
        """
        options = [self.option.format(letter=letter, text=text) for letter, text in example.options]
        if example.answer_type not in self.instructions:
            raise ValueError(
                f"the prompts have no text instructions.{example.answer_type}, which {example.row_id} needs; "
                "give a file that has it with --prompts."
            )
        closing = f"{self.instructions[example.answer_type]} {budget_sentence(budget, self.budget)}".strip()
        environment = json.loads(example.environment or "{}")
        if self.consultation and "budget" in environment:
            closing = f"{self.consultation.format(questions=environment['budget'])} {closing}"
        question = with_placeholders(example.question, len(example.images))
        # Not a part of the question: a catalogue that patients share would make all of them near duplicates.
        catalogue = [listed(read_catalogue(environment[EXAMINATIONS]))] if EXAMINATIONS in environment else []
        user = "\n".join([question, *catalogue, *options, closing])
        system = self.system[variant(example.row_id, len(self.system))]
        if fault := placeholder_fault([system, user], len(example.images)):
            raise ValueError(f"{example.row_id} can't be shown: {fault}; take such marks out of it, or of the prompts.")
        return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def variant(row_id: str, number: int) -> int:
    """Return which of a number of variants a question gets: always the same for its id, each about equally often.

    Example:
        >>> [variant(f"MedQA/{row}", 3) for row in range(6)], variant("MedQA/0", 1)
        ([2, 2, 1, 2, 1, 2], 0)
    """
    return int.from_bytes(hashlib.blake2b(row_id.encode(), digest_size=8).digest()) % number


def load_prompts(path: Path = DEFAULT_FILE) -> Prompts:
    """Read a prompt file.

    Raises:
        ValueError: the file is missing or not YAML, lacks a key, or a text lacks its placeholder.
    """
    try:
        texts = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"--prompts {path} can't be read ({reason}); give a YAML file like prompts.yaml.") from None
    _check(texts, path)
    return Prompts(
        system=_variants(texts["system"]),
        instructions=texts["instructions"],
        option=texts["option"],
        consultation=texts.get("consultation", ""),
        budget={counts: {mode: texts[key][mode] for mode in _BUDGETS_IN_WORDS} for counts, key in _BUDGET_KEYS.items()},
    )


def _check(texts: Any, path: Path) -> None:
    wanted: list[tuple[str, str | None]] = [("option", None)]
    systems = _variants(texts.get("system")) if isinstance(texts, dict) else ()
    if not systems or not all(isinstance(text, str) and text.strip() for text in systems):
        raise ValueError(f"--prompts {path} has no text system, or list of such; see prompts.yaml for what is needed.")
    # Also check texts for other packages' answer types, if the file has any.
    instructions = texts.get("instructions") if isinstance(texts, dict) else None
    others = [str(kind) for kind in instructions if kind not in ANSWER_TYPES] if isinstance(instructions, dict) else []
    wanted += [("instructions", kind) for kind in [*ANSWER_TYPES, *others]]
    wanted += [(key, mode) for key in _BUDGET_KEYS.values() for mode in _BUDGETS_IN_WORDS]
    wanted += [(key, None) for key in ("consultation",) if isinstance(texts, dict) and key in texts]
    for key, part in wanted:
        name = key if part is None else f"{key}.{part}"
        value = texts.get(key) if isinstance(texts, dict) else None
        if part is not None:
            value = value.get(part) if isinstance(value, dict) else None
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"--prompts {path} has no text {name}; see prompts.yaml for what is needed.")
        if key in _PLACEHOLDERS:
            _check_placeholders(name, value, _PLACEHOLDERS[key], path)


def _variants(system: Any) -> tuple[Any, ...]:
    return tuple(system) if isinstance(system, list) else (system,)


def _check_placeholders(name: str, text: str, wanted: set[str], path: Path) -> None:
    if not wanted:
        return
    try:
        found = {field for _, field, _, _ in Formatter().parse(text) if field is not None}
    except ValueError:
        found = set()
    if found != wanted:
        names = " and ".join(f"{{{field}}}" for field in sorted(wanted))
        raise ValueError(f"--prompts {path} has {name} = {text!r}; it must hold {names} and no other braces.")
