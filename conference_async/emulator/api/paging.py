"""Pages whose links survive people joining and leaving between them."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from urllib.parse import quote, urlencode

from conference_async.emulator.forms import Form
from conference_async.emulator.replies import ApiError, Json
from conference_async.emulator.sids import SidMint, serial_of
from conference_async.emulator.state import Call, Room, position

_USUAL_SIZE = 50
_LARGEST_SIZE = 1000
_TOKEN = re.compile(r"P([AB])(C[AF][0-9a-f]{32})")
_NUMBER = re.compile(r"[0-9]{1,9}")

Row = TypeVar("Row", Call, Room)


def in_order(rows: Sequence[Row], *, newest_first: bool) -> Iterable[Row]:
    """Return rows that are oldest first in the order of a list."""
    return reversed(rows) if newest_first else rows


def page(
    rows: Sequence[Row],
    *,
    key: str,
    show: Callable[[Row], dict[str, Json]],
    path: str,
    query: Form,
    mint: SidMint,
    newest_first: bool = False,
) -> dict[str, Json]:
    """Return the page of `rows` that `query` asks for, in its envelope.

    A token names the row that the page comes after (``PA``) or before (``PB``) in the order of
    creation; the row itself may be gone by then. Filters stay in every link.

    Args:
        rows: All rows that pass the filters, in the order of the list.
        key: The name of the list in the envelope.
        show: Turns a row into its JSON.
        path: The path of the list, with its suffix.
        query: The query of the request.
        mint: Knows whether a token is one of ours.
        newest_first: Whether the newest row comes first in the list, not the oldest.

    Raises:
        ApiError: 20007 for a page size out of 1 to 1000, 21481 for a token that is not ours.
    """
    size, number = _size(query), _number(query)
    token = query.text("PageToken")
    before, chosen, after = _cut(rows, token, size, mint, -1 if newest_first else 1)
    filters: list[tuple[str, str]] = [
        (name, value)
        for name, values in query.values.items()
        if name not in ("Page", "PageSize", "PageToken")
        for value in values
    ]

    def link(number: int, token: str | None) -> str:
        pairs = [*filters, ("PageSize", str(size)), ("Page", str(number))]
        if token is not None:
            pairs.append(("PageToken", token))
        return f"{path}?{urlencode(pairs, quote_via=quote)}"

    start = number * size if chosen else 0
    return {
        key: [show(row) for row in chosen],
        "first_page_uri": link(0, None),
        "next_page_uri": link(number + 1, f"PA{chosen[-1].sid}") if after else None,
        "previous_page_uri": link(max(number - 1, 0), f"PB{chosen[0].sid}") if before else None,
        "uri": link(number, token),
        "page": number,
        "page_size": size,
        "start": start,
        "end": start + max(len(chosen) - 1, 0),
    }


def _cut(
    rows: Sequence[Row], token: str | None, size: int, mint: SidMint, sign: int
) -> tuple[bool, Sequence[Row], bool]:
    """Return whether rows come before, the rows of the page, and whether rows come after."""
    if token is None:
        return False, rows[:size], len(rows) > size
    found = _TOKEN.fullmatch(token)
    if found is None or not mint.issued(found[2]):
        raise ApiError(21481, "Invalid PageToken")
    mark = sign * serial_of(found[2])
    if found[1] == "A":
        first = sum(sign * position(row) <= mark for row in rows)
        last = first + size
    else:
        last = sum(sign * position(row) < mark for row in rows)
        first = max(last - size, 0)
    chosen = rows[first:last]
    return bool(chosen and first), chosen, bool(chosen) and last < len(rows)


def _size(query: Form) -> int:
    text = query.text("PageSize")
    if text is None:
        return _USUAL_SIZE
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= _LARGEST_SIZE:
        raise ApiError(20007, f"Page size must be from 1 to {_LARGEST_SIZE}")
    return int(text)


def _number(query: Form) -> int:
    text = query.text("Page") or "0"
    if not _NUMBER.fullmatch(text):
        raise ApiError(20422, "Invalid parameter: Page", status=422)
    return int(text)
