"""Notices of PostgreSQL that something was appended to a log of events."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from conference_async.backoff import Backoff
from conference_async.home import Home
from conference_async.postgres.connection import Connection

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

CHANNEL: Final = "conference_async_event"
_POLL: Final = 1.0
"""Seconds between two looks where notices do not come through, as behind a pooler."""

_ROUND: Final = 10.0
"""Seconds after which the server is asked whether it is still there."""

_SILENCE: Final = 15.0
_BACKOFF: Final = Backoff(first=0.1, most=5.0)


class Listener:
    """A connection that hears of changes; without it, looking again every second does.

    Args:
        dsn: A connection string or URL as libpq reads them.
        name: Which log it listens to.
    """

    def __init__(self, dsn: str, name: str) -> None:
        self._name = name
        self._connection = Connection(
            dsn, silence=_SILENCE, purpose="PostgresEvents", greet=self._begin
        )
        self._home = Home()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def changed(self) -> asyncio.Event:
        """Return what is set when something is appended after this."""
        if self._home.settle("make one for each loop", what="log of events"):
            self._task, self._changed = None, asyncio.Event()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen())
        if self._changed.is_set():
            self._changed = asyncio.Event()
        return self._changed

    async def wait(self, changed: asyncio.Event, seconds: float) -> None:
        """Wait until it is set, for a second at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, _POLL)):
                await changed.wait()

    async def aclose(self) -> None:
        """Disconnect."""
        task, self._task = self._task, None
        if task is not None and self._home.here:
            task.cancel()
            await asyncio.wait([task])
        self._connection.drop()

    async def _listen(self) -> None:
        from psycopg import Error

        failures = 0
        while True:
            try:
                await self._connection.run(self._hear)
                failures = 0
            except (Error, OSError):
                failures += 1
                await asyncio.sleep(_BACKOFF.delay(failures))

    async def _begin(self, connection: "AsyncConnection[DictRow]") -> None:
        await connection.execute(f"LISTEN {CHANNEL}")
        self._changed.set()  # what came before is looked for once more

    async def _hear(self, connection: "AsyncConnection[DictRow]") -> None:
        async for notice in connection.notifies(timeout=_ROUND):
            if notice.payload == self._name:
                self._changed.set()
        # A server that vanished sends nothing either.
        await connection.execute("SELECT")
