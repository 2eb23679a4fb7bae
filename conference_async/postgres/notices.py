"""Notices of a PostgreSQL, and whether they come through: behind a pooler they do not."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from conference_async.backoff import Backoff
from conference_async.postgres.connection import Connection

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.pq import PGnotify
    from psycopg.pq.abc import PGconn
    from psycopg.rows import DictRow

_SILENCE = 15.0
"""Seconds that the server may take over anything but the wait for a notice."""

_TOGETHER = 0.015
"""Seconds for which what comes after a notice is collected: to wake for each of a burst would take
more of the machine than all that is done about them."""

_BACKOFF = Backoff(first=0.1, most=5.0)


class Notices:
    """A connection that hears what is notified of, for as long as `listen` runs.

    Each connection proves itself: another one notifies it once, on a channel that nobody else
    listens to. Until that, or any other notice, has come through, whoever waits for notices has to
    look by itself.

    Args:
        dsn: A connection string or URL as libpq reads them, best one past any pooler.
        channels: What to listen to.
        purpose: What it is for, as the beginning of a sentence.
        hear: Called with the channel and the payload of each notice.
        begun: Called when it listens from now on: what came before was not heard.
        every: Seconds after which the server is asked whether it is still there, again and again.
    """

    def __init__(
        self,
        dsn: str,
        *,
        channels: Sequence[str],
        purpose: str,
        hear: Callable[[str, str], object],
        begun: Callable[[], object] = lambda: None,
        every: float,
    ) -> None:
        self.come_through: bool = False
        """Whether nobody has to look by itself."""
        self._channels = channels
        self._hear = hear
        self._begun = begun
        self._every = every
        self._proof = f"conference_async_{secrets.token_hex(8)}"
        self._connection = Connection(
            dsn, silence=every + _SILENCE, purpose=purpose, greet=self._begin
        )
        self._herald = Connection(dsn, silence=_SILENCE, purpose=purpose)

    async def listen(self) -> None:
        """Hear what there is, and connect again whenever that fails, until it is cancelled."""
        from psycopg import Error

        failures = 0
        try:
            while True:
                try:
                    await self._connection.run(self._listen)
                    failures = 0
                except (Error, OSError):
                    failures += 1
                    self.come_through = False
                    await asyncio.sleep(_BACKOFF.delay(failures))
        finally:
            self.drop()

    def drop(self) -> None:
        """Disconnect."""
        self.come_through = False
        self._connection.drop()
        self._herald.drop()

    def hang_up(self) -> None:
        """Connect again: what there is may lead nowhere."""
        self._connection.hang_up()

    async def _begin(self, connection: "AsyncConnection[DictRow]") -> None:
        from psycopg.sql import SQL, Identifier

        connection.pgconn.notify_handler = self._take
        listen = [
            SQL("LISTEN {}").format(Identifier(each)) for each in (*self._channels, self._proof)
        ]
        await connection.execute(SQL("; ").join(listen))
        self._begun()
        await self._herald.run(self._prove)
        self._herald.drop()

    async def _prove(self, connection: "AsyncConnection[DictRow]") -> None:
        await connection.execute("SELECT pg_notify(%s, '')", (self._proof,))

    def _take(self, notice: "PGnotify") -> None:
        channel = notice.relname.decode()
        if channel != self._proof:
            self._hear(channel, notice.extra.decode())

    def _take_all(self, server: "PGconn", *, by_themselves: bool) -> None:
        """Take what has come; behind a pooler notices come with an answer, if at all."""
        while (notice := server.notifies()) is not None:
            self.come_through |= by_themselves
            self._take(notice)

    async def _listen(self, connection: "AsyncConnection[DictRow]") -> None:
        # The driver's own way to wait for notices takes three times as long for each of them, and
        # looks ten times a second whether there is one.
        from psycopg import Error

        server, loop, broken = connection.pgconn, asyncio.get_running_loop(), asyncio.Event()
        socket = server.socket
        again: asyncio.TimerHandle | None = None

        def watch() -> None:
            loop.add_reader(socket, read)

        def read() -> None:
            nonlocal again
            loop.remove_reader(socket)
            try:
                server.consume_input()
            except Error:
                broken.set()  # the question says why
                return
            again = loop.call_later(_TOGETHER, watch)
            self._take_all(server, by_themselves=True)

        self._take_all(server, by_themselves=False)
        watch()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await broken.wait()
        finally:
            if again is not None:
                again.cancel()
            loop.remove_reader(socket)
        # A server that vanished sends nothing either.
        await connection.execute("SELECT")
