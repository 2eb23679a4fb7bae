"""What a database knows of its campaigns and of the workers that dial them."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, LiteralString

import attrs

from conference_async.dialer.ledger.outcome import Campaign, counted
from conference_async.dialer.ledger.summary import Summary, standing_without_workers
from conference_async.dialer.workers.standing import Standing, standing_in
from conference_async.errors import LedgerError
from conference_async.postgres.session import Session
from conference_async.sending.entries import State

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

_PAGE = 100
_WHOSE = ("name", "account_sid", "total")
_CAMPAIGNS: LiteralString = """
SELECT ledger, name, account_sid, total, shared, standing, reason, ends_at,
    clock_timestamp() AS now, EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid::bigint = (key >> 32) & 4294967295 AND objid::bigint = key & 4294967295
    ) AS running
FROM conference_async_campaign, hashtextextended(ledger, 7241946832) AS key
WHERE ledger >= %(first)s AND ledger IS DISTINCT FROM %(last)s ORDER BY ledger LIMIT %(most)s
"""
# A target that nobody has called has been there since it was submitted.
_TARGETS: LiteralString = """
SELECT state, count(*) AS number, least(min(changed), min(sent_at)) AS since
FROM conference_async_outcome WHERE ledger = %(ledger)s GROUP BY state
"""
_FLIGHT: LiteralString = """
SELECT extract(epoch FROM clock_timestamp() - (
        SELECT min(changed) FROM conference_async_outcome
        WHERE ledger = %(ledger)s AND state = 'sending'
    ))::float8 AS oldest, (
        SELECT count(*) FROM conference_async_outcome
        WHERE ledger = %(ledger)s AND state = 'planned' AND worker IS NULL
            AND request IS NOT NULL AND not_before > now()
    ) AS later
"""
# Asked for one by one, so that only rows are read that a worker holds.
_WORKERS: LiteralString = """
SELECT id AS number,
    extract(epoch FROM clock_timestamp() - last_heartbeat)::float8 AS silent,
    (SELECT count(*) FROM conference_async_outcome WHERE worker = known.id) AS in_hand
FROM procrastinate_workers AS known ORDER BY id
"""


@attrs.frozen(kw_only=True)
class WorkerSeen:
    """A worker as the database knows it, whatever account it dials for."""

    number: int
    """Its number in the queue; another one whenever it starts."""

    silent: float
    """Seconds since it last gave a sign of life."""

    in_hand: int
    """How many targets it holds, of all campaigns."""


async def summaries_of(session: Session) -> AsyncGenerator[Summary, None]:
    """Yield a summary of each campaign in a database, by the names of their ledgers.

    One that cannot be read, such as that of a newer version of the library, is ``unreadable``.

    Raises:
        LedgerError: The server cannot be used.
    """
    last = ""
    while page := await _rows(session, _CAMPAIGNS, first=last, last=last, most=_PAGE):
        last = page[-1]["ledger"]
        for row in page:
            try:
                summary = await _summary(session, row)
            except LedgerError as error:  # one that cannot be read hides no other
                summary = Summary(ledger=row["ledger"], standing="unreadable", because=str(error))
            yield summary


async def summary_of(session: Session, ledger: str) -> Summary | None:
    """Return the summary of one campaign; None if nobody has begun it.

    Raises:
        LedgerError: The server cannot be used.
    """
    for row in await _rows(session, _CAMPAIGNS, first=ledger, last=None, most=1):
        if row["ledger"] == ledger:
            return await _summary(session, row)
    return None


async def workers_of(session: Session) -> list[WorkerSeen]:
    """Return the workers of a database; one that died is there until another takes note of it.

    Raises:
        LedgerError: The server cannot be used.
    """
    return [WorkerSeen(**row) for row in await _rows(session, _WORKERS)]


async def _summary(session: Session, row: "DictRow") -> Summary:
    ledger, campaign = row["ledger"], Campaign(**{name: row[name] for name in _WHOSE})
    targets = await _rows(session, _TARGETS, ledger=ledger)
    counts = counted(((found["state"], found["number"]) for found in targets), campaign.total)
    standing = standing_without_workers(counts, running=row["running"])
    if row["shared"] and standing != "done":
        standing = standing_in(row).value
    if standing == Standing.CANCELLED:  # the rows stay as they are, to be taken up again
        counts[State.SKIPPED] += counts[State.PLANNED]
        counts[State.PLANNED] = 0
    missing = (campaign.total or 0) - sum(found["number"] for found in targets)
    because = row["reason"]
    if because is None and row["shared"] and missing > 0:  # no worker has these to call
        because = f"{missing} of them are not submitted yet"
    (flight,) = await _rows(session, _FLIGHT, ledger=ledger)
    return Summary(
        ledger=ledger,
        campaign=campaign,
        shared=row["shared"],
        standing=standing,
        because=because,
        counts=counts,
        since=min((found["since"] for found in targets), default=None),
        later=flight["later"],
        oldest=flight["oldest"],
    )


async def _rows(session: Session, query: LiteralString, **values: object) -> "list[DictRow]":
    from psycopg.errors import UndefinedTable

    async def work(connection: "AsyncConnection[DictRow]") -> "list[DictRow]":
        try:
            return await (await connection.execute(query, values)).fetchall()
        except UndefinedTable:
            return []  # nobody has begun on anything in this database

    return await session.run(work)
