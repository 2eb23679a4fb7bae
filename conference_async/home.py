"""The one event loop of one process that an object's futures, threads and sockets belong to."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from weakref import WeakSet

from conference_async.errors import ConfigurationError
from conference_async.rooted import Rooted, of_the_parent

_LAST_WORDS = "conference_async: last words"
_AT_ITS_END = 2.0
"""Seconds for which a loop that ends waits for them."""


class Home(Rooted):
    """The event loop and the process that something lives in, and whether it has moved.

    Objects outlive both: one asyncio.run follows another, and a process forks after they were
    used. What belonged to the place before is then left behind, and made again.

    Attributes:
        loop: The loop; None before there is one, and in a process that was forked since. Whoever
            comes often compares it with the running one, and settles if it is another.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._end: AsyncGenerator[None, None] | None = None
        self._words: set[asyncio.Task[None]] = set()
        _homes.add(self)

    def settle(self, elsewhere: str, *, what: str = "limit") -> bool:
        """Take the running loop, if one runs, for home; return whether it was not that before.

        Args:
            elsewhere: What to do if the loop before is still running, for the error.
            what: What lives here, for the error.

        Raises:
            ConfigurationError: It is, in another thread of this process.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if loop is self.loop:
            return False
        if self.awake:
            raise ConfigurationError(
                f"this {what} is in use on another running event loop; {elsewhere}"
            )
        if self.forked:
            of_the_parent.append(self._end)
        self.loop, self._process, self._end = loop, os.getpid(), None
        self._words = set()
        return True

    def last_words(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Start a task that the loop, if it ends meanwhile, waits for: two seconds at most."""
        words = self._words

        async def say() -> None:
            if self._end is None:
                self._end = _until_the_loop_ends(words)
                await anext(self._end)
            await work()

        task = asyncio.get_running_loop().create_task(say(), name=_LAST_WORDS)
        words.add(task)
        task.add_done_callback(words.discard)
        return task

    @property
    def here(self) -> bool:
        """Whether it is the loop that runs."""
        return self.loop is asyncio.get_running_loop()

    @property
    def awake(self) -> bool:
        """Whether the loop is running, so that tasks can be made on it."""
        return self.loop is not None and self.loop.is_running()

    @property
    def forked(self) -> bool:
        """Whether this process was forked from the one that settled here."""
        return self._process not in {0, os.getpid()}

    @property
    def now(self) -> float:
        """The time of the loop that runs, or else of the one that ran here last, in seconds."""
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return time.monotonic() if self.loop is None else self.loop.time()


async def all_said() -> None:
    """Wait until the last words of all on this loop are said, which ends, for two seconds at most.

    `asyncio.run` cancels all tasks once, and forgets those that begin by that, as others end. But
    it closes the generators that are left then: who has one can wait in it.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_AT_ITS_END):
            while tasks := [each for each in asyncio.all_tasks() if each.get_name() == _LAST_WORDS]:
                await asyncio.wait(tasks)


async def _until_the_loop_ends(words: set[asyncio.Task[None]]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await all_said()
        # Nobody else's: this is closed too when garbage is collected, on a loop that goes on.
        for task in [*words]:
            task.cancel()
            await asyncio.wait([task])


_homes: WeakSet[Home] = WeakSet()


def _leave() -> None:
    """Let nothing take the parent's loop for its own, even if a child runs that very loop."""
    for home in _homes:
        home.loop = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave)
