"""Campaigns of workers that end when enough have joined."""

from typing import TYPE_CHECKING

from conference_async.client import ConferenceClient
from conference_async.cluster.campaigns import Standing, standing_in
from conference_async.cluster.postgres_ledger import PostgresLedger
from conference_async.cluster.postgres_session import Session
from conference_async.dialer.attendance import Attendance
from conference_async.dialer.ledger import State
from conference_async.dialer.policy import Quorum

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

_WAITING = """
SELECT ledger, quorum, standing, ends_at, clock_timestamp() AS now
FROM conference_async_campaign
WHERE shared AND standing = 'running' AND quorum IS NOT NULL AND account_sid = %s
"""
_END = """
UPDATE conference_async_campaign
SET ends_at = clock_timestamp(), reason = 'enough have joined, or nobody else can'
WHERE ledger = %s AND quorum IS NOT NULL
"""
_SETTLE = "UPDATE conference_async_campaign SET quorum = NULL WHERE ledger = %s"


async def attend(client: ConferenceClient, session: Session) -> None:
    """End the account's campaigns whose quorum is there, and hang up on phones that still ring.

    Raises:
        LedgerError: The ledgers cannot be read or written.
    """

    async def work(connection: "AsyncConnection[DictRow]") -> "list[DictRow]":
        return await (await connection.execute(_WAITING, (client.account_sid,))).fetchall()

    for row in await session.run(work):
        await _attend(client, session, row)


async def _attend(client: ConferenceClient, session: Session, row: "DictRow") -> None:
    name = row["ledger"]
    ledger = PostgresLedger.on(session, name)
    attendance = Attendance(Quorum(joined=row["quorum"]), client, ledger)
    await attendance.recall()
    if standing_in(row) is not Standing.ENDED:
        counts = await ledger.counts()
        over = not counts[State.PLANNED] + counts[State.SENDING]
        if not await attendance.reached(over=over):
            return
        await session.run(lambda connection: connection.execute(_END, (name,)))
    settled = not (await ledger.counts())[State.SENDING]
    if settled:
        await attendance.recall()  # who was being called until now
    for ringing in (await attendance.census()).ringing:
        await attendance.take_down(ringing)
    if settled:
        await session.run(lambda connection: connection.execute(_SETTLE, (name,)))
