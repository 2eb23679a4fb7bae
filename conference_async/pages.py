"""Lists that come in pages, streamed: the next page is fetched while this one is used."""

import asyncio
import math
from collections.abc import Callable
from itertools import islice
from typing import Generic, Self, TypeVar

import attrs

from conference_async.errors import InvalidParameter, UnexpectedReply
from conference_async.sender import Sender
from conference_async.transport import Request
from conference_async.wire import Page, next_page_path

T = TypeVar("T")

MAX_PAGE_SIZE = 1000
_AT_ONCE = 100
"""How many items are read before the loop has its turn: about a millisecond's work."""

REMEMBERED = 10_000
"""How many of the last items are known again, at least; at most twice as many and a page. Arrivals
shift people by a few places, not by ten of the largest pages, and memory must not grow with the
list."""


@attrs.frozen(kw_only=True)
class Listing(Generic[T]):
    """How to walk one list.

    Attributes:
        sender: What to send through.
        kind: The operation's name for events.
        path: Path and query of the first page.
        decode: Reads a page.
        key: What tells an item from another: a person who joins or leaves meanwhile shifts the
            others, and nobody may come twice.
        resource: What a 404 says is missing.
    """

    sender: Sender
    kind: str
    path: str
    decode: Callable[[bytes], Page[T]]
    key: Callable[[T], object]
    resource: str

    def walk(self, limit: int | None = None) -> "Walk[T]":
        """Return a walk through the list, of `limit` items at most; use it with ``async with``."""
        return Walk(self, limit)

    def fetch(self, path: str) -> "asyncio.Task[tuple[list[T], str | None]]":
        """Begin to fetch a page: its items, and the link to the next one."""
        return asyncio.create_task(self._page(path))

    async def _page(self, path: str) -> tuple[list[T], str | None]:
        request = Request(kind=self.kind, method="GET", path=path)
        reply = await self.sender.request(request, resource=self.resource)
        items: list[T] = []
        try:
            page = self.decode(reply.body)
            while some := list(islice(page.items, _AT_ONCE)):
                items += some
                await asyncio.sleep(0)
        except UnexpectedReply as error:
            reply.sign(error)
            raise
        return items, page.next_page_uri


class Walk(Generic[T]):
    """One walk through a list: an iterator of pages, of which one is fetched ahead.

    It is no generator: an event loop that ends closes all generators at once, and of those that
    hold each other it complains.
    """

    def __init__(self, listing: Listing[T], limit: int | None) -> None:
        self._listing = listing
        self._left = math.inf if limit is None else limit
        self._path = listing.path
        self._ahead: asyncio.Task[tuple[list[T], str | None]] | None = None
        self._visited: set[str] = set()
        self._seen: set[object] = set()
        self._seen_before: set[object] = set()

    async def __aenter__(self) -> Self:
        if self._left > 0:
            self._ahead = self._listing.fetch(self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[T]:
        if self._ahead is None:
            raise StopAsyncIteration
        items, linked = await self._ahead
        keys = list(map(self._listing.key, items))
        fresh = [
            item
            for item, key in zip(items, keys, strict=True)
            if key not in self._seen and key not in self._seen_before
        ]
        self._left -= len(fresh)
        self._ahead = self._follow(linked)
        self._seen.update(keys)
        if len(self._seen) >= REMEMBERED:
            self._seen, self._seen_before = set(), self._seen
        return fresh if self._left >= 0 else fresh[: int(self._left)]

    def _follow(self, link: str | None) -> "asyncio.Task[tuple[list[T], str | None]] | None":
        if link is None or self._left <= 0:
            return None
        self._visited.add(self._path)
        self._path = next_page_path(link)
        if self._path in self._visited:
            raise UnexpectedReply(
                f"{self._listing.kind}: a page links to one that was read already, so the list "
                "would never end; repeat it from the start"
            )
        return self._listing.fetch(self._path)


def page_size_for(limit: int | None, page_size: int | None) -> int | None:
    """Return the page size to ask for, or None for the service's own (50).

    Raises:
        InvalidParameter: `limit` is negative, or `page_size` not from 1 to 1000 (20007).
    """
    if limit is not None and (isinstance(limit, bool) or limit < 0):
        raise InvalidParameter("limit", f"must be 0 or more, not {limit!r}")
    if page_size is None:
        return None if limit is None else max(1, min(limit, MAX_PAGE_SIZE))
    if isinstance(page_size, bool) or not 1 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidParameter(
            "page_size", f"must be from 1 to {MAX_PAGE_SIZE}, not {page_size!r}", code=20007
        )
    return page_size
