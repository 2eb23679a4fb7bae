"""One pace for many machines through PostgreSQL: one statement per slot, by the server's clock."""

import asyncio
import math
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, LiteralString, TypeVar, cast

from conference_async.cluster.shared import SharedLimit
from conference_async.cluster.slots import HOLD, SECOND, STEP_BACK, Reservation
from conference_async.cluster.table_versions import VERSION, other_version
from conference_async.errors import ConfigurationError

if TYPE_CHECKING:
    from psycopg import AsyncConnection

T = TypeVar("T")

_PATIENCE = 1.5
"""Seconds that the server may take: less than a limit's patience."""

# PostgreSQL does not forgive two sessions that make the same table at once; the lock's number is
# any that is ours.
_LOCK = "SELECT pg_advisory_xact_lock(7241946831)"
_TABLE = (
    """
CREATE TABLE IF NOT EXISTS conference_async_pace (
    account text PRIMARY KEY,
    slot bigint NOT NULL,
    after bigint NOT NULL,
    seen bigint NOT NULL,
    cps float8 NOT NULL,
    held_until bigint NOT NULL,
    factor float8 NOT NULL DEFAULT 1,
    queue_time bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE conference_async_pace IS '"""
    + VERSION
    + "'"
)

# On conflict the clock is read after the row is locked, since an earlier reading grows old while
# waiting for the lock, and once, in a sub-select that is not merged with what uses it.
_RESERVE = """
INSERT INTO conference_async_pace AS pace (account, slot, after, seen, cps, held_until)
SELECT %(account)s, now + %(floor)s, now + %(floor)s + %(interval)s, now, %(cps)s,
       now + %(floor)s + %(hold)s
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS clock
ON CONFLICT (account) DO UPDATE
SET (slot, after, seen, cps, held_until, factor, queue_time, changed) = (
    SELECT free.slot,
           free.slot + ceil(1000000 / (rate.cps * known.factor))::bigint,
           clock.now,
           rate.cps,
           CASE WHEN ours.holds THEN free.slot + %(hold)s ELSE known.held_until END,
           known.factor,
           known.queue_time,
           known.changed
    FROM (
        SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now OFFSET 0
    ) AS clock
    CROSS JOIN LATERAL (
        SELECT pace.after, pace.cps, pace.held_until, pace.factor, pace.queue_time, pace.changed
        WHERE pace.seen <= clock.now + %(step_back)s
        UNION ALL
        SELECT clock.now + %(floor)s + %(step_back)s, %(cps)s, 0, 1, 0, 0
        WHERE pace.seen > clock.now + %(step_back)s
    ) AS known (after, cps, held_until, factor, queue_time, changed)
    CROSS JOIN LATERAL (SELECT greatest(clock.now, known.after) AS slot) AS free
    CROSS JOIN LATERAL (
        SELECT %(cps)s <= known.cps OR clock.now > known.held_until AS holds
    ) AS ours
    CROSS JOIN LATERAL (
        SELECT CASE WHEN ours.holds THEN %(cps)s ELSE known.cps END AS cps
    ) AS rate
)
RETURNING slot, after, seen, cps, factor, queue_time, changed
"""
_GIVE_BACK = """
UPDATE conference_async_pace SET after = %(slot)s
WHERE account = %(account)s AND after = %(after)s RETURNING 1
"""
_REPORT = """
UPDATE conference_async_pace
SET factor = %(factor)s, queue_time = %(queue_time)s,
    changed = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
WHERE account = %(account)s RETURNING 1
"""


