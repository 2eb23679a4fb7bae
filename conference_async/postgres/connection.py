"""One connection to a PostgreSQL, made when it is needed and dropped when it fails or is silent."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from conference_async.cancelling import cancellation_wins
from conference_async.home import Home
from conference_async.postgres.dsn import check_dsn, lively
from conference_async.postgres.refusals import never
from conference_async.postgres.silence import hang_up, within
from conference_async.rooted import of_the_parent

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

_NOT_ITS_STATE = "25"
"""The class of errors that a server answers which is no longer the one that writes, and of those
that leave a connection half-way through something."""

T = TypeVar("T")


class Connection:
    """Does one piece of work after another on a connection of its own.

    What fails for a reason that another connection may not have (see `may_pass`) drops it: the
    next piece of work connects again. So does work that is cancelled, and a server that is silent
    for too long. It may be used under one event loop after the other, and in a process that was
    forked: each connects for itself.

    Args:
        dsn: A connection string or URL as libpq reads them.
        silence: Seconds that the server may take over one piece of work before the connection is
            given up.
        purpose: What the connection is for, as the beginning of a sentence.
        greet: Awaited with each new connection, before any work.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, or the string is not one.
    """

    def __init__(
        self,
        dsn: str,
        *,
        silence: float,
        purpose: str,
        greet: "Callable[[AsyncConnection[DictRow]], Awaitable[None]] | None" = None,
    ) -> None:
        check_dsn(dsn, purpose)
        self.dsn = dsn
        self._purpose = purpose
        self._silence = silence
        self._greet = greet
        self._connection: AsyncConnection[DictRow] | None = None
        self._home = Home()
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Connect at once, if it is not connected.

        Raises:
            ConfigurationError: The server will never let us in as things are.
            psycopg.Error: The server cannot be reached, or does not let us in.
            OSError: As above.
        """
        self._settle_in()
        async with self._lock:
            with self._refused():
                await self._connected()

    async def run(self, work: "Callable[[AsyncConnection[DictRow]], Awaitable[T]]") -> T:
        """Do one piece of work, once, and return what it returns.

        Raises:
            ConfigurationError: The server will never do it as things are.
            psycopg.Error: It failed, or the connection did, or the server was silent.
            OSError: As above.
        """
        self._settle_in()
        async with self._lock:
            with self._refused():
                connection = await self._connected()
                try:
                    with cancellation_wins():
                        return await within(connection, self._silence, partial(work, connection))
                except BaseException as error:
                    # Cancelled, what it answers next would be the answer to this.
                    if not _kept_in_order(connection, error):
                        self.drop()
                    raise

    def drop(self) -> None:
        """Disconnect; the next piece of work connects again."""
        self._notice_fork()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()

    def hang_up(self) -> None:
        """End the connection: work that is under way fails, and the next connects again."""
        self._notice_fork()
        if self._connection is not None:
            hang_up(self._connection)

    @contextmanager
    def _refused(self) -> Generator[None]:
        try:
            yield
        except Exception as error:
            if (refusal := never(error, self._purpose)) is not None:
                raise refusal from error
            raise

    def _settle_in(self) -> None:
        """Start afresh where the connection belongs to another process, or to a loop that is over.

        Raises:
            ConfigurationError: That loop still runs, in another thread.
        """
        self._notice_fork()
        if self._home.settle("make one for each", what="connection"):
            self.drop()
            self._lock = asyncio.Lock()

    def _notice_fork(self) -> None:
        if self._home.forked and self._connection is not None:
            of_the_parent.append(self._connection)
            self._connection = None

    async def _connected(self) -> "AsyncConnection[DictRow]":
        if self._connection is None or self._connection.closed:
            from psycopg import AsyncConnection
            from psycopg.rows import DictRow, dict_row

            # Unprepared, so that it works through a pooler that changes sessions.
            connection = await AsyncConnection[DictRow].connect(
                lively(self.dsn),
                autocommit=True,
                prepare_threshold=None,
                row_factory=dict_row,
            )
            try:
                if self._greet is not None:
                    await within(connection, self._silence, partial(self._greet, connection))
            except BaseException:
                connection.pgconn.finish()
                raise
            self._connection = connection
        return self._connection


def may_pass(error: BaseException) -> bool:
    """Return whether work that failed may succeed on another connection, now or a little later.

    The server is gone, is starting or stopping, is silent; or it answers, but is no longer the
    one that writes, as after a fail-over that left the connection open.
    """
    from psycopg import Error, InterfaceError, OperationalError

    if isinstance(error, Error) and (error.sqlstate or "").startswith(_NOT_ITS_STATE):
        return True
    return isinstance(error, (OperationalError, InterfaceError, OSError))


def _kept_in_order(connection: "AsyncConnection[Any]", error: BaseException) -> bool:
    from psycopg import Error
    from psycopg.pq import TransactionStatus

    return (
        isinstance(error, Error)
        and not may_pass(error)
        and connection.pgconn.transaction_status == TransactionStatus.IDLE
    )
