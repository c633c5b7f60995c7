"""Reads a single date, or a single duration in weeks and days, from a short text."""

import re
from datetime import date

from reward_score.stated import is_no_value, with_digits
from reward_score.text import plain

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
         "sep sept september", "oct october", "nov november", "dec december"), start=1)
    for name in names.split()
}  # fmt: skip
_MONTH = "(?:" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\b\.?"
_YEAR, _DAY = r"[12]\d{3}", r"[0-3]?\d"
_DATE = re.compile(
    rf"""(?<![\w./-]) (?:
      (?P<m1>[01]?\d) ([/-]) (?P<d1>{_DAY}) \2 (?P<y1>{_YEAR})                       # 9/23/2014
    | (?P<y2>{_YEAR}) ([/.-]) (?P<m2>[01]?\d) \6 (?P<d2>{_DAY})                       # 2014-09-23
    | (?P<m3>{_MONTH}) [\s-]* (?P<d3>{_DAY}) (?:st|nd|rd|th)? ,? [\s-]* (?P<y3>{_YEAR})  # September 23, 2014
    | (?P<d4>{_DAY}) (?:st|nd|rd|th)? (?:\s+of)? [\s-]* (?P<m4>{_MONTH}) [\s,-]* (?P<y4>{_YEAR})  # 23 September 2014
    ) (?![\w/-]|\.\d)""",
    re.VERBOSE | re.IGNORECASE,
)
_SPACED_SLASH = re.compile(r"(?<=\d)\s*/\s*(?=\d)")
_TIME_OF_DAY = re.compile(r"(?<=\d)T\d\d:\d\d(?::\d\d)?(?:\.\d+)?Z?\b")

_WEEKS_DAYS = re.compile(
    r"(?<![\w.+-])(\d{1,4})\s*-?\s*(?:weeks?|wks?|w)(?![a-z])\s*(?:(?:and|[+&])\s*)?(?:(\d{1,4})\s*-?\s*(?:days?|d)(?![a-z]))?"
    r"|(?<![\w.+-])(\d{1,4})\s*(?:days?|d)(?![a-z])",
    re.IGNORECASE,
)
_WEEKS_AND_SEVENTHS = re.compile(
    r"(\d{1,4})\s*(?:\^?\+\s*([0-6])(?:/7)?|\s([0-6])/7)\s*(?:weeks?|wks?|w)?", re.IGNORECASE
)
# "17 weeks 6 days (= 125 days)"
_IN_DAYS = re.compile(r"(?<=\w)\s*\(\s*=?\s*(\d{1,5})\s*days\s*\)", re.IGNORECASE)
_PAIR = re.compile(r"(\d{1,4})\s+(\d{1,4})")
_NUMBER = re.compile(r"\d+")


def read_date(text: str) -> date | str:
    """Return the only date in a text, or a sentence that says why there is none.

    Accepted: `9/23/2014` and `09-23-2014` (month first, as in MedCalc-Bench), `2014-09-23`, `September 23, 2014`,
    `23 Sep 2014`. Refused: day first in digits, two-digit years, several dates, a date that does not exist.

    Example:
        >>> read_date("The due date is Sept. 23rd, 2014.")
        datetime.date(2014, 9, 23)
    """
    text = _TIME_OF_DAY.sub("", _SPACED_SLASH.sub("/", plain(text)))
    dates: set[date] = set()
    for match in _DATE.finditer(text):
        year, month, day = (next(filter(None, (match[f"{part}{form}"] for form in "1234"))) for part in "ymd")
        number = int(month) if month.isdigit() else _MONTHS[month.casefold().rstrip(".")]
        try:
            dates.add(date(int(year), number, int(day)))
        except ValueError:
            return "a date that does not exist"
    if len(dates) > 1 or is_no_value(text):
        return "several dates, or a bound"
    return dates.pop() if dates else "no date"


def read_duration(text: str) -> tuple[int, int] | str:
    """Return the only duration in a text as (weeks, days), or a sentence that says why there is none.

    Accepted: `17 weeks 6 days`, `17 weeks + 6 days`, `('17 weeks', '6 days')`, `17w6d`, `17 weeks`, `6 days`, and, as
    the whole text, `17+6`, `17 6/7 weeks` and `(17, 6)`. As in MedCalc-Bench, 125 days are not 17 weeks and 6 days.

    Example:
        >>> read_duration("('17 weeks', '6 days')")
        (17, 6)
    """
    text = with_digits(plain(text))
    if is_no_value(text):
        return "a bound or a denial, not a duration"
    in_days = _IN_DAYS.search(text)
    if in_days:
        text = text[: in_days.start()] + text[in_days.end() :]
    text = " ".join(re.sub(r"[()\[\]'\",]", " ", text).split()).rstrip(" .")
    short = _WEEKS_AND_SEVENTHS.fullmatch(text)
    if short:
        return int(short[1]), int(short[2] or short[3])
    pair = _PAIR.fullmatch(text)
    if pair:
        return int(pair[1]), int(pair[2])
    matches = list(_WEEKS_DAYS.finditer(text))
    durations = {(int(match[1] or 0), int(match[2] or match[3] or 0)) for match in matches}
    if _NUMBER.search(_WEEKS_DAYS.sub(" ", text)) or len(durations) > 1:
        return "several numbers"
    if in_days and durations and not any(7 * weeks + days == int(in_days[1]) for weeks, days in durations):
        return "several numbers"
    return durations.pop() if durations else "no duration"
