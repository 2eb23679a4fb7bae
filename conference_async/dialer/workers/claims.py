"""Rows that a worker holds: claimed in batches, and given back.

A hold only keeps workers out of each other's way. That nobody is called twice is up to the write
before each request, which lets one of them call; see `PostgresLedger.swap`.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, LiteralString, TypeAlias

from conference_async.dialer.workers.assignments import Assignment, assignment_of
from conference_async.postgres.session import Session

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

GivenBack: TypeAlias = Mapping[int, tuple[float | None, int]]
"""By the numbers of rows: seconds after which they may be claimed again, None for as before, and
how often in a row they could not be sent."""

# `now()` and not `clock_timestamp()` where an index is to serve it.
DUE: LiteralString = """
state = 'planned' AND worker IS NULL AND request IS NOT NULL AND not_before <= now()
"""
DOUBTFUL: LiteralString = """
state = 'sending' AND worker IS NULL AND request IS NOT NULL AND not_before <= now()
AND changed < now() - make_interval(secs => %(stalled)s)
"""
CAMPAIGNS: LiteralString = """
SELECT ledger, account_sid, priority,
    standing = 'running' AND coalesce(ends_at, 'infinity') > clock_timestamp() AS going
FROM conference_async_campaign
WHERE account_sid = ANY(%(accounts)s) AND shared AND busy AND standing <> 'paused'
"""
# Campaigns of one priority take turns, target by target. A worker that the queue has not heard of
# for too long claims nothing: others have been told that it is dead.
_CLAIM: LiteralString = (
    """
WITH alive AS MATERIALIZED (
    SELECT FROM procrastinate_workers WHERE id = %(worker)s
        AND last_heartbeat > clock_timestamp() - make_interval(secs => %(stalled)s)
), campaigns AS MATERIALIZED (
    <campaigns> AND EXISTS (SELECT FROM alive)
), doubtful AS MATERIALIZED (
    SELECT number, ledger, priority, not_before FROM campaigns CROSS JOIN LATERAL (
        SELECT number, not_before FROM conference_async_outcome AS outcome
        WHERE outcome.ledger = campaigns.ledger AND <doubtful>
        LIMIT %(most)s FOR UPDATE SKIP LOCKED) AS found
), due AS MATERIALIZED (
    SELECT number, ledger, priority, not_before FROM campaigns CROSS JOIN LATERAL (
        SELECT number, not_before FROM conference_async_outcome AS outcome
        WHERE outcome.ledger = campaigns.ledger AND campaigns.going AND <due>
        ORDER BY not_before, number LIMIT %(most)s FOR UPDATE SKIP LOCKED) AS found
), found AS (
    SELECT *, row_number() OVER (PARTITION BY ledger ORDER BY not_before, number) AS turn
    FROM (SELECT *, 0 AS rank FROM doubtful UNION ALL SELECT *, 1 FROM due) AS every
), chosen AS (
    SELECT number AS one, row_number() OVER (
        ORDER BY rank, priority DESC, turn, random()) AS place
    FROM found ORDER BY 2 LIMIT %(most)s
), claimed AS (
    UPDATE conference_async_outcome AS outcome SET worker = %(worker)s
    FROM chosen, conference_async_campaign AS campaign
    WHERE outcome.number = one AND campaign.ledger = outcome.ledger
    RETURNING outcome.*, campaign.ends_at, campaign.opens, campaign.closes, campaign.rules, place,
        clock_timestamp() AS now
)
SELECT EXISTS (SELECT FROM alive) AS alive, claimed.*
FROM (SELECT) AS always LEFT JOIN claimed ON true ORDER BY place
""".replace("<campaigns>", CAMPAIGNS)
    .replace("<due>", DUE)
    .replace("<doubtful>", DOUBTFUL)
)
_GIVE_BACK: LiteralString = """
UPDATE conference_async_outcome AS outcome
SET worker = NULL, failures = given.failures,
    not_before = coalesce(now() + make_interval(secs => given.delay), outcome.not_before)
FROM unnest(%(numbers)s::bigint[], %(delays)s::float8[], %(failures)s::integer[])
    AS given (number, delay, failures)
WHERE outcome.number = given.number AND worker = %(worker)s
"""
_LET_GO: LiteralString = """
UPDATE conference_async_outcome SET worker = NULL
WHERE worker = %(worker)s AND number <> ALL(%(numbers)s::bigint[])
"""


class Claims:
    """Takes targets of an account's campaigns, and gives them back.

    Args:
        session: Where the ledgers are.
        account_sid: The account that calls.
        stalled: Seconds after which a worker that gives no sign of life is taken for dead.
    """

    def __init__(self, session: Session, account_sid: str, *, stalled: float) -> None:
        self._session = session
        self._values: dict[str, Any] = {"accounts": [account_sid], "stalled": stalled}

    async def claim(self, worker: int, most: int) -> tuple[bool, list[Assignment]]:
        """Take the next targets, in the order in which they are to be called.

        Args:
            worker: The worker, by its number in the queue.
            most: How many at most.

        Returns:
            Whether the worker is known to be alive, and the targets.

        Raises:
            LedgerError: The server cannot be used.
        """
        rows = await self._rows(_CLAIM, worker=worker, most=most)
        alive = bool(rows and rows[0]["alive"])
        found = [row for row in rows if row["number"] is not None]
        if any(row["rules"] is not None or row["opens"] is not None for row in found):
            return alive, await asyncio.to_thread(lambda: list(map(assignment_of, found)))
        return alive, list(map(assignment_of, found))

    async def give_back(self, worker: int, rows: GivenBack) -> None:
        """Let others have rows that a worker holds.

        Raises:
            LedgerError: The server cannot be used.
        """
        await self._do(
            _GIVE_BACK,
            worker=worker,
            numbers=list(rows),
            delays=[delay for delay, _ in rows.values()],
            failures=[failures for _, failures in rows.values()],
        )

    async def let_go(self, worker: int, but: list[int]) -> None:
        """Let others have all that a worker holds but for some rows.

        These are rows whose claim was never answered.

        Raises:
            LedgerError: The server cannot be used.
        """
        await self._do(_LET_GO, worker=worker, numbers=but)

    async def _do(self, query: LiteralString, **values: object) -> None:
        async def work(connection: "AsyncConnection[DictRow]") -> None:
            await connection.execute(query, self._values | values)

        await self._session.run(work)

    async def _rows(self, query: LiteralString, **values: object) -> "list[DictRow]":
        async def work(connection: "AsyncConnection[DictRow]") -> "list[DictRow]":
            return await (await connection.execute(query, self._values | values)).fetchall()

        return await self._session.run(work)
