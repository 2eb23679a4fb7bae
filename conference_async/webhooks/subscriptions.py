"""One stream of items to several readers, each with a bounded buffer of its own."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, Self, TypeVar
from weakref import WeakSet

from conference_async.bounds import check_count
from conference_async.time_limits import time_limit

T = TypeVar("T")

_LONGEST_LINE: Final = 10_000
"""More senders do not wait for room: they would be many times what any reader takes in time."""


class Subscription(Generic[T]):
    """One reader's place in a stream: an async iterator, and a context manager that ends it.

    It takes what is sent from the moment it was made. It belongs to one task. A subscription
    that nobody holds any more ends by itself.
    """

    def __init__(self, fanout: "Fanout[T]", buffer: int) -> None:
        self._fanout = fanout
        self._buffer = buffer
        self._items: deque[T] = deque()
        self._readable = asyncio.Event()
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether nothing more fits before the reader takes something."""
        return len(self._items) >= self._buffer

    def push(self, item: T) -> None:
        """Add an item at the end; the caller has seen to it that it fits."""
        self._items.append(item)
        self._readable.set()

    def drain(self) -> Sequence[T]:
        """Take everything that was not read yet."""
        unread = tuple(self._items)
        self._items.clear()
        return unread

    def close(self) -> None:
        """Take nothing more; what is there can still be read, then the iteration ends."""
        self._closed = True
        self._readable.set()
        self._fanout.remove(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._readable.clear()
            await self._readable.wait()
        was_full = self.full
        item = self._items.popleft()
        if was_full:
            self._fanout.wake()
        return item

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._fanout.leave_unread(self.drain())

    def __repr__(self) -> str:
        state = ", closed" if self._closed else ""
        return f"<Subscription {len(self._items)} of {self._buffer} waiting{state}>"


class Fanout(Generic[T]):
    """The readers of one stream."""

    def __init__(self, unread: Callable[[Sequence[T]], None] | None = None) -> None:
        """Make a stream without readers.

        Args:
            unread: Called with the items that a reader has left behind by going, if there are any.
        """
        self._unread = unread
        self._readers: WeakSet[Subscription[T]] = WeakSet()
        self._line: dict[asyncio.Future[None], None] = {}
        self._closed = False

    def subscribe(self, buffer: int) -> Subscription[T]:
        """Return a new reader's place, with room for `buffer` items, 1 or more.

        Raises:
            ConfigurationError: There would be no room at all.
        """
        subscription = Subscription(self, check_count("buffer", buffer))
        if self._closed:
            subscription.close()
        else:
            self._readers.add(subscription)
        return subscription

    def _subscriptions(self) -> Sequence[Subscription[T]]:
        # Mostly there is none, and to go through an empty set of weak references takes longer than
        # to apply an event. No list outlives its use: a reader that was dropped must not stay.
        return list(self._readers) if self._readers else ()

    def remove(self, subscription: Subscription[T]) -> None:
        """Send nothing more to a reader."""
        self._readers.discard(subscription)
        self.wake()

    def leave_unread(self, items: Sequence[T]) -> None:
        """Take what a reader leaves behind."""
        if items and self._unread:
            self._unread(items)

    async def room(self, patience: float) -> bool:
        """Return whether there is room at every reader, after at most `patience` seconds.

        Whoever finds room sends before it awaits anything else, or leaves the room to the next.
        """
        if not self._readers and not self._line:  # as mostly: it is asked for each event
            return True
        # One that was dropped while it was full has woken nobody.
        self.wake()
        if not self._line and not self._is_full():
            return True
        if len(self._line) >= _LONGEST_LINE:
            return False
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._line[turn] = None
        try:
            async with time_limit(patience):
                await turn
        except TimeoutError:
            return False
        finally:
            self._line.pop(turn, None)
            # The next in line looks once this one has sent, or has gone without.
            loop.call_soon(self.wake)
        return True

    def wake(self) -> None:
        """Give the first in line its turn if there is room; all the others sleep on."""
        while self._line and not self._is_full():
            turn = next(iter(self._line))
            if turn.get_loop().is_running():
                if not turn.done():
                    turn.set_result(None)
                return
            # Left over from a loop that was stopped.
            del self._line[turn]

    def _is_full(self) -> bool:
        return any(subscription.full for subscription in self._subscriptions())

    def send(self, item: T) -> None:
        """Hand an item to every reader; there is room at each."""
        for subscription in self._subscriptions():
            subscription.push(item)

    def send_or_replace(self, item: T, replacement: T) -> None:
        """Hand an item to every reader; one that is full gets the replacement instead of all."""
        for subscription in self._subscriptions():
            if subscription.full:
                subscription.drain()
                subscription.push(replacement)
            else:
                subscription.push(item)

    def close(self) -> None:
        """End every reader's iteration once it has read what is there."""
        self._closed = True
        for subscription in self._subscriptions():
            subscription.close()
