"""The queue's own connections, which a server that does not answer holds for seconds at most."""

import logging
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any, LiteralString, TypeVar
from weakref import WeakSet

from procrastinate import App
from procrastinate.exceptions import ConnectorException
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.sql import queries
from psycopg import AsyncConnection, Notify
from psycopg.abc import PQGen
from psycopg.rows import TupleRow

from conference_async.postgres.dsn import lively
from conference_async.postgres.silence import hang_up, within

SILENCE = 5.0
"""Seconds that the server may take over one statement of the queue's, all of which are short."""

_ROUND = 5.0
"""Seconds of silence after which the server is asked whether it is still there to notify."""

_WAIT_FOR_ONE = 5.0
_AT_MOST = 4
_log = logging.getLogger("conference_async.dialer")

RV = TypeVar("RV")


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

    def notifies(
        self, *, timeout: float | None = None, stop_after: int | None = None
    ) -> AsyncGenerator[Notify]:
        """Yield notifications, for a while: then whoever listens asks for a sign of life."""
        return super().notifies(
            timeout=_ROUND if timeout is None else timeout, stop_after=stop_after
        )


class _Connector(PsycopgConnector):
    """A connector whose worker need not be able to say that a job is over.

    Others may have found it to be a dead worker's, or will: nobody waits for the failure to say
    so, and asyncio would write a traceback of it.
    """

    async def execute_query_async(
        self,
        query: LiteralString,
        **arguments: Any,  # noqa: ANN401 -- the connector's signature
    ) -> None:
        """Do something that gives no answer."""
        try:
            await super().execute_query_async(query, **arguments)
        except ConnectorException as error:
            if query != queries["finish_job"]:
                raise
            _log.debug("that a job is over could not be written down (%s)", error.__cause__)


class QueueConnections:
    """The connections of one worker to the queue.

    Once one of them is found to lead nowhere, all of them are made again: they are of one age.
    """

    def __init__(self) -> None:
        self._open: WeakSet[_QueueConnection] = WeakSet()

    def app_on(self, dsn: str) -> App:
        """Return an app on these connections to a database."""
        return App(
            connector=_Connector(
                conninfo=lively(dsn),
                connection_class=_QueueConnection,
                # Unprepared, so that it works through a pooler that changes sessions.
                kwargs={"prepare_threshold": None},
                configure=self._begin,
                min_size=1,
                max_size=_AT_MOST,
                timeout=_WAIT_FOR_ONE,
            )
        )

    async def _begin(self, connection: AsyncConnection[Any]) -> None:
        await connection.set_autocommit(True)  # it is one statement at a time
        if isinstance(connection, _QueueConnection):
            connection.silent = self.hang_up
            self._open.add(connection)

    def hang_up(self) -> None:
        """End all of them."""
        for each in list(self._open):
            hang_up(each)
