"""A connection to a PostgreSQL whose work is repeated until it is done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from conference_async.backoff import Backoff
from conference_async.errors import ConferenceError, LedgerError
from conference_async.home import Home
from conference_async.postgres.connection import Connection, may_pass

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

OUTAGE = 60.0
"""Seconds for which work waits for a server that is gone; then it fails."""

SILENCE = 10.0
"""Seconds that the server may take over one piece of work; then it is repeated elsewhere."""

_BACKOFF = Backoff(0.05, 1.0)
_log = logging.getLogger("conference_async.postgres")

T = TypeVar("T")


class Session:
    """Does one piece of work after another, each until it is done.

    Work takes effect in the order it was asked for, also if the caller was cancelled meanwhile. It
    may be done twice, if the connection broke before the server's answer came: it must bear that.

    Args:
        dsn: A connection string or URL as libpq reads them.
        greet: Awaited with each new connection, before any work.
        purpose: What it is for, as the beginning of a sentence.
        failed: Makes what a caller gets of an error of the server or the driver.
        silence: Seconds that the server may take over one piece of work; `SILENCE` if not given.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, or the string is not one.
    """

    def __init__(
        self,
        dsn: str,
        *,
        greet: "Callable[[AsyncConnection[DictRow]], Awaitable[None]] | None",
        purpose: str = "a ledger in PostgreSQL",
        failed: Callable[[BaseException], ConferenceError] | None = None,
        silence: float | None = None,
    ) -> None:
        self.dsn = dsn
        self.patience: float = OUTAGE
        """Seconds for which work waits for a server that is gone."""
        self._failed = failed or ledger_failed
        self._connection = Connection(dsn, silence=silence or SILENCE, purpose=purpose, greet=greet)
        self._turn = asyncio.Lock()
        self._home = Home()
        self._working: set[asyncio.Task[Any]] = set()
        self._abandoned = False

    async def open(self) -> None:
        """Connect at once.

        Raises:
            ConferenceError: The server cannot be reached, or does not let us in; as for `run`.
        """
        from psycopg import Error

        self._abandoned = False
        try:
            await self._connection.open()
        except (Error, OSError) as error:
            raise self._failed(error) from error

    async def run(
        self,
        work: "Callable[[AsyncConnection[DictRow]], Awaitable[T]]",
        *,
        patience: float | None = None,
    ) -> T:
        """Do one piece of work, and return what it returns.

        Args:
            work: What to do; it is done again where the connection broke.
            patience: Seconds to wait for a server that is gone; those of the session if None.

        Raises:
            ConferenceError: The server was gone for too long, or refuses the work: a `LedgerError`,
                unless `failed` makes another of it.
        """
        if self._home.settle("make one for each", what="connection"):
            self._turn = asyncio.Lock()
            self._working.clear()  # what was under way ended with the last loop
        waits = self.patience if patience is None else patience
        task = asyncio.create_task(self._in_turn(work, waits))
        self._working.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone, and nobody else wants to hear of it

    async def _in_turn(
        self, work: "Callable[[AsyncConnection[DictRow]], Awaitable[T]]", patience: float
    ) -> T:
        from psycopg import Error

        loop, failures = asyncio.get_running_loop(), 0
        gives_up = loop.time() + patience  # of all who wait alike, and not one after the other
        async with self._turn:
            while True:
                try:
                    if self._abandoned:
                        raise TimeoutError("it did not answer, and was not waited for any longer")
                    return await self._connection.run(work)
                except (Error, OSError) as error:
                    failures += 1
                    delay = _BACKOFF.delay(failures)
                    over = self._abandoned or loop.time() + delay > gives_up
                    if over or not may_pass(error):
                        raise self._failed(error) from error
                    _log.debug("the server is gone (%s)", type(error).__name__)
                await asyncio.sleep(delay)

    def hang_up(self) -> None:
        """Connect again for the work that is under way, and for what comes."""
        self._connection.hang_up()

    def abandon(self) -> None:
        """Wait for the server no longer: what is under way fails, and so does what comes."""
        self._abandoned = True
        self._connection.hang_up()

    async def aclose(self) -> None:
        """Finish the work that was asked for, and disconnect."""
        while self._home.here and self._working:
            await asyncio.wait(self._working)
        self._connection.drop()


def ledger_failed(error: BaseException) -> LedgerError:
    """Return what a caller of a ledger gets for a server's or a driver's error."""
    why = first_line(error)
    return LedgerError(f"the ledger's PostgreSQL cannot be used: {why}")


def first_line(error: BaseException) -> str:
    """Return what a server or a driver says, without its details."""
    return (str(error).strip().splitlines()[:1] or [type(error).__name__])[0]
