"""One connection to a PostgreSQL, made again when it breaks; work is repeated until it is done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from conference_async.errors import ConfigurationError, LedgerError

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

OUTAGE = 60.0
"""Seconds for which work waits for a server that is gone; then it fails with `LedgerError`."""

_SILENCE = 10.0
"""Seconds that the server may take over one piece of work before the connection is given up."""

_CONNECTING = 5
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 1.0
_log = logging.getLogger("conference_async.cluster")

T = TypeVar("T")


class Session:
    """Does one piece of work after another on a connection of its own.

    Work takes effect in the order it was asked for, also if who asked was cancelled meanwhile. It
    may be done twice, if the connection broke before the server's answer came: it must bear that.

    Args:
        dsn: A connection string or URL as libpq reads them.
        greet: Awaited with each new connection, before any work.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, or the string is not one.
    """

    def __init__(
        self, dsn: str, *, greet: "Callable[[AsyncConnection[DictRow]], Awaitable[None]] | None"
    ) -> None:
        check_dsn(dsn)
        self.dsn = dsn
        self._greet = greet
        self._connection: AsyncConnection[DictRow] | None = None
        self._lock = asyncio.Lock()
        self._working: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Connect at once.

        Raises:
            LedgerError: The server cannot be reached, or does not let us in.
        """
        self._lock = asyncio.Lock()  # the last one may belong to a loop that is gone
        from psycopg import Error

        try:
            await self._connected()
        except (Error, OSError) as error:
            raise failed(error) from error

    async def run(
        self,
        work: "Callable[[AsyncConnection[DictRow]], Awaitable[T]]",
        *,
        patience: float = OUTAGE,
    ) -> T:
        """Do one piece of work, and return what it returns.

        Args:
            work: What to do; it is done again where the connection broke.
            patience: Seconds to wait for a server that is gone.

        Raises:
            LedgerError: The server was gone for too long, or refuses the work.
        """
        task = asyncio.create_task(self._in_turn(work, patience))
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
        from psycopg import Error, InterfaceError, OperationalError

        loop = asyncio.get_running_loop()
        async with self._lock:
            gives_up, delay = loop.time() + patience, _FIRST_DELAY
            while True:
                try:
                    return await _in_time(await self._connected(), work)
                except (OperationalError, InterfaceError, OSError) as error:
                    self._drop()
                    if loop.time() + delay > gives_up:
                        raise failed(error) from error
                    _log.debug("the ledger's server is gone (%s)", type(error).__name__)
                except Error as error:
                    raise failed(error) from error
                except BaseException:
                    self._drop()  # what it answers next would be the answer to this
                    raise
                await asyncio.sleep(delay)
                delay = min(_LONGEST_DELAY, 2 * delay)

    async def _connected(self) -> "AsyncConnection[DictRow]":
        if self._connection is None or self._connection.closed:
            from psycopg import AsyncConnection
            from psycopg.rows import DictRow, dict_row

            # Unprepared, so that it works through a pooler that changes sessions.
            connection = await AsyncConnection[DictRow].connect(
                self.dsn,
                autocommit=True,
                prepare_threshold=None,
                row_factory=dict_row,
                connect_timeout=_CONNECTING,
            )
            try:
                if self._greet is not None:
                    await _in_time(connection, self._greet)
            except BaseException:
                connection.pgconn.finish()
                raise
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()

    async def aclose(self) -> None:
        """Finish the work that was asked for, and disconnect."""
        while self._working:
            await asyncio.wait(self._working)
        self._drop()


async def _in_time(
    connection: "AsyncConnection[DictRow]",
    work: "Callable[[AsyncConnection[DictRow]], Awaitable[T]]",
) -> T:
    """Do work, or give up the connection if the server is silent for too long."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as scope:

        def give_up() -> None:
            # Asked to cancel a query, psycopg would wait for a server that does not answer.
            connection.pgconn.finish()
            scope.reschedule(loop.time())

        timer = loop.call_later(_SILENCE, give_up)
        try:
            return await work(connection)
        finally:
            timer.cancel()


def check_dsn(dsn: str) -> None:
    """Refuse what cannot be connected to.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, or the string is not one.
    """
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise ConfigurationError(
            "a ledger in PostgreSQL needs psycopg: pip install conference-async[cluster]"
        ) from error
    try:
        conninfo_to_dict(dsn)
    except ProgrammingError:
        raise ConfigurationError(
            "the connection string must be like postgresql://host/database"
        ) from None  # what is wrong with it may be its password


def failed(error: BaseException) -> LedgerError:
    """Return what a caller is told of a server's or a driver's error."""
    why = str(error).strip().splitlines()[:1] or [type(error).__name__]
    return LedgerError(f"the ledger's PostgreSQL cannot be used: {why[0]}; nothing more is dialled")
