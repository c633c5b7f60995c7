"""Decides what is graded in a row whose published answer is free text.

A question that shows its options is multiple choice, whatever its answer looks like. An answer that is a value, or a
sentence that states one where a number was asked for, is a calculation. Any other passage is not graded, because its
decisive words are a small part of it.
"""

from dataclasses import replace

from reward_score.open_ended import is_passage
from verl_medu1.data.example import KEY, OPTION, PASSAGE, VALUE, Example
from verl_medu1.data.sources.fields import FieldError
from verl_medu1.data.sources.shown_options import named_option, split_options
from verl_medu1.data.sources.values import read_value

# The data sources whose rows are published as free text.
FREE_TEXT = ("medical-o1-reasoning-SFT", "medical-o1-verifiable-problem")


def as_graded(row: Example, field: str, key: str = "") -> Example:
    """Return an open-ended example as the type of question that can be graded.

    Args:
        row: an example whose gold is the published text.
        field: the field of the gold answer, for messages.
        key: a short answer to the question, which replaces the gold; "" if there is none. The published reasoning is
            then left out, because it may come to another answer.

    Raises:
        FieldError: the question shows options, and the answer names none or several of them.

    Example:
        >>> question = "Which?\\nA. heparin\\nB. aspirin"
        >>> as_graded(Example("medical-o1-reasoning-SFT", "1", "open_ended", question, "Aspirin."), "Response").gold
        'B'
    """
    if key:
        row = replace(row, gold=key, graded=KEY, reasoning="", published=row)
    stem, options = split_options(row.question)
    if options:
        if not stem:
            raise FieldError("question", "has nothing before its options", "it must hold a question")
        if any(len(text) == 1 and text.isalpha() and text.upper() != letter for letter, text in options):
            raise FieldError("question", "has an option whose text is another letter", "letters must name options")
        letter = named_option(row.gold, options, field, stem)
        return replace(
            row,
            data_source="medical-o1-multiple_choice",
            answer_type="multiple_choice",
            question=stem,
            gold=letter,
            options=options,
            graded=OPTION,
            published=row.published or row,
        )
    value = read_value(row.gold, row.question)
    if value:
        lower, upper = value.limits
        return replace(
            row,
            data_source="medical-o1-calculation",
            answer_type="calculation",
            gold=value.text,
            lower_limit=lower,
            upper_limit=upper,
            unit=value.unit,
            graded=VALUE,
            published=row.published or row,
        )
    return replace(row, graded=PASSAGE) if is_passage(row.gold) else row
