"""Lists that come in pages, streamed: the next page is fetched while this one is used."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import islice
from typing import Generic, TypeVar

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

    async def pages(self, limit: int | None = None) -> AsyncGenerator[list[T], None]:
        """Yield the items of each page, at most `limit` in all; one page is fetched ahead."""
        path: str | None = self.path
        left = math.inf if limit is None else limit
        visited: set[str] = set()
        seen: set[object] = set()
        seen_before: set[object] = set()
        ahead = self._fetch(self.path)
        try:
            while path is not None:
                visited.add(path)
                items, linked = await ahead
                keys = list(map(self.key, items))
                fresh = [
                    item
                    for item, key in zip(items, keys, strict=True)
                    if key not in seen and key not in seen_before
                ]
                left -= len(fresh)
                path = None if linked is None or left <= 0 else next_page_path(linked)
                if path in visited:
                    raise UnexpectedReply(
                        f"{self.kind}: a page links to one that was read already, so the list "
                        "would never end; repeat it from the start"
                    )
                if path is not None:
                    ahead = self._fetch(path)
                seen.update(keys)
                if len(seen) >= REMEMBERED:
                    seen, seen_before = set(), seen
                yield fresh if left >= 0 else fresh[: int(left)]
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    def _fetch(self, path: str) -> "asyncio.Task[tuple[list[T], str | None]]":
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

    async def stream(self, limit: int | None) -> AsyncGenerator[T, None]:
        """Yield the items one by one, at most `limit` of them."""
        if limit == 0:
            return
        async with aclosing(self.pages(limit)) as pages:
            async for page in pages:
                for item in page:
                    yield item


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
