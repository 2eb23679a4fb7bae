"""Bodies of replies as values."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from conference_async.errors import UnexpectedReply
from conference_async.models import Conference, LoggedCall, Participant, PlacedParticipant
from conference_async.wire.readings import read_date
from conference_async.wire.usual import quickly

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")

_loads: Callable[[bytes], Any] = json.loads
try:
    import orjson  # reads a page in half the time
except ModuleNotFoundError:
    pass
else:

    def _quickly(body: bytes) -> Any:  # noqa: ANN401 -- JSON
        try:
            return orjson.loads(body)
        except ValueError:
            # What has happened, happened: half a character or an endless number in some property
            # must not make it unknown, or depend on what is installed.
            return json.loads(body)

    _loads = _quickly


@cache
def _converter() -> "Converter":
    from conference_async.wire.converter import make_converter

    return make_converter()


def _generously(payload: object, cls: type[T]) -> T:
    """Read whatever comes; what that needs is made when it first does, which is seldom."""
    return _converter().structure(payload, cls)


_read_participant = quickly(Participant, _generously)
_read_placed = quickly(PlacedParticipant, _generously)

_BROKEN = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
_CONFERENCE_OF = r"/Conferences/(CF[0-9a-fA-F]{32})/"
_GLIMPSE = 40
_PAGING: Mapping[str, type] = {
    **dict.fromkeys(("page", "page_size", "start", "end"), int),
    **dict.fromkeys(("uri", "first_page_uri", "previous_page_uri", "next_page_uri"), str),
}


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PageReply(Generic[T]):
    """One page of a list, as it comes."""

    items: Iterator[T]
    """The items of the page, in the service's order. Each is read when it is asked for, which may
    be an `UnexpectedReply`: a thousand at once would hold up the loop."""
    fields: Mapping[str, Any]
    """The paging fields, by the names of `Page`."""


def decode_participant(body: bytes) -> PlacedParticipant:
    """Return the participant that a reply about it alone describes.

    Raises:
        UnexpectedReply: The body is not the JSON of a participant, or names no call.
    """
    return _decode(body, "participant", _placed)


def decode_conference(body: bytes) -> Conference:
    """Return the conference that a reply about it alone describes.

    Raises:
        UnexpectedReply: The body is not the JSON of a conference, or has no SID.
    """
    return _decode(body, "conference", _known)


def decode_participant_page(body: bytes) -> PageReply[Participant]:
    """Return one page of a list of participants.

    Raises:
        UnexpectedReply: The body is not the JSON of such a page.
    """
    return _decode_page(body, "participants", Participant, _read_participant)


def decode_conference_page(body: bytes) -> PageReply[Conference]:
    """Return one page of a list of conferences.

    Raises:
        UnexpectedReply: The body is not the JSON of such a page.
    """
    return _decode_page(body, "conferences", Conference, _generously)


def decode_call(body: bytes) -> LoggedCall:
    """Return the call that a reply about it alone describes.

    Raises:
        UnexpectedReply: The body is not the JSON of a call, or has no SID.
    """
    return _decode(body, "call", lambda payload: _logged(payload, LoggedCall))


def decode_call_page(body: bytes) -> PageReply[LoggedCall]:
    """Return one page of the account's call log.

    Raises:
        UnexpectedReply: The body is not the JSON of such a page.
    """
    return _decode_page(body, "calls", LoggedCall, _logged)


def _logged(payload: Any, _: object) -> LoggedCall:  # noqa: ANN401 -- JSON
    def text(name: str) -> str | None:
        value: object = payload.get(name)
        return value if isinstance(value, str) else None

    sid = text("sid")
    if not sid:
        raise KeyError("sid")
    return LoggedCall(
        sid=sid,
        to=text("to"),
        from_=text("from"),
        status=text("status") or "",
        direction=text("direction"),
        answered_by=text("answered_by") or None,
        date_created=read_date(text("date_created") or ""),
    )


def _placed(payload: object) -> PlacedParticipant:
    seen = _read_placed(payload, PlacedParticipant)
    if not seen.call_sid:
        raise KeyError("call_sid")
    if seen.conference_sid:
        return seen
    within = re.search(_CONFERENCE_OF, seen.uri or "")
    return attrs.evolve(seen, conference_sid=within[1] if within else "")


def _known(payload: object) -> Conference:
    seen = _generously(payload, Conference)
    if not seen.sid:
        raise KeyError("sid")
    return seen


def _decode(body: bytes, what: str, read: Callable[[object], T]) -> T:
    try:
        return read(_loads(body))
    except _BROKEN as error:
        raise _unexpected(body, what, error) from error


def _decode_page(
    body: bytes, items: str, cls: type[T], read: Callable[[Any, Any], T]
) -> PageReply[T]:
    try:
        payloads, fields = _envelope(_loads(body), items)
    except _BROKEN as error:
        raise _unexpected(body, f"page of {items}", error) from error

    def each() -> Iterator[T]:
        try:
            for payload in payloads:
                yield read(payload, cls)
        except _BROKEN as error:
            raise _unexpected(body, f"page of {items}", error) from error

    return PageReply(items=each(), fields=fields)


def _envelope(page: dict[str, Any], items: str) -> tuple[list[Any], dict[str, Any]]:
    payloads: list[Any] = page[items]
    # Only the link to the next page decides something; what else is unreadable is left out.
    if type(payloads) is not list or type(page.get("next_page_uri")) not in {str, NoneType}:
        raise TypeError(f"{items!r} or 'next_page_uri' is of the wrong type")
    fields = {
        name: page[name] or (0 if kind is int else None)
        for name, kind in _PAGING.items()
        if type(page.get(name)) is kind
    }
    return payloads, fields


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
