"""Requests as form bodies and query strings, in the service's own names and spellings."""

from datetime import UTC, date, datetime
from functools import cache, lru_cache
from itertools import starmap
from typing import TypeAlias, cast
from urllib.parse import quote, quote_plus, urlencode

from conference_async.errors import InvalidParameter
from conference_async.models import (
    ConferenceChange,
    ConferenceStatus,
    NewParticipant,
    ParticipantChange,
)
from conference_async.models.given import given
from conference_async.models.labels import LONGEST, NAME_INVALID, unsendable
from conference_async.plain_values import plain

Request: TypeAlias = NewParticipant | ParticipantChange | ConferenceChange
"""The values that are sent as a form."""

Pairs: TypeAlias = list[tuple[str, str]]
"""Names and values in the order they are sent; a list is a name that repeats."""

LARGEST_PAGE = 1000
_ASCII_ESCAPES = {
    **{code: f"%{code:02X}" for code in range(128) if not chr(code).isalnum()},
    **{ord(as_it_is): as_it_is for as_it_is in "_.-~"},
    ord(" "): "+",
}


@cache
def wire_name(field: str) -> str:
    """Return a field's name as the service spells it: ``from_`` is ``From``."""
    return "".join(map(str.capitalize, field.split("_")))


@lru_cache(maxsize=256)  # an application gives the same few fields again and again
def _wire_names(fields: tuple[str, ...]) -> list[str]:
    return [wire_name(field) for field in fields]


def encode_form(request: Request, *, label: str | None = None) -> bytes:
    """Return a request as an ``application/x-www-form-urlencoded`` body, in UTF-8.

    It sends what is given, in the order of the service's page, then the request's `extra`. What is
    None is left out; an empty string is sent; each item of a list is a pair of its own.

    Args:
        request: What is sent.
        label: The label to give a participant that has none of its own.
    """
    fields, values = given(request)
    pairs: list[str] = []
    for name, value in zip(_wire_names(fields), values, strict=False):
        if type(value) is not str:
            pairs.append(_chosen(name, value))
        elif value.isalnum() and value.isascii():  # as most are: there is nothing to escape
            pairs.append(f"{name}={value}")
        else:
            pairs.append(f"{name}={_escaped(value)}")
    pairs += filter(None, starmap(_pairs, request.extra.items()))  # an empty list sends nothing
    if label is not None:
        pairs.append(f"Label={label}")
    return "&".join(pairs).encode()


def participants_query(
    *,
    muted: bool | None = None,
    hold: bool | None = None,
    coaching: bool | None = None,
    page_size: int | None = None,
) -> str:
    """Return the query of a list of participants, without ``?``; empty if nothing is given.

    Args:
        muted: Only those who are muted, or only those who are not.
        hold: Only those who are on hold, or only those who are not.
        coaching: Only those who coach, or only those who do not.
        page_size: Participants in one page, 1 to 1000; the service's default is 50.

    Raises:
        InvalidParameter: A filter is no bool, or the page size is out of bounds (20007).
    """
    filters = {"muted": muted, "hold": hold, "coaching": coaching}
    pairs: Pairs = []
    for field, value in filters.items():
        if value is None:
            continue
        if type(value) is not bool:
            raise InvalidParameter(field, "must be the bool True or False")
        pairs.append((wire_name(field), "true" if value else "false"))
    return _query(pairs, page_size)


