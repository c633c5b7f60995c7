"""The schema of a row, for verl, the scorers, the reward manager and the evaluation."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from reward_score.aliases import aliases
from reward_score.calculation import wants_question
from verl_medu1.data.budget import Budget
from verl_medu1.data.example import Example

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

# The keys of `reward_score.checklist.Item`.
CHECKLIST_ITEM = pa.struct(
    [
        ("statement", pa.string()),
        ("weight", pa.float64()),
        ("must_not", pa.bool_()),
        ("number", pa.float64()),
        ("regex", pa.string()),
        ("aliases", pa.list_(pa.string())),
        ("example", pa.string()),
    ]
)

# Questions, for reinforcement learning and for evaluation.
QUESTIONS = pa.schema(
    [
        # A name in the registry of reward_score.
        ("data_source", pa.string()),
        # Chat messages, never a rendered template.
        ("prompt", MESSAGES),
        # The answer type, under verl's name for it.
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct(
                [
                    ("index", pa.int64()),
                    ("row_id", pa.string()),
                    ("split", pa.string()),
                    ("answer_type", pa.string()),
                    # The bare question where the scorer uses it: open-ended, calculations in equivalents; else null.
                    ("question", pa.string()),
                    # Wordings of an open-ended gold answer that are right too: given, and stated by the gold itself.
                    ("aliases", pa.list_(pa.string())),
                    # Statements about an open-ended answer, which a judge decides in place of the gold; else null.
                    ("checklist", pa.list_(CHECKLIST_ITEM)),
                    ("options", pa.list_(pa.struct([("letter", pa.string()), ("text", pa.string())]))),
                    # Inclusive limits of a right calculation; null if the gold answer is not a number.
                    ("lower_limit", pa.float64()),
                    ("upper_limit", pa.float64()),
                    # Outside of these a calculated result is unsafe, such as a dose above its maximum; null: no limit.
                    ("safe_lower", pa.float64()),
                    ("safe_upper", pa.float64()),
                    ("unit", pa.string()),
                    # How and why the gold answer differs from the published one; null if it does not.
                    ("override", pa.string()),
                    # What an environment must know of the question, as JSON; else null.
                    ("environment", pa.string()),
                    # "reason", "retrieve" or "joint" (reward_score/evidence.py); null: "joint".
                    ("stage", pa.string()),
                    # "none", "exact" or "max"; tokens (0 for "none"); what is counted, "response" or "reasoning".
                    ("budget_mode", pa.string()),
                    ("budget_tokens", pa.int64()),
                    ("budget_counts", pa.string()),
                ]
            ),
        ),
    ]
)

# What every file of questions must have, whoever wrote it.
QUESTION_COLUMNS = ("data_source", "prompt", "reward_model", "extra_info")

# Demonstrations, for supervised training: the assistant's turn comes last.
DEMONSTRATIONS = pa.schema([("messages", MESSAGES)])

# verl's column of images. Each replaces one `<image>` in the messages; a row without images has an empty list.
IMAGES = "images"


def with_images(schema: pa.Schema) -> pa.Schema:
    """Return a schema with the column of images, for a file in which any row has some.

    Example:
        >>> with_images(DEMONSTRATIONS).names
        ['messages', 'images']
    """
    return schema.append(pa.field(IMAGES, pa.list_(pa.struct([("bytes", pa.binary())]))))


def image_column(example: Example) -> list[dict[str, bytes]]:
    """Return the images of a question as verl reads them; the files of a data set without images have no such column.

    Example:
        >>> image_column(Example("quickstart-mcq", "1", "multiple_choice", "Which side?", "A", images=(b"png",)))
        [{'bytes': b'png'}]
    """
    return [{"bytes": image} for image in example.images]


def question_row(
    example: Example, messages: Sequence[dict[str, str]], budget: Budget, split: str, index: int
) -> dict[str, Any]:
    """Make a row of the schema `QUESTIONS`.

    Args:
        example: the question.
        messages: its chat messages (system, user).
        budget: its length budget.
        split: "train" or "test".
        index: position of the row in its file.

    Returns:
        The row as plain Python values.

    Example:
        >>> example = Example("MedQA", "MedQA/1", "multiple_choice", "Which?", "A", (("A", "this"), ("B", "that")))
        >>> question_row(example, [{"role": "user", "content": "Which?"}], Budget(), "train", 0)["ability"]
        'multiple_choice'
    """
    return {
        "data_source": example.data_source,
        "prompt": list(messages),
        "ability": example.answer_type,
        "reward_model": {"style": "rule", "ground_truth": example.gold},
        "extra_info": {
            "index": index,
            "row_id": example.row_id,
            "split": split,
            "answer_type": example.answer_type,
            "question": example.question if _scorer_wants_question(example) else None,
            "aliases": _aliases(example),
            "checklist": [item.model_dump(mode="json") for item in example.checklist] or None,
            "options": [{"letter": letter, "text": text} for letter, text in example.options],
            "lower_limit": example.lower_limit,
            "upper_limit": example.upper_limit,
            "safe_lower": example.safe_lower,
            "safe_upper": example.safe_upper,
            "unit": example.unit,
            "override": example.override or None,
            "environment": example.environment or None,
            "stage": example.stage or None,
            "budget_mode": budget.mode,
            "budget_tokens": budget.tokens,
            "budget_counts": budget.counts,
        },
        IMAGES: image_column(example),
    }


def _scorer_wants_question(example: Example) -> bool:
    is_calculation = example.answer_type == "calculation"
    return example.answer_type == "open_ended" or (is_calculation and wants_question(example.unit or ""))


def _aliases(example: Example) -> list[str]:
    """Return the wordings that the row gives, then those that its gold answer states itself, each once."""
    if example.answer_type != "open_ended":
        return []
    return list(dict.fromkeys([*example.aliases, *aliases(example.gold)]))
