"""Recognise in which form an implausible time was written, such as the digits of a date.

A number is read as a time since 1970. Other numbers are read, too, but as times of other centuries:
20260115101112 would be in the year 2612, and a spreadsheet's 46037.4 in 1970.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis

from dawnlist.rows import sql_dialects
from dawnlist.rows.sql_dialects import IbisValue
from dawnlist.rows.times import EARLIEST_EVENT_TIME

PLAIN_DATE = "a date"
"""The form of text that is no number."""
_DATE_DIGITS = r"\A(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
_DIGIT_FORMS = (
    (rf"{_DATE_DIGITS}\z", "a date YYYYMMDD"),
    (rf"{_DATE_DIGITS}([01]\d|2[0-3])\z", "a time YYYYMMDDhh"),
    (rf"{_DATE_DIGITS}([01]\d|2[0-3])[0-5]\d\z", "a time YYYYMMDDhhmm"),
    (rf"{_DATE_DIGITS}([01]\d|2[0-3])[0-5]\d[0-5]\d(\.?\d{{1,6}})?\z", "a time YYYYMMDDhhmmss"),
)
"""Patterns of numbers that are the digits of a date, and how messages name them."""
_NUMBER_FORMS = (
    (1e-300, "0 or less"),
    (9131, "a number"),
    (34_700, "days since 1970"),
    (90_000, "days of a spreadsheet"),
    (2_400_000, "a number"),
    (2_500_000, "a Julian day"),
    (12e15, "a number"),
    (15e15, "microseconds since 1601"),
    (12e16, "a number"),
    (15e16, "a file time of Windows"),
    (6e17, "a number"),
    (7e17, "ticks of .NET"),
    (1e300, "a number"),
)
"""The upper bound of numbers of each form, and how messages name them."""
_FUTURE_TOLERANCE = timedelta(days=1)


def find_latest_event_time(end: datetime) -> datetime:
    """Return the time after which no event of a source can be: the end of the window, or tomorrow.

    A row between the end of the window and tomorrow belongs to a later window.
    """
    return max(end, datetime.now(UTC) + _FUTURE_TOLERANCE)


def is_implausible(time: IbisValue, latest: datetime) -> IbisValue:
    """Say whether a time that could be read can't be that of an event, so lies in no window."""
    return (time < EARLIEST_EVENT_TIME) | (time > latest)


def name_number_form(text: str) -> str:
    """Name the form of one number, as `describe_form` does for a column."""
    for pattern, form in _DIGIT_FORMS:
        if re.search(pattern.replace(r"\z", r"\Z"), text):
            return form
    for bound, form in _NUMBER_FORMS:
        if float(text) < bound:
            return form
    return "a number"


def describe_form(text: IbisValue) -> IbisValue:
    """Name the form of a time from its clean text; PLAIN_DATE for text that is no number."""
    branches: list[tuple[Any, str]] = []
    for pattern, form in _DIGIT_FORMS:
        branches.append((text.re_search(pattern), form))
    number = sql_dialects.parse_float64(text)
    for bound, form in _NUMBER_FORMS:
        branches.append((number < bound, form))
    return ibis.cases(*branches, else_=PLAIN_DATE)
