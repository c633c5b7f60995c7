"""Questions about an image whose published answer is free text: "yes" and "no" are options, the rest is open-ended."""

from reward_score.open_ended import is_passage
from verl_medu1.data.example import PASSAGE, Example
from verl_medu1.data.records import Record
from verl_medu1.data.sources.fields import FieldError, text

YES_NO = (("A", "yes"), ("B", "no"))
# Published in place of an answer.
_UNDECIDED = ("maybe", "not sure", "unsure", "unknown")


def read_about_image(benchmark: str, record: Record, row_id: str) -> Example:
    """Return the example of a record with the columns question and answer, without its image.

    Args:
        benchmark: such as "SLAKE", whose data sources are SLAKE-multiple_choice and SLAKE-open_ended.
        record: the record.
        row_id: its name.

    Raises:
        FieldError: question or answer is empty, or no text, or the answer leaves the question open ("Not sure").

    Example:
        >>> read_about_image("SLAKE", {"question": "Is the heart large?", "answer": "Yes."}, "slake/1").gold
        'A'
    """
    question, answer = text(record, "question"), text(record, "answer")
    bare = answer.rstrip(" .").casefold()
    if bare in _UNDECIDED:
        raise FieldError("answer", "leaves the question open", "it must answer the question")
    for letter, word in YES_NO:
        if bare == word:
            return Example(f"{benchmark}-multiple_choice", row_id, "multiple_choice", question, letter, YES_NO)
    graded = PASSAGE if is_passage(answer) else ""
    return Example(f"{benchmark}-open_ended", row_id, "open_ended", question, answer, graded=graded)
