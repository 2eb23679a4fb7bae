"""The one event loop of one process that an object's futures, threads and sockets belong to."""

import asyncio
import os
import time
from weakref import WeakSet

from conference_async.errors import ConfigurationError
from conference_async.rooted import Rooted


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
        self.loop, self._process = loop, os.getpid()
        return True

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


_homes: WeakSet[Home] = WeakSet()


def _leave() -> None:
    """Let nothing take the parent's loop for its own, even if a child runs that very loop."""
    for home in _homes:
        home.loop = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave)
