"""Bodies of replies as values."""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import chain, repeat
from types import NoneType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import attrs

from conference_async.errors import UnexpectedReply
from conference_async.models import Conference, LoggedCall, Participant, PlacedParticipant
from conference_async.wire.json_reader import read_json
from conference_async.wire.readings import read_date
from conference_async.wire.usual import Payload, quickly

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")


@cache
def _converter() -> "Converter":
    from conference_async.wire.converter import make_converter

    return make_converter()


def load_converter() -> None:
    """Load and make what reads unusual replies, and conferences: 20 ms, once.

    It is for whoever makes a client, so that no reply holds up a loop for as long, and importing
    the library does not take it either.
    """
    _converter()


def _generously(payload: object, cls: type[T]) -> T:
    """Read whatever comes."""
    return _converter().structure(payload, cls)


_read_participants = quickly(Participant, _generously)
_read_placed = quickly(PlacedParticipant, _generously)

_BROKEN = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
_CONFERENCE_OF = r"/Conferences/(CF[0-9a-fA-F]{32})/"
_GLIMPSE = 40
_AT_ONCE = 200
"""How many items are read before the loop has its turn: two milliseconds' work at most."""
_PAGING: Mapping[str, type] = {
    **dict.fromkeys(("page", "page_size", "start", "end"), int),
    **dict.fromkeys(("uri", "first_page_uri", "previous_page_uri", "next_page_uri"), str),
}


class PageReply(NamedTuple, Generic[T]):
    """One page of a list, as it comes."""

    payloads: list[Payload]
    """The items of the page, in the service's order, not read yet."""
    keys: list[str]
    """What tells each item from the others; empty text for those that say nothing."""
    read: Callable[[list[Payload]], list[T]]
    """Reads some items, or raises an `UnexpectedReply`."""
    fields: Mapping[str, Any]
    """The paging fields, by the names of `Page`."""

    def handfuls(self) -> deque[Callable[[], list[T]]]:
        """Return calls each of which reads some items, in order; others have a turn in between."""
        several, most = self.payloads, _AT_ONCE
        return deque(
            partial(self.read, several[first : first + most])
            for first in range(0, len(several), most)
        )

    @property
    def items(self) -> Iterator[T]:
        """The items one by one, each read when its turn comes."""
        return chain.from_iterable(read() for read in self.handfuls())


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
    return _decode_page(body, "participants", "call_sid", _read_participants)


def decode_conference_page(body: bytes) -> PageReply[Conference]:
    """Return one page of a list of conferences.

    Raises:
        UnexpectedReply: The body is not the JSON of such a page.
    """
    return _decode_page(body, "conferences", "sid", _read_conferences)


def decode_call(body: bytes) -> LoggedCall:
    """Return the call that a reply about it alone describes.

    Raises:
        UnexpectedReply: The body is not the JSON of a call, or has no SID.
    """
    return _decode(body, "call", _logged)


def decode_call_page(body: bytes) -> PageReply[LoggedCall]:
    """Return one page of the account's call log.

    Raises:
        UnexpectedReply: The body is not the JSON of such a page.
    """
    return _decode_page(body, "calls", "sid", _read_calls)


def _logged(payload: Any) -> LoggedCall:  # noqa: ANN401 -- JSON
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


def _read_calls(payloads: list[Payload]) -> list[LoggedCall]:
    return [_logged(payload) for payload in payloads]


def _read_conferences(payloads: list[Payload]) -> list[Conference]:
    return [_generously(payload, Conference) for payload in payloads]


def _placed(payload: Payload) -> PlacedParticipant:
    (seen,) = _read_placed([payload])
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


def _decode(body: bytes, what: str, read: Callable[[Any], T]) -> T:
    try:
        return read(read_json(body))
    except _BROKEN as error:
        raise _unexpected(body, what, error) from error


def _decode_page(
    body: bytes, items: str, key: str, read: Callable[[list[Payload]], list[T]]
) -> PageReply[T]:
    def readable(payloads: list[Payload]) -> list[T]:
        try:
            return read(payloads)
        except _BROKEN as error:
            raise _unexpected(body, f"page of {items}", error) from error

    try:
        page: dict[str, Any] = read_json(body)
        payloads, fields = _envelope(page, items)
        keys = _keys(payloads, key)
    except _BROKEN as error:
        raise _unexpected(body, f"page of {items}", error) from error
    return PageReply(payloads=payloads, keys=keys, read=readable, fields=fields)


def _keys(payloads: list[Payload], key: str) -> list[str]:
    try:
        keys: list[Any] = list(map(Payload.get, payloads, repeat(key)))
    except TypeError:
        odd = next(each for each in payloads if type(each) is not dict)
        raise TypeError(f"an object expected, not {type(odd).__name__}") from None
    if {str}.issuperset(map(type, keys)):
        return keys
    return [key if type(key) is str else "" for key in keys]


def _envelope(page: dict[str, Any], items: str) -> tuple[list[Payload], dict[str, Any]]:
    payloads: list[Payload] = page[items]
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
