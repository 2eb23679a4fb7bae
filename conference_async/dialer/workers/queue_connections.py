"""The queue's own connections, which a server that does not answer holds for seconds at most."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, LiteralString, TypeAlias, TypeVar
from weakref import WeakSet

from procrastinate import App
from procrastinate.connector import Notify
from procrastinate.exceptions import ConnectorException
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.sql import queries
from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from conference_async.postgres.dsn import lively
from conference_async.postgres.notices import Notices
from conference_async.postgres.session import first_line
from conference_async.postgres.silence import hang_up, within
from conference_async.privacy import one_line

SILENCE = 5.0
"""Seconds that the server may take over one statement of the queue's, all of which are short."""

_ROUND = 30.0
"""Seconds without a notice after which the server is asked whether it is still there to notify;
signs of life are more frequent, and the silence of one connection ends all of them."""

_LOOK = 1.0
"""Seconds between two looks for jobs where notices do not come through, and at first."""

_EAGER = 10.0
"""Seconds from its start on for which a worker looks that often in any case: what was put off
before, by one that is over, comes due without a notice."""

_TO_DO = '{"type": "job_inserted"}'
"""What the queue says when there is a job; here, that there may be one."""

_WAIT_FOR_ONE = 5.0
_AT_MOST = 3
_log = logging.getLogger("conference_async.dialer")

RV = TypeVar("RV")
_Hear: TypeAlias = Callable[[str, str], object]


class _QueueConnection(AsyncConnection[TupleRow]):
    """A connection that is hung up on when its server is silent."""

    silent: Callable[[], object] | None = None

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109 -- the driver's signature
    ) -> RV:
        """Wait for the server, as all that the driver does."""
        if timeout is not None:
            return await super().wait(gen, interval, timeout)
        work = partial(super().wait, gen, interval)
        return await within(self, SILENCE, work, silent=self.silent)

    def hang_up(self) -> None:
        """End it."""
        hang_up(self)


class _Connector(PsycopgConnector):
    """A connector that hears by a connection of ours, and need not say that a job is over."""

    notices_on: Callable[[list[str], _Hear], Notices]
    """Makes what hears of jobs, of channels and of what to call with each notice."""

    lost: Callable[[], object] | None
    """Called when a sign of life could not be given."""

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Tell of jobs; while notices do not come through, that there may be one, every second."""
        loop, heard = asyncio.get_running_loop(), asyncio.Queue[tuple[str, str]]()
        eager_until = loop.time() + _EAGER
        channels = list(channels)

        def hear(channel: str, payload: str) -> None:
            if payload.startswith("{"):  # else it is not the queue's, and would end this
                heard.put_nowait((channel, payload))

        notices = self.notices_on(channels, hear)
        listening = asyncio.create_task(notices.listen())
        try:
            while not listening.done():
                try:
                    async with asyncio.timeout(_LOOK):
                        channel, payload = await heard.get()
                except TimeoutError:
                    if notices.come_through and loop.time() > eager_until:
                        continue
                    channel, payload = channels[0], _TO_DO
                await on_notification(channel=channel, payload=payload)
            await listening
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    async def execute_query_async(
        self,
        query: LiteralString,
        **arguments: Any,  # noqa: ANN401 -- the connector's signature
    ) -> None:
        """Do something that gives no answer.

        The queue's worker notices the first of its parts that ends, and no other: where no job is
        periodic, that is the one for periodic jobs. Without signs of life it would go on, and
        claim nothing any more.

        Others may have found a job that is over to be a dead worker's, or will: nobody waits for
        the failure to say so, and asyncio would write a traceback of it.
        """
        try:
            await super().execute_query_async(query, **arguments)
        except ConnectorException as error:
            if query == queries["update_heartbeat"] and self.lost is not None:
                self.lost()
            if query != queries["finish_job"]:
                raise
            _log.debug("that a job is over could not be written down (%s)", error.__cause__)


class QueueConnections:
    """The connections of one worker to the queue.

    Once one of them is found to lead nowhere, all of them are made again: they are of one age.

    Args:
        direct: A connection string that leads past a pooler, for notices; if None, they are
            waited for where all else is asked.
    """

    def __init__(self, direct: str | None = None) -> None:
        self._direct = direct
        self._open: WeakSet[_QueueConnection | Notices] = WeakSet()

    def app_on(self, dsn: str, lost: Callable[[], object] | None = None) -> App:
        """Return an app on these connections to a database.

        Args:
            dsn: A connection string.
            lost: Called when its worker can give no sign of life, and so has to begin again.
        """
        connector = _Connector(
            pool_factory=_pool,
            conninfo=lively(dsn),
            connection_class=_QueueConnection,
            # Unprepared, so that it works through a pooler that changes sessions.
            kwargs={"prepare_threshold": None},
            configure=self._begin,
            min_size=1,
            max_size=_AT_MOST,
            timeout=_WAIT_FOR_ONE,
        )
        connector.lost = lost
        connector.notices_on = partial(self._notices_on, self._direct or dsn)
        return App(connector=connector)

    async def _begin(self, connection: AsyncConnection[Any]) -> None:
        await connection.set_autocommit(True)  # it is one statement at a time
        if isinstance(connection, _QueueConnection):
            connection.silent = self.hang_up
            self._open.add(connection)

    def hang_up(self) -> None:
        """End all of them."""
        for each in list(self._open):
            each.hang_up()

    def _notices_on(self, dsn: str, channels: list[str], hear: _Hear) -> Notices:
        notices = Notices(
            dsn,
            channels=channels,
            purpose="the queue in PostgreSQL",
            hear=hear,
            begun=partial(hear, channels[0], _TO_DO),
            every=_ROUND,
        )
        self._open.add(notices)
        return notices


def _pool(*, check: object, **arguments: Any) -> AsyncConnectionPool[Any]:  # noqa: ANN401, ARG001 -- the connector's signature
    """Return a pool that asks no server for each statement whether it is there."""
    return AsyncConnectionPool(check=_still_open, **arguments)


def said_of(error: BaseException) -> str:
    """Return what went wrong, in a line: the queue's errors say only whose they are."""
    beneath = error.__cause__ if isinstance(error, ConnectorException) else None
    return one_line(first_line(beneath or error))


async def _still_open(connection: AsyncConnection[Any]) -> None:
    """Look whether the server has hung up; one that is silent is found by its silence."""
    connection.pgconn.consume_input()
