"""Dates and durations of replies: RFC 2822 in GMT, and milliseconds as text."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

_MONTHS = {
    name: f"{number:02}"
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
_from_iso = datetime.fromisoformat  # found once: it is called for each date
_LONGEST = 15
_TOO_LARGE = 10**_LONGEST
_DAY = len("Fri, 18 Feb 2011")
_USUAL = len("Fri, 18 Feb 2011 21:07:19 +0000")


def read_date(text: str) -> datetime | None:
    """Return an RFC 2822 date as an aware datetime in UTC, or None if it is not one."""
    # Reordered for the reader of ISO dates, which is in C; most dates of a page are of few days.
    try:
        day, clock, zone = text.rsplit(" ", 2)
        if zone == "+0000" and len(text) == _USUAL:
            return _from_iso(f"{_day(day)}{clock}Z")
    except (KeyError, ValueError):
        pass  # not the usual form after all
    try:
        date = parsedate_to_datetime(text)
        # "-0000" means GMT from an unknown zone, which the parser returns without one.
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=1024)
def _day(text: str) -> str:
    if len(text) != _DAY:
        raise ValueError(text)
    return f"{text[12:16]}-{_MONTHS[text[8:11]]}-{text[5:7]}T"


def read_milliseconds(value: object) -> int | None:
    """Return a whole number that may be written as text, or None if it is anything else."""
    if type(value) is int:
        return value if 0 <= value < _TOO_LARGE else None
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) <= _LONGEST:
        return int(value)
    return None
