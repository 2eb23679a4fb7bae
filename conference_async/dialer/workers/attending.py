"""Campaigns that end by themselves: enough have joined, or nobody else can."""

from typing import TYPE_CHECKING, TypeAlias

from conference_async.client import ConferenceClient
from conference_async.dialer.calling.quorum import Headcount
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.rules.wishes import Quorum
from conference_async.dialer.workers.standing import Standing, standing_in
from conference_async.postgres.session import Session
from conference_async.sending.entries import State

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

_WAITING = """
SELECT ledger, quorum, humans, standing, ends_at, clock_timestamp() AS now
FROM conference_async_campaign
WHERE shared AND standing = 'running' AND quorum IS NOT NULL AND account_sid = %s
"""
# What somebody else did meanwhile stands: another quorum, a pause, or that it is to go on.
_END = """
UPDATE conference_async_campaign
SET ends_at = clock_timestamp(), reason = 'enough have joined, or nobody else can'
WHERE ledger = %(ledger)s AND standing = 'running' AND quorum = %(quorum)s
    AND ends_at IS NOT DISTINCT FROM %(ends_at)s
"""
# Whoever was left out since may have been called with detection: nobody knows any more.
_UNDETECTED = """
SELECT call_sid FROM conference_async_outcome
WHERE ledger = %s AND state = 'placed' AND NOT request ? 'machine_detection'
"""
_SETTLE = """
UPDATE conference_async_campaign SET quorum = NULL
WHERE ledger = %s AND standing = 'running' AND ends_at <= clock_timestamp()
"""

Heard: TypeAlias = dict[str, dict[str, bool]]
"""For each ledger, whether a person picked up, by the calls of which that is known."""


async def attend(client: ConferenceClient, session: Session, heard: Heard) -> None:
    """End the account's campaigns whose quorum is there, and hang up on phones that still ring.

    Args:
        client: What lists and hangs up.
        session: Where the ledgers are.
        heard: What machine detection has said; kept from one time to the next.

    Raises:
        LedgerError: The ledgers cannot be read or written.
    """

    async def work(connection: "AsyncConnection[DictRow]") -> "list[DictRow]":
        """Read the campaigns that wait for a quorum."""
        return await (await connection.execute(_WAITING, (client.account_sid,))).fetchall()

    for row in await session.run(work):
        await _attend(client, session, row, heard)


async def _attend(client: ConferenceClient, session: Session, row: "DictRow", heard: Heard) -> None:
    name = row["ledger"]
    ledger = PostgresLedger.on(session, name)
    wanted = "humans" if row["humans"] else "joined"
    headcount = Headcount(
        Quorum(**{wanted: row["quorum"]}), client, ledger, heard.setdefault(name, {})
    )
    await _recall(headcount, session, row)
    if standing_in(row) is not Standing.ENDED:
        counts = await ledger.counts()
        over = not counts[State.PLANNED] + counts[State.SENDING]
        if not await headcount.reached(over=over):
            return
        ended = await session.run(lambda connection: connection.execute(_END, row))
        if not ended.rowcount:
            return
    settled = not (await ledger.counts())[State.SENDING]
    if settled:
        await _recall(headcount, session, row)  # with those who were being called until now
    for ringing in (await headcount.census()).ringing:
        await headcount.take_down(ringing)
    if settled:
        await session.run(lambda connection: connection.execute(_SETTLE, (name,)))
        del heard[name]


async def _recall(headcount: Headcount, session: Session, row: "DictRow") -> None:
    """Take note of all who were called, and of those whom no detection listens to."""
    undetected = set[str]()
    if row["humans"]:

        async def work(connection: "AsyncConnection[DictRow]") -> "list[DictRow]":
            """Read the calls without detection."""
            return await (await connection.execute(_UNDETECTED, (row["ledger"],))).fetchall()

        undetected = {each["call_sid"] for each in await session.run(work)}
    await headcount.recall(lambda outcome: outcome.call_sid not in undetected)
