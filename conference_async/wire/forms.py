"""Requests as form bodies and query strings, in the service's own names and spellings."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from operator import attrgetter
from typing import Any, TypeAlias, cast
from urllib.parse import quote, quote_plus, urlencode

import attrs

from conference_async.errors import InvalidParameter
from conference_async.models import (
    ConferenceChange,
    ConferenceStatus,
    NewParticipant,
    ParticipantChange,
    check_conference,
)

Request: TypeAlias = NewParticipant | ParticipantChange | ConferenceChange
"""What is sent as a form."""

Pairs: TypeAlias = list[tuple[str, str]]
"""Names and values in the order they are sent; a list is a name that repeats."""

LARGEST_PAGE = 1000
_ASCII_ESCAPES = {number: quote_plus(chr(number)) for number in range(128)}


def wire_name(field: str) -> str:
    """Return a field's name as the service spells it: ``from_`` is ``From``."""
    return "".join(map(str.capitalize, field.split("_")))


Reader: TypeAlias = tuple[tuple[str, ...], Callable[[Request], tuple[object, ...]]]
"""The service's names for the fields of a request, and what reads all their values at once."""


def _reader(cls: type[attrs.AttrsInstance]) -> Reader:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cls)
    names = [field.name for field in fields if field.name != "extra"]
    return tuple(map(wire_name, names)), attrgetter(*names)


_READERS: dict[type[Request], Reader] = {
    cls: _reader(cls) for cls in (NewParticipant, ParticipantChange, ConferenceChange)
}


def form_pairs(request: Request) -> Pairs:
    """Return what a request sends, in the order of the service's page, then its `extra`.

    What is None is left out; an empty string is sent; each item of a list is a pair of its own.
    """
    pairs: Pairs = []
    names, values_of = _READERS[type(request)]
    for name, value in zip(names, values_of(request), strict=True):
        if value is not None:
            pairs += _spelled(name, value)
    for name, value in request.extra.items():
        pairs += _spelled(name, value)
    return pairs


def encode_form(request: Request, *, label: str | None = None) -> bytes:
    """Return a request as an ``application/x-www-form-urlencoded`` body, in UTF-8.

    Args:
        request: What is sent.
        label: The label to give a participant that has none of its own.
    """
    pairs = form_pairs(request)
    if label is not None:
        pairs.append(("Label", label))
    return "&".join([f"{name}={_escaped(value)}" for name, value in pairs]).encode("ascii")


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
        pairs += _spelled(wire_name(field), value)
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
        date_created_before: Only those created up to this day (UTC).
        date_created_after: Only those created on or after this day (UTC).
        date_updated: Only those last changed on this day (UTC).
        date_updated_before: Only those last changed up to this day (UTC).
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
        pairs.append(("FriendlyName", check_conference(friendly_name)))
    pairs.append(("Status", str(status)))
    return _query(pairs, page_size)


def _spelled(name: str, value: object) -> Pairs:
    """Return the pairs that carry one value."""
    if isinstance(value, str):
        return [(name, value)]
    if isinstance(value, bool):
        return [(name, "true" if value else "false")]
    if isinstance(value, int):
        return [(name, str(value))]
    return [(name, item) for item in cast("tuple[str, ...]", value)]


def _escaped(text: str) -> str:
    # Nearly all values are ASCII, and looking their characters up takes a fifth of the time.
    return text.translate(_ASCII_ESCAPES) if text.isascii() else quote_plus(text)


def _query(pairs: Pairs, page_size: int | None) -> str:
    if page_size is not None:
        if type(page_size) is not int or not 1 <= page_size <= LARGEST_PAGE:
            problem = f"must be an int from 1 to {LARGEST_PAGE}"
            raise InvalidParameter("page_size", problem, code=20007)
        pairs.append(("PageSize", str(page_size)))
    return urlencode(pairs, quote_via=quote, safe="")


def _day(field: str, day: date) -> str:
    if not isinstance(day, datetime):
        return day.isoformat()
    if day.tzinfo is None:
        raise InvalidParameter(field, "must be a date, or a datetime that has a time zone")
    return day.astimezone(UTC).date().isoformat()
