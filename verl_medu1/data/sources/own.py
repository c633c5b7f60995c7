"""A user's own questions of a stated answer type: `--source own=FILE:TYPE`.

Columns: question and answer; for multiple choice also options (letters to texts, or a list), or one column per option,
named by its letter. Optional: context (a text, or a list of texts, placed before the question), id, for calculations
lower_limit, upper_limit, safe_lower, safe_upper and unit, and for open-ended questions aliases, other wordings of the
answer (a list of texts, or one text with bars between them), and checklist, statements that a judge decides (a list of
items, or JSON of one). For searches: evidence, ids of the documents that answer the question (like aliases), and stage
(`reward_score.evidence.STAGES`). For environments: environment, what one must know of the question (an object, or JSON
of one), such as a catalogue of examinations. For questions about images: image or images, a path or several.
The answer to a multiple-choice question is a letter.

The data sources in `reward_score.registry` are own-multiple_choice, own-calculation and own-open_ended.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reward_score.evidence import STAGES
from reward_score.registry import ANSWER_TYPES
from verl_medu1.data.catalogue import EXAMINATIONS, read_catalogue
from verl_medu1.data.example import Example
from verl_medu1.data.images.column import ImageColumns
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import LETTERS, FieldError, is_empty, letter, options, passages, shown, text
from verl_medu1.data.sources.reader import Read, Reader, Shape
from verl_medu1.data.sources.results import gold_result, limit, limits

if TYPE_CHECKING:  # pydantic, which no start of a run needs
    from reward_score.checklist import Item

NAME = "own"


def _context(record: Record) -> str:
    given = record.get("context")
    if is_empty(given):
        return ""
    return "\n".join(passages(given, "context", least=0)) if isinstance(given, list) else text(record, "context")


def _several(record: Record, name: str) -> tuple[str, ...]:
    """Return the texts of a list, or those between bars."""
    given = record.get(name)
    if is_empty(given):
        return ()
    texts = passages(given, name, least=0) if isinstance(given, list) else text(record, name).split("|")
    return tuple(one.strip() for one in texts if one.strip())


def _environment(record: Record) -> dict[str, Any]:
    given = record.get("environment")
    try:
        found = json.loads(given) if isinstance(given, str) and given else given
    except (ValueError, RecursionError):  # also nested too deeply, or a number of thousands of digits
        found = given
    if is_empty(found):
        return {}
    if not isinstance(found, dict):
        raise FieldError("environment", f"holds {shown(given)}", "it must be an object, or JSON of one")
    return found


def _with_environment(record: Record, example: Example) -> Example:
    """Add what an environment needs, if the record has it."""
    evidence = _several(record, "evidence")
    stage = "" if is_empty(record.get("stage")) else text(record, "stage")
    if stage and stage not in STAGES:
        raise FieldError("stage", f"holds {shown(stage)}", f"it must be one of {', '.join(STAGES)}")
    environment = _environment(record) | ({"evidence": evidence} if evidence else {})
    if EXAMINATIONS in environment:
        try:
            read_catalogue(environment[EXAMINATIONS])
        except ValueError as error:
            raise FieldError("environment", f"has {error}", "it must be as in docs/episodes.md") from None
    return replace(example, environment=json.dumps(environment) if environment else "", stage=stage)


def _checklist(record: Record) -> "tuple[Item, ...]":
    given = record.get("checklist")
    if is_empty(given):
        return ()
    from reward_score.checklist import read_checklist

    try:
        return read_checklist(json.loads(given) if isinstance(given, str) else given)
    except json.JSONDecodeError:
        found = "is a text that is not JSON"
    except ValueError as error:
        found = f"can't be read ({error})"
    raise FieldError("checklist", found, "it must be a list of items as in docs/judge.md")


def _reader(answer_type: str) -> Read:
    def read(record: Record, row_id: str) -> Example:
        return _with_environment(record, alone(record, row_id))

    def alone(record: Record, row_id: str) -> Example:
        context, question = _context(record), text(record, "question")
        problem = f"{context}\n{question}" if context else question
        # Questions with the same context are one group, which is never on both sides of a split.
        start = (f"{NAME}-{answer_type}", row_id, answer_type, problem)
        if answer_type == "multiple_choice":
            choices = options(_options(record), "options")
            return Example(*start, letter(record, "answer", choices), choices, group=context)
        if answer_type == "open_ended":
            aliases, checklist = _several(record, "aliases"), _checklist(record)
            return Example(*start, text(record, "answer"), group=context, aliases=aliases, checklist=checklist)
        gold = gold_result(record, "answer")
        lower, upper = limits(record, "lower_limit", "upper_limit", gold)
        safe_lower, safe_upper = (limit(record.get(name), name) for name in ("safe_lower", "safe_upper"))
        unit = None if is_empty(record.get("unit")) else text(record, "unit")
        return Example(
            *start,
            gold,
            lower_limit=lower,
            upper_limit=upper,
            safe_lower=safe_lower,
            safe_upper=safe_upper,
            unit=unit,
            group=context,
        )

    return read


def _options(record: Record) -> object:
    """Return the options from their field, or from one column per option, some of which may be blank."""
    if "options" in record:
        return record["options"]
    return {name: record[name] for name in LETTERS if not is_empty(record.get(name))}


def _unstated(records: Sequence[Record]) -> bool:
    forms = " or ".join(f"{NAME}=FILE:{answer_type}" for answer_type in ANSWER_TYPES)
    raise ValueError(f"what kind of answer the questions have is not stated; write {forms}")


READER = Reader(
    "your own",
    tuple(
        Shape("own questions", ("question", "answer"), _reader(kind), "id", _unstated, kind) for kind in ANSWER_TYPES
    ),
    images=ImageColumns(("images", "image"), needed=False),
)
