"""A few connections to one PostgreSQL, for all of a process that ask little of it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from conference_async.errors import ConfigurationError
from conference_async.postgres.connection import Connection
from conference_async.postgres.refusals import never
from conference_async.postgres.silence import within
from conference_async.sharing import Share

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow
    from psycopg_pool import AsyncConnectionPool

AT_MOST = 4
"""Connections to one database that they have together."""

T = TypeVar("T")


class Connections(Protocol):
    """What does pieces of work on a database, whichever connection is free."""

    async def open(self) -> None:
        """Connect at once, if nothing is connected."""
        ...

    async def run(self, work: "Callable[[AsyncConnection[DictRow]], Awaitable[T]]") -> T:
        """Do one piece of work, once, and return what it returns."""
        ...

    def drop(self) -> None:
        """Be done with it; what nobody else uses is closed."""
        ...


Greeting: TypeAlias = "Callable[[AsyncConnection[DictRow]], Awaitable[None]]"


def connections_to(
    where: "str | AsyncConnectionPool[Any]", *, silence: float, purpose: str, greet: Greeting
) -> Connections:
    """Return what does pieces of work on a database.

    Args:
        where: A connection string, whose connections all that name it have together; or a pool
            that an application has anyway, and closes itself.
        silence: As for `Connection`.
        purpose: As for `Connection`.
        greet: As for `Connection`; of a pool of yours, awaited once.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, or it is neither such a string
            nor such a pool.
    """
    if isinstance(where, str):
        return _Shared(where, silence=silence, purpose=purpose, greet=greet)
    if not _is_pool(where):
        raise ConfigurationError(
            f"{purpose} needs a connection string like postgresql://host/database, or an "
            f"AsyncConnectionPool, not {type(where).__name__}"
        )
    return _Yours(where, silence=silence, purpose=purpose, greet=greet)


def _is_pool(given: object) -> bool:
    try:
        from psycopg_pool import AsyncConnectionPool
    except ImportError:
        return False
    return isinstance(given, AsyncConnectionPool)


class _Pool:
    """The connections, and who waits for one.

    Whoever is cancelled while it waits has asked for nothing. What is under way then is finished
    by itself: ended half-way it would cost the connection, and the others the time for a new one.
    """

    def __init__(self, make: Callable[[], Connection]) -> None:
        self.opened = False
        self._free = [make() for _ in range(AT_MOST)]
        self._turns = asyncio.Semaphore(AT_MOST)
        self._busy: dict[asyncio.Task[Any], Connection] = {}

    async def run(self, work: "Callable[[AsyncConnection[DictRow]], Awaitable[T]]") -> T:
        await self._turns.acquire()
        connection = self._free.pop()  # the last that was given back: few are ever opened
        task = asyncio.ensure_future(connection.run(work))
        self._busy[task] = connection
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._free.append(self._busy.pop(task))
        self._turns.release()
        if not task.cancelled() and task.exception() is None:  # nobody else may want to hear of it
            self.opened = True

    def close(self) -> None:
        """End all connections."""
        for each in self._free:
            each.drop()
        for each in self._busy.values():
            each.hang_up()


class _Shared:
    def __init__(
        self,
        dsn: str,
        *,
        silence: float,
        purpose: str,
        greet: Greeting,
    ) -> None:
        make = partial(Connection, dsn, silence=silence, purpose=purpose, greet=greet)
        make()  # which refuses what is no connection string
        self._share = Share((dsn, purpose), partial(_Pool, make))

    async def open(self) -> None:
        if not self._share.take().opened:
            await self.run(_nothing)

    async def run(self, work: "Callable[[AsyncConnection[DictRow]], Awaitable[T]]") -> T:
        return await self._share.take().run(work)

    def drop(self) -> None:
        pool = self._share.leave()
        if pool is not None:
            pool.close()


async def _nothing(_: object) -> None:
    pass


class _Yours:
    def __init__(
        self,
        pool: "AsyncConnectionPool[Any]",
        *,
        silence: float,
        purpose: str,
        greet: Greeting,
    ) -> None:
        self._pool = pool
        self._silence = silence
        self._purpose = purpose
        self._greet = greet
        self._greeted = False

    async def open(self) -> None:
        if not self._greeted:
            await self._do(self._greet)
            self._greeted = True

    async def run(self, work: "Callable[[AsyncConnection[DictRow]], Awaitable[T]]") -> T:
        await self.open()
        return await self._do(work)

    async def _do(self, work: "Callable[[AsyncConnection[DictRow]], Awaitable[T]]") -> T:
        from psycopg.rows import dict_row

        try:
            async with self._pool.connection(timeout=self._silence) as connection:
                rows, connection.row_factory = connection.row_factory, dict_row
                try:
                    return await within(connection, self._silence, partial(work, connection))
                finally:
                    connection.row_factory = rows
        except Exception as error:
            if (refusal := never(error, self._purpose)) is not None:
                raise refusal from error
            raise

    def drop(self) -> None:
        """Leave it to whoever made it."""
