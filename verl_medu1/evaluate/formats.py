"""Multiple-choice questions in other answer formats, to see whether right answers stay right.

A prepared multiple-choice question is asked again without its options, for a short answer, and with them, for a ranked
list. A ranking is right if its first option is right; a short answer is right if it equals the right option's text.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from reward_score.multiple_choice import judge_multiple_choice, read_options
from reward_score.open_ended import judge_open_ended
from reward_score.verdict import Verdict, right, wrong
from verl_medu1.data.prompts import Prompts
from verl_medu1.evaluate.questions import Question

FORMATS = ("short_answer", "ranked_list")
TEXTS = Path(__file__).with_name("formats.yaml")
MAX_CHARACTERS = 2000  # a longer answer is not a list
# An option that refers to other options makes no sense without them.
ABOUT_OPTIONS = re.compile(
    r"\b(?:all|none|both|neither|either) of (?:the|these|them)\b|\bboth [A-E]\b|\b[A-E] and [A-E]\b", re.I
)
_WORD = re.compile(r"[^\W_]")
_NUMBERING = re.compile(r"^\s*(?:\d+\s*[.):]|[-*])\s*")


def in_other_formats(questions: Sequence[Question], prompts: Prompts) -> list[Question]:
    """Convert the questions with options to each of `FORMATS`.

    The short-answer format is left out if the right option refers to other options ("all of the above"), or has no
    word to compare.

    Args:
        questions: as prepared.
        prompts: the texts with which they were prepared.

    Returns:
        Questions with `asked_as` set, in the order of `questions`.

    Raises:
        ValueError: a question with options was prepared with other texts.
    """
    instructions = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    asked = []
    for question in questions:
        options = read_options(question.extra_info.get("options"))
        if not options or question.ground_truth not in options:
            continue
        stem, block, budget = prompt_parts(question, options, prompts)
        for name in FORMATS:
            if name == "short_answer" and not _can_be_said(options[question.ground_truth]):
                continue
            lines = [stem, *([block] if name == "ranked_list" else []), f"{instructions[name]} {budget}".strip()]
            message = {"role": "user", "content": "\n".join(lines)}
            asked.append(replace(question, prompt=[*question.prompt[:-1], message], asked_as=name))
    return asked


def prompt_parts(question: Question, options: dict[str, str], prompts: Prompts) -> tuple[str, str, str]:
    """Split a prepared message into question, options and budget sentence.

    Raises:
        ValueError: the message was not made of these texts.
    """
    block = "\n".join(prompts.option.format(letter=letter, text=text) for letter, text in options.items())
    stem, found, closing = question.prompt[-1]["content"].partition(f"\n{block}\n")
    instruction = prompts.instructions["multiple_choice"]
    if not found or not closing.startswith(instruction):
        raise ValueError(
            f"The prompt of row {question.row_id!r} was not made of --prompts; "
            "give the file that `medu1 prepare` was given."
        )
    return stem, block, closing.removeprefix(instruction).strip()


def _can_be_said(text: str) -> bool:
    if ABOUT_OPTIONS.search(text) or not _WORD.search(text):
        return False
    try:
        return judge_open_ended(text, text, {}).correct
    except ValueError:
        return False


def judge_in_format(question: Question, answer: str) -> Verdict:
    """Judge an answer in the format in which the question was asked.

    Args:
        question: from `in_other_formats`.
        answer: the extracted answer.

    Example:
        >>> options = [{"letter": "A", "text": "heparin"}, {"letter": "B", "text": "aspirin"}]
        >>> question = Question("1", "MedQA", [], "B", {"options": options}, "ranked_list")
        >>> judge_in_format(question, "B > A").correct
        True
    """
    options = read_options(question.extra_info["options"])
    if question.asked_as == "short_answer":
        return judge_open_ended(answer, options[question.ground_truth], {})
    ranking = read_ranking(answer, options)
    if isinstance(ranking, str):
        return wrong("", ranking)
    place = ranking.index(question.ground_truth) + 1 if question.ground_truth in ranking else 0
    said = ">".join(ranking)
    if place == 1:
        return right(said, "the right option first")
    return Verdict(
        False, 1 / place if place else 0.0, said, f"the right option in place {place}" if place else "not listed"
    )


def read_ranking(answer: str, options: dict[str, str]) -> list[str] | str:
    """Return the letters of a ranked list, or a sentence that says why there is none.

    Accepted: letters in any of the usual formats or options' texts, one per line or separated by `>`, `,` or `;`,
    numbered or not; at least two, and none twice.

    Example:
        >>> read_ranking("1. B. aspirin\\n2. A. heparin", {"A": "heparin", "B": "aspirin"})
        ['B', 'A']
    """
    if len(answer) > MAX_CHARACTERS:
        return "too long for a list"
    separator = next((mark for mark in ("\n", ">", ";", ",") if mark in answer.strip()), None)
    if separator is None:
        return "no list"
    pieces = [_NUMBERING.sub("", piece).strip() for piece in answer.strip().split(separator)]
    letters = [
        judge_multiple_choice(piece, next(iter(options)), {"options": options}).pred for piece in pieces if piece
    ]
    if len(letters) < 2 or "" in letters:
        return "no list of options"
    return letters if len(set(letters)) == len(letters) else "an option twice"