class PostgresStore:
    """A `SlotStore` in a PostgreSQL of version 10 or later, in the table ``conference_async_pace``.

    The table is made by the first who needs it. The connection is its own, and is made again
    when it breaks.

    Args:
        dsn: A connection string or URL as libpq reads them.
        account: Whose pace it is, where one database serves several accounts.

    Raises:
        ConfigurationError: The extra is not installed, or the string is not one.
    """

    def __init__(self, dsn: str, *, account: str = "default") -> None:
        try:
            from psycopg import ProgrammingError
            from psycopg.conninfo import conninfo_to_dict
        except ImportError as error:
            raise ConfigurationError(
                "PostgresLimit needs psycopg: pip install conference-async[cluster]"
            ) from error
        try:
            conninfo_to_dict(dsn)
        except ProgrammingError:
            raise ConfigurationError(
                "the connection string must be like postgresql://host/database"
            ) from None  # what is wrong with it may be its password
        self._dsn = dsn
        self._account = account
        self._connection: AsyncConnection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Connect, as `SlotStore` says."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            await self.aclose()
            self._loop, self._lock = loop, asyncio.Lock()
        async with self._lock:
            await self._connected()

    async def reserve(self, *, cps: float, floor: float) -> Reservation:
        """Take the next slot, as `SlotStore` says."""
        row = await self._run(
            _RESERVE,
            cps=cps,
            interval=math.ceil(SECOND / cps),
            floor=math.ceil(floor * SECOND),
            hold=HOLD,
            step_back=STEP_BACK,
        )
        slot, after, now, held, factor, queue_time, changed = cast(
            "tuple[int, int, int, float, float, int, int]", row
        )
        return Reservation(
            wait=(slot - now) / SECOND,
            slot=slot,
            after=after,
            cps=held,
            factor=factor,
            queue_time=queue_time,
            unchanged=max(0, now - changed) / SECOND,
        )

    async def give_back(self, reservation: Reservation) -> bool:
        """Free a slot, as `SlotStore` says."""
        return await self._run(_GIVE_BACK, slot=reservation.slot, after=reservation.after) != ()

    async def report(self, *, factor: float, queue_time: int) -> None:
        """Share a slow-down, as `SlotStore` says."""
        await self._run(_REPORT, factor=factor, queue_time=queue_time)

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()

    async def _check(self, connection: "AsyncConnection") -> None:
        wrong = await other_version(connection, "conference_async_pace")
        if wrong is not None:
            raise ConfigurationError(
                f"{wrong}: while nobody dials, drop it; the first who needs it makes it anew"
            )

    async def _run(self, query: LiteralString, **values: float) -> tuple[object, ...]:
        from psycopg.errors import UndefinedTable

        async with self._lock:
            connection = await self._connected()
            try:
                try:
                    return await self._execute(connection, query, values)
                except UndefinedTable:
                    async with connection.transaction():
                        await connection.execute(_LOCK)
                        await connection.execute(_TABLE)
                    return await self._execute(connection, query, values)
            except BaseException:  # cancelled too: what it answers next would be the old answer
                await self.aclose()
                raise

    async def _execute(
        self, connection: "AsyncConnection", query: LiteralString, values: Mapping[str, float]
    ) -> tuple[object, ...]:
        async def work() -> tuple[object, ...]:
            cursor = await connection.execute(query, {"account": self._account, **values})
            return await cursor.fetchone() or ()

        return await self._within_patience(connection, work())

    async def _within_patience(self, connection: "AsyncConnection", work: Awaitable[T]) -> T:
        async with asyncio.timeout(None) as scope:

            def give_up() -> None:
                # Asked to cancel a query, psycopg would wait for a server that does not answer.
                connection.pgconn.finish()
                scope.reschedule(asyncio.get_running_loop().time())

            timer = asyncio.get_running_loop().call_later(_PATIENCE, give_up)
            try:
                return await work
            finally:
                timer.cancel()

    async def _connected(self) -> "AsyncConnection":
        from psycopg import AsyncConnection

        if self._connection is None or self._connection.closed:
            # Unprepared, so that it works through a pooler that changes sessions.
            connection = await AsyncConnection.connect(
                self._dsn, autocommit=True, prepare_threshold=None
            )
            try:
                await self._within_patience(connection, self._check(connection))
            except BaseException:
                connection.pgconn.finish()
                raise
            self._connection = connection
        return self._connection

    def __repr__(self) -> str:
        return f"account={self._account!r}"


class PostgresLimit(SharedLimit):
    """One pace for all processes that share a PostgreSQL.

    The server's clock rules. After a fail-over to a replica that had not heard of the last slots
    these may be given out once more. See `SharedLimit` for what is promised.

    Args:
        dsn: A connection string or URL as libpq reads them.
        cps: The account's calls per second, more than 0 and at most 30.
        account: Whose pace it is, where one database serves several accounts: the account's SID.
        fallback_cps: As for `SharedLimit`.

    Raises:
        ConfigurationError: A rate is out of bounds, the string is not one, or the extra
            ``cluster`` is not installed.
    """

    def __init__(
        self,
        dsn: str,
        cps: float,
        *,
        account: str = "default",
        fallback_cps: float | None = None,
    ) -> None:
        super().__init__(PostgresStore(dsn, account=account), cps, fallback_cps=fallback_cps)
