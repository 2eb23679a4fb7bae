"""Campaigns that workers share: how they stand, and what has a job.

The ledger decides. Jobs are only reminders: one that is lost is made again from the ledger, and
one too many finds nothing to do.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, LiteralString

from conference_async.cluster.postgres_session import Session
from conference_async.errors import LedgerError

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

CALL = "conference_async:call"
"""The task that calls one target."""

_STAND = """
UPDATE conference_async_campaign SET standing = %(standing)s, reason = %(reason)s,
    ends_at = CASE WHEN ends_at > clock_timestamp() OR %(standing)s <> 'running' THEN ends_at END
WHERE ledger = %(ledger)s AND shared RETURNING standing
"""
_READ = """
SELECT standing, reason, ends_at, clock_timestamp() AS now FROM conference_async_campaign
WHERE ledger = %s AND shared
"""
# The queue's own functions for this take one job at a time, by its number. A campaign has as many
# as it has targets: they are moved together, and in the transaction that changes its standing.
_PUT_OFF = """
UPDATE procrastinate_jobs SET scheduled_at = '9999-01-01T00:00:00Z'
WHERE status = 'todo' AND task_name = %(task)s AND args ->> 'ledger' = %(ledger)s
"""
_TAKE_UP = """
UPDATE procrastinate_jobs SET scheduled_at = NULL
WHERE status = 'todo' AND task_name = %(task)s AND args ->> 'ledger' = %(ledger)s
    AND scheduled_at = '9999-01-01T00:00:00Z'
"""
_FORGET = """
DELETE FROM procrastinate_jobs
WHERE status = 'todo' AND task_name = %(task)s AND args ->> 'ledger' = %(ledger)s
"""
_SKIP = """
UPDATE conference_async_outcome
SET state = 'skipped', ended_at = now(), reason = 'the campaign was cancelled'
WHERE ledger = %(ledger)s AND state = 'planned'
"""
_JOBLESS = """
SELECT outcome.number, campaign.priority, campaign.account_sid
FROM conference_async_outcome AS outcome JOIN conference_async_campaign AS campaign USING (ledger)
WHERE outcome.ledger = %s AND outcome.number > %s AND outcome.request IS NOT NULL
    AND outcome.state IN ('planned', 'skipped', 'sending') AND campaign.standing = 'running'
    AND (outcome.state = 'sending' OR coalesce(campaign.ends_at, 'infinity') > clock_timestamp())
    AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS job
        WHERE job.queueing_lock = 'conference_async/' || outcome.number
            AND job.status IN ('todo', 'doing'))
ORDER BY outcome.number LIMIT %s
"""
_DRY = """
SELECT ledger FROM conference_async_campaign AS campaign
WHERE shared AND standing = 'running' AND account_sid = %(account_sid)s
    AND EXISTS (
        SELECT FROM conference_async_outcome AS outcome
        WHERE outcome.ledger = campaign.ledger AND state IN ('planned', 'sending')
            AND request IS NOT NULL
            AND (state = 'sending' OR coalesce(ends_at, 'infinity') > clock_timestamp()))
    AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS job
        WHERE job.status = 'todo' AND job.task_name = %(task)s
            AND job.args ->> 'ledger' = campaign.ledger)
"""
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7241946833))"


class Standing(StrEnum):
    """Whether workers may call a campaign's targets."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"

    ENDED = "ended"
    """Its deadline has passed, or its quorum is there; who was not called stays planned."""


async def stand(
    session: Session, ledger: str, standing: Standing, reason: str | None = None
) -> None:
    """Let a campaign's workers go on, pause, or give up; in effect when this returns.

    No call is started from then on; what is under way goes on.

    Raises:
        LedgerError: There is no such campaign of workers.
    """
    row = {"ledger": ledger, "standing": standing.value, "reason": reason, "task": CALL}
    statements: Mapping[Standing, tuple[LiteralString, ...]] = {
        Standing.RUNNING: (_TAKE_UP,),
        Standing.PAUSED: (_PUT_OFF,),
        Standing.CANCELLED: (_FORGET, _SKIP),
    }

    async def work(connection: "AsyncConnection[DictRow]") -> bool:
        async with connection.transaction():
            if await (await connection.execute(_STAND, row)).fetchone() is None:
                return False
            for statement in statements[standing]:
                await connection.execute(statement, row)
        return True

    if not await session.run(work):
        raise LedgerError(
            f"no campaign {ledger!r} was submitted to workers. If it was dialled without them, go "
            "on by running its dial command again, or with --submit to leave the rest to workers"
        )


async def standing_of(session: Session, ledger: str) -> tuple[Standing, str | None] | None:
    """Return how a campaign stands and why; None if it does not belong to workers."""

    async def work(connection: "AsyncConnection[DictRow]") -> "DictRow | None":
        return await (await connection.execute(_READ, (ledger,))).fetchone()

    row = await session.run(work)
    return None if row is None else (standing_in(row), row["reason"])


def standing_in(row: "DictRow") -> Standing:
    """Return how a campaign stands by its row, which has no word for the passing of time."""
    over = row["ends_at"] is not None and row["ends_at"] <= row["now"]
    standing = Standing(row["standing"])
    return Standing.ENDED if over and standing is Standing.RUNNING else standing


async def jobless(
    connection: "AsyncConnection[DictRow]", ledger: str, after: int, most: int
) -> "list[DictRow]":
    """Return targets that are to be called and have no job, in order; nobody else finds them.

    To be called in a transaction; until its end, others who ask for this ledger wait.
    """
    await connection.execute(_ONE_AT_A_TIME, (ledger,))
    return await (await connection.execute(_JOBLESS, (ledger, after, most))).fetchall()


async def dry(session: Session, account_sid: str) -> list[str]:
    """Return the ledgers of running campaigns that have targets to call and no job that waits."""
    values = {"account_sid": account_sid, "task": CALL}

    async def work(connection: "AsyncConnection[DictRow]") -> list[str]:
        rows = await (await connection.execute(_DRY, values)).fetchall()
        return [row["ledger"] for row in rows]

    return await session.run(work)
