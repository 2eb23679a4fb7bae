"""The one event loop of one process that an object's futures, threads and sockets belong to."""

import asyncio
import os
import time

from conference_async.errors import ConfigurationError
from conference_async.rooted import Rooted


class Home(Rooted):
    """The event loop and the process that something lives in, and whether it has moved.

    Objects outlive both: one asyncio.run follows another, and a process forks after they were
    used. What belonged to the place before is then left behind, and made again.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0

    @property
    def here(self) -> bool:
        """Whether it is the loop that runs, in this process."""
        return self._loop is asyncio.get_running_loop() and self._process == os.getpid()

    def settle(self, elsewhere: str, *, what: str = "limit") -> bool:
        """Take the running loop, if one runs, for home; return whether it was not that before.

        Args:
            elsewhere: What to do if the loop before is still running, for the error.
            what: What lives here, for the error.

        Raises:
            ConfigurationError: It is, in another thread of this process.
        """
        try:
            loop, process = asyncio.get_running_loop(), os.getpid()
        except RuntimeError:
            return False
        if loop is self._loop and process == self._process:
            return False
        # In a child the parent's loop looks as if it ran without end.
        if self._loop is not None and self._loop.is_running() and process == self._process:
            raise ConfigurationError(
                f"this {what} is in use on another running event loop; {elsewhere}"
            )
        self._loop, self._process = loop, process
        return True

    @property
    def awake(self) -> bool:
        """Whether the loop is running, so that tasks can be made on it."""
        return self._loop is not None and self._loop.is_running()

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
            return time.monotonic() if self._loop is None else self._loop.time()
