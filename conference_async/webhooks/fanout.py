"""One stream of items to several readers, each with a bounded buffer of its own."""

import asyncio
from collections import deque
from typing import Generic, Self, TypeVar
from weakref import WeakSet

T = TypeVar("T")


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

    def clear(self) -> None:
        """Forget what was not read yet."""
        self._items.clear()

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

    def __repr__(self) -> str:
        state = ", closed" if self._closed else ""
        return f"<Subscription {len(self._items)} of {self._buffer} waiting{state}>"


class Fanout(Generic[T]):
    """The readers of one stream."""

    def __init__(self) -> None:
        self._subscriptions: WeakSet[Subscription[T]] = WeakSet()
        self._room_made = asyncio.Event()
        self._closed = False

    def subscribe(self, buffer: int) -> Subscription[T]:
        """Return a new reader's place, with room for `buffer` items."""
        subscription = Subscription(self, buffer)
        if self._closed:
            subscription.close()
        else:
            self._subscriptions.add(subscription)
        return subscription

    def remove(self, subscription: Subscription[T]) -> None:
        """Send nothing more to a reader."""
        self._subscriptions.discard(subscription)
        self.wake()

    def wake(self) -> None:
        """Tell those who wait for room that there may be some."""
        # A new event each time: one that is reused would stay bound to its first loop.
        self._room_made.set()
        self._room_made = asyncio.Event()

    async def room(self, patience: float) -> bool:
        """Return whether there is room at every reader, after at most `patience` seconds."""
        deadline = asyncio.get_running_loop().time() + patience
        while self._is_full():
            try:
                async with asyncio.timeout_at(deadline):
                    await self._room_made.wait()
            except TimeoutError:
                return False
        return True

    def _is_full(self) -> bool:
        # No reference to a reader outlives this: one that was dropped must not stay in the way.
        return any(subscription.full for subscription in self._subscriptions)

    def send(self, item: T) -> None:
        """Hand an item to every reader; there is room at each."""
        for subscription in self._subscriptions:
            subscription.push(item)

    def send_or_replace(self, item: T, replacement: T) -> None:
        """Hand an item to every reader; one that is full gets the replacement instead of all."""
        for subscription in self._subscriptions:
            if subscription.full:
                subscription.clear()
                subscription.push(replacement)
            else:
                subscription.push(item)

    def close(self) -> None:
        """End every reader's iteration once it has read what is there."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.close()