def conferences_query(  # noqa: PLR0913 - one argument for each filter of the service
    *,
    status: ConferenceStatus | str = ConferenceStatus.IN_PROGRESS,
    friendly_name: str | None = None,
    date_created: date | None = None,
    date_created_before: date | None = None,
    date_created_after: date | None = None,
    date_updated: date | None = None,
    date_updated_before: date | None = None,
    date_updated_after: date | None = None,
    page_size: int | None = None,
) -> str:
    """Return the query of a list of conferences, without ``?``.

    The status is always sent: what the service returns without it is changing.

    Args:
        status: One of `ConferenceStatus`.
        friendly_name: Only conferences of exactly this name.
        date_created: Only those created on this day (UTC); an aware datetime is taken by its day.
        date_created_before: Only those created before this day begins (UTC).
        date_created_after: Only those created on or after this day (UTC).
        date_updated: Only those last changed on this day (UTC).
        date_updated_before: Only those last changed before this day begins (UTC).
        date_updated_after: Only those last changed on or after this day (UTC).
        page_size: Conferences in one page, 1 to 1000; the service's default is 50.

    Raises:
        InvalidParameter: A value is not one that the service understands.
    """
    if status not in list(ConferenceStatus):
        known = ", ".join(ConferenceStatus)
        raise InvalidParameter("status", f"must be one of {known}, not {status!r}")
    days = {
        "date_created": ("DateCreated", date_created),
        "date_created_before": ("DateCreated<", date_created_before),
        "date_created_after": ("DateCreated>", date_created_after),
        "date_updated": ("DateUpdated", date_updated),
        "date_updated_before": ("DateUpdated<", date_updated_before),
        "date_updated_after": ("DateUpdated>", date_updated_after),
    }
    pairs = [(name, _day(field, day)) for field, (name, day) in days.items() if day is not None]
    if friendly_name is not None:
        pairs.append(("FriendlyName", _name(friendly_name)))
    pairs.append(("Status", plain(status)))
    return _query(pairs, page_size)


def calls_query(
    *,
    to: str | None = None,
    from_: str | None = None,
    status: str | None = None,
    started_since: datetime | None = None,
    started_before: datetime | None = None,
    ended_since: datetime | None = None,
    page_size: int | None = None,
) -> str:
    """Return the query of the account's call log, without ``?`` (call-resource#read).

    Args:
        to: Only calls to this number.
        from_: Only calls from this number.
        status: Only calls of this status, in the words of calls.
        started_since: Only calls that began at this second (UTC) or later; none that are queued.
        started_before: Only calls that began before this second (UTC).
        ended_since: Only calls that ended at this second (UTC) or later.
        page_size: Calls in one page, 1 to 1000; the service's default is 50.
    """
    given = {
        "To": to,
        "From": from_,
        "Status": status,
        "StartTime>": started_since and _second(started_since),
        "StartTime<": started_before and _second(started_before),
        "EndTime>": ended_since and _second(ended_since),
    }
    return _query([(name, value) for name, value in given.items() if value], page_size)


def _second(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _pairs(name: str, value: object) -> str:
    """Return what carries one value: a pair, or one for each item."""
    if isinstance(value, str):
        return f"{name}={_escaped(value)}"
    if isinstance(value, bool):
        return f"{name}=true" if value else f"{name}=false"
    if isinstance(value, int):
        return f"{name}={value}"
    return "&".join([f"{name}={_escaped(item)}" for item in cast("tuple[str, ...]", value)])


# Flags, numbers and lists of words, of which an application gives the same few again and again.
_chosen = lru_cache(maxsize=1024, typed=True)(_pairs)


def _escaped(text: str) -> str:
    # Nearly all others are phone numbers and the few URLs of the application.
    if text[:1] == "+" and text.isascii() and (number := text[1:]).isalnum():
        return f"%2B{number}"
    return _escaped_url(text) if text.startswith("http") else _escaped_text(text)


def _escaped_text(text: str) -> str:
    return text.translate(_ASCII_ESCAPES) if text.isascii() else quote_plus(text)


_escaped_url = lru_cache(maxsize=256)(_escaped_text)


def _query(pairs: Pairs, page_size: int | None) -> str:
    if page_size is not None:
        if type(page_size) is not int or not 1 <= page_size <= LARGEST_PAGE:
            problem = f"must be an int from 1 to {LARGEST_PAGE}"
            raise InvalidParameter("page_size", problem, code=20007)
        pairs.append(("PageSize", str(page_size)))
    return urlencode(pairs, quote_via=quote, safe="")


def _name(text: object) -> str:
    # It stands in a query, so it may hold what no path can: TwiML may have named a room so.
    if not isinstance(text, str) or not 1 <= len(text) <= LONGEST:
        problem = f"must be text of 1 to {LONGEST} characters"
        raise InvalidParameter("friendly_name", problem, code=NAME_INVALID)
    if unsendable(text):
        raise InvalidParameter("friendly_name", "must not contain control characters")
    return plain(text)


def _day(field: str, day: object) -> str:
    if isinstance(day, datetime) and day.tzinfo is not None:
        return day.astimezone(UTC).date().isoformat()
    if isinstance(day, datetime) or not isinstance(day, date):
        raise InvalidParameter(field, "must be a date, or a datetime that has a time zone")
    return day.isoformat()
