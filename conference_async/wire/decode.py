"""Bodies of replies as values."""

import json
from collections.abc import Callable, Iterator
from types import NoneType
from typing import Any, Generic, TypeVar

import attrs

from conference_async.errors import UnexpectedReply
from conference_async.models import Conference, Participant
from conference_async.wire.converter import make_converter

T = TypeVar("T")

try:
    import orjson  # reads a page in half the time
except ModuleNotFoundError:
    _loads: Callable[[bytes], Any] = json.loads
else:
    _loads = orjson.loads

_CONVERTER = make_converter()
_READ_PARTICIPANT: Callable[[Any, Any], Participant] = _CONVERTER.get_structure_hook(Participant)
_READ_CONFERENCE: Callable[[Any, Any], Conference] = _CONVERTER.get_structure_hook(Conference)
_BROKEN = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
_GLIMPSE = 40


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """One page of a list."""

    items: Iterator[T]
    """What the page holds, in the service's order. Each is read when it is asked for, which may be
    an `UnexpectedReply`: a thousand at once would hold up the loop."""
    next_page_uri: str | None
    """Where the next page is, as the service said it; None on the last page."""


def decode_participant(body: bytes) -> Participant:
    """Return the participant that a reply describes.

    Raises:
        UnexpectedReply: The body is not the JSON of a participant.
    """
    return _decode(body, Participant, _READ_PARTICIPANT)


def decode_conference(body: bytes) -> Conference:
    """Return the conference that a reply describes.

    Raises:
        UnexpectedReply: The body is not the JSON of a conference.
    """
    return _decode(body, Conference, _READ_CONFERENCE)


def decode_participant_page(body: bytes) -> Page[Participant]:
    """Return one page of a list of participants.

    Raises:
        UnexpectedReply: The body is not the JSON of such a page.
    """
    return _decode_page(body, "participants", Participant, _READ_PARTICIPANT)


def decode_conference_page(body: bytes) -> Page[Conference]:
    """Return one page of a list of conferences.

    Raises:
        UnexpectedReply: The body is not the JSON of such a page.
    """
    return _decode_page(body, "conferences", Conference, _READ_CONFERENCE)


def _decode(body: bytes, cls: type[T], read: Callable[[Any, Any], T]) -> T:
    try:
        return read(_loads(body), cls)
    except _BROKEN as error:
        raise _unexpected(body, cls.__name__.lower(), error) from error


def _decode_page(body: bytes, items: str, cls: type[T], read: Callable[[Any, Any], T]) -> Page[T]:
    try:
        payloads, uri = _envelope(_loads(body), items)
    except _BROKEN as error:
        raise _unexpected(body, f"page of {items}", error) from error

    def each() -> Iterator[T]:
        try:
            for payload in payloads:
                yield read(payload, cls)
        except _BROKEN as error:
            raise _unexpected(body, f"page of {items}", error) from error

    return Page(items=each(), next_page_uri=uri or None)


def _envelope(page: dict[str, Any], items: str) -> tuple[list[Any], str | None]:
    payloads: list[Any] = page[items]
    uri: str | None = page.get("next_page_uri")
    if type(payloads) is not list or type(uri) not in {str, NoneType}:
        raise TypeError(f"{items!r} or 'next_page_uri' is of the wrong type")
    return payloads, uri


def _unexpected(body: bytes, what: str, error: Exception) -> UnexpectedReply:
    start = body[:_GLIMPSE].decode(errors="replace")
    if not body:
        reason = "it is empty"
    elif not start.startswith(("{", "[")):
        reason = f"it begins with {start!r}"
    elif isinstance(error, KeyError):
        reason = f"it has no {error}"
    else:
        reason = str(error)
    return UnexpectedReply(
        f"the reply is not the JSON of a {what}: {reason}; "
        "check the base URL, and any proxy in between"
    )
