"""Notices of PostgreSQL that something was appended to a log of events."""

import asyncio
from contextlib import suppress
from typing import Final

from conference_async.home import Home
from conference_async.postgres.notices import Notices

CHANNEL: Final = "conference_async_event"
_POLL: Final = 1.0
"""Seconds between two looks where notices do not come through, as behind a pooler."""

_ROUND: Final = 10.0
"""Seconds after which the server is asked whether it is still there."""


class Listener:
    """Hears of changes; where notices do not come through, looking again every second does.

    Args:
        dsn: A connection string or URL as libpq reads them.
        name: Which log it listens to.
    """

    def __init__(self, dsn: str, name: str) -> None:
        self._name = name
        self._notices = Notices(
            dsn,
            channels=[CHANNEL],
            purpose="PostgresEvents",
            hear=self._hear,
            begun=self._look,
            every=_ROUND,
        )
        self._home = Home()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def changed(self) -> asyncio.Event:
        """Return what is set when something is appended after this."""
        if self._home.settle("make one for each loop", what="log of events"):
            self._task, self._changed = None, asyncio.Event()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._notices.listen())
        if self._changed.is_set():
            self._changed = asyncio.Event()
        return self._changed

    async def wait(self, changed: asyncio.Event, seconds: float) -> None:
        """Wait until it is set, or until somebody has to look."""
        with suppress(TimeoutError):
            async with asyncio.timeout(
                seconds if self._notices.come_through else min(seconds, _POLL)
            ):
                await changed.wait()

    async def aclose(self) -> None:
        """Disconnect."""
        task, self._task = self._task, None
        if task is not None and self._home.here:
            task.cancel()
            await asyncio.wait([task])
        self._notices.drop()

    def _hear(self, _channel: str, payload: str) -> None:
        if payload == self._name:
            self._look()

    def _look(self) -> None:
        """Let those who wait look once more."""
        self._changed.set()
