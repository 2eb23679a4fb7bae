"""Lists that come in pages, streamed: the next page is fetched while this one is used."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Self, TypeAlias, TypeVar

from conference_async.errors import InvalidParameter, RequestTimeout, UnexpectedReply
from conference_async.models import Page
from conference_async.sending.messages import Request
from conference_async.sending.sender import Sender
from conference_async.time_limits import time_limit
from conference_async.wire import LARGEST_PAGE, PageReply, next_page_path, start_path

T = TypeVar("T")
Fetched: TypeAlias = tuple[str, PageReply[T]]
"""A page as it came, after the path that it was fetched from."""

_FRUITLESS = 100
"""How many pages in a row may bring nobody new. Arrivals shift people by a few places; pages that
link on without end, each to another token, are no list."""

REMEMBERED = 10_000
"""How many of the last items are known again, at least; at most twice as many and a page. Arrivals
shift people by a few places, not by ten of the largest pages, and memory must not grow with the
list."""


class Listing(Generic[T]):
    """How to walk one list.

    Attributes:
        sender: What to send through.
        kind: The operation's name for events.
        open: Fetches the first page, given what fetches the page of a path.
        decode: Reads a page.
        resource: What a 404 says is missing.
    """

    def __init__(
        self,
        *,
        sender: Sender,
        kind: str,
        open: Callable[[Callable[[str], Awaitable[Fetched[T]]]], Awaitable[Fetched[T]]],  # noqa: A002 -- what it does
        decode: Callable[[bytes], PageReply[T]],
        resource: str,
    ) -> None:
        self.sender = sender
        self.kind = kind
        self.open = open
        self.decode = decode
        self.resource = resource

    def walk(self, limit: int | None = None) -> "Walk[T]":
        """Return a walk through the list, of `limit` items at most; use it with ``async with``."""
        return Walk(self, limit)

    async def page(self, path: str) -> Fetched[T]:
        """Return the page of a path, with that path."""
        request = Request(kind=self.kind, method="GET", path=path)
        reply = await self.sender.request(request, resource=self.resource)
        return path, reply.read(self.decode)


class Walk(Generic[T]):
    """One walk through a list: an iterator of handfuls of items, or of whole pages.

    The page after the one at hand is fetched ahead. Items are read when they are asked for: so
    few of them are alive at a time, and the collector of garbage has little to look at.

    It is no generator: an event loop that ends closes all generators at once, and of those that
    hold each other it complains.
    """

    def __init__(self, listing: Listing[T], limit: int | None) -> None:
        self._listing = listing
        self._left = math.inf if limit is None else limit
        self._ahead: asyncio.Task[Fetched[T]] | None = None
        self._unread: deque[Callable[[], list[T]]] = deque()
        self._visited: set[int] = set()  # hashes, since a link may be long
        self._fruitless = 0
        self._seen: set[str] = set()
        self._seen_before: set[str] = set()

    async def __aenter__(self) -> Self:
        if self._left > 0:
            first = self._listing.open(self._listing.page)
            self._ahead = asyncio.ensure_future(first)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[T]:
        if self._unread:  # else others have their turn while a page is waited for
            await asyncio.sleep(0)
        while not self._unread:
            page = await self._next()
            if page is None:
                raise StopAsyncIteration
            self._unread = page.handfuls()
        return self._unread.popleft()()

    async def page(self) -> Page[T] | None:
        """Return the next page, whole; None after the last one."""
        page = await self._next()
        if page is None:
            return None
        items: list[T] = []
        for read in page.handfuls():
            if items:
                await asyncio.sleep(0)
            items += read()
        return Page(items, **page.fields)

    async def _next(self) -> PageReply[T] | None:
        """Return the next page, without those who came before, and send for the one after it."""
        if self._ahead is None:
            return None
        path, page = await self._ahead
        # Whoever joins or leaves meanwhile shifts the others, and nobody may come twice.
        keys, fresh = set(page.keys), page.payloads
        keys.discard("")  # it says nothing
        seen, before = self._seen, self._seen_before
        if len(keys) < len(fresh) or not (seen.isdisjoint(keys) and before.isdisjoint(keys)):
            together = zip(page.payloads, page.keys, strict=True)
            fresh = [item for item, key in together if self._is_new(key)]
        self._left -= len(fresh)
        self._fruitless = 0 if fresh else self._fruitless + 1
        self._ahead = self._follow(path, page.fields.get("next_page_uri"))
        seen.update(keys)
        if len(seen) >= REMEMBERED:
            self._seen, self._seen_before = set(), seen
        if self._left < 0:
            del fresh[int(self._left) :]
        return page._replace(payloads=fresh)

    def _is_new(self, key: str) -> bool:
        """Return whether nobody came with this key before, and remember it."""
        if key in self._seen or key in self._seen_before:
            return False
        if key:
            self._seen.add(key)
        return True

    def _follow(self, path: str, link: str | None) -> asyncio.Task[Fetched[T]] | None:
        if link is None or self._left <= 0:
            return None
        self._visited.add(hash(path))
        following = next_page_path(link)
        if hash(following) in self._visited:
            raise self._endless("a page links to one that was read already")
        if self._fruitless >= _FRUITLESS:
            raise self._endless(f"{_FRUITLESS} pages in a row brought nobody new")
        return asyncio.create_task(self._listing.page(following))

    def _endless(self, why: str) -> UnexpectedReply:
        return UnexpectedReply(
            f"{self._listing.kind}: {why}, so the list would never end; repeat it from the start"
        )


async def whole(walk: Walk[T], deadline: float | None) -> list[T]:
    """Return all that a walk comes by, as one call with one deadline.

    Raises:
        RequestTimeout: It took longer than `deadline` seconds.
    """
    items: list[T] = []
    scope = time_limit(deadline)
    try:
        async with scope, walk:
            async for some in walk:
                items += some
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise RequestTimeout(
            f"list: not at its end within its deadline of {deadline:g} s; it is safe to repeat, "
            "with a limit= perhaps, or to use stream()"
        ) from error
    return items


def page_size_for(limit: int | None, page_size: int | None) -> int | None:
    """Return the page size to ask for, or None for the service's own (50).

    Raises:
        InvalidParameter: `limit` is not an int of 0 or more.
    """
    if limit is not None and (type(limit) is not int or limit < 0):
        raise InvalidParameter("limit", f"must be an int of 0 or more, not {limit!r}")
    if limit is None or page_size is not None:
        return page_size
    return max(1, min(limit, LARGEST_PAGE))


def check_filters(listed: str, given: Mapping[str, object], known: type) -> None:
    """Refuse keywords that are not among the filters of a list.

    Raises:
        TypeError: One of them is unknown; it names the public methods, and what they take.
    """
    if unknown := given.keys() - known.__annotations__:
        raise TypeError(
            f"{listed}.list(), stream() and pages() take no {min(unknown)!r}, but "
            f"{', '.join(known.__annotations__)}, page_size, limit and start"
        )


def first_page(
    path: str, query: str, start: str | None, page_size: int | None, filters: Mapping[str, object]
) -> str:
    """Return the path and query of the page to begin at.

    Raises:
        InvalidParameter: `start` is no link into the list, or anything that it holds is given too.
    """
    if start is None:
        return f"{path}?{query}" if query else path
    if filters or page_size is not None:
        raise InvalidParameter("start", "holds the filters and page size already; leave them out")
    return start_path(start, of=path)
