"""Campaigns that workers share: how they stand, what is to be done for a target, what has a job.

The ledger decides. Jobs are only reminders: one that is lost is made again from the ledger, and
one too many finds nothing to do.
"""

import warnings
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, LiteralString

import attrs

from conference_async.cluster.ledger_tables import outcome_of
from conference_async.cluster.postgres_session import Session
from conference_async.dialer.ledger import Outcome
from conference_async.errors import LedgerError
from conference_async.models import NewParticipant
from conference_async.notices import ConferenceWarning

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

CALL = "conference_async:call"
"""The task that calls one target."""

_FIND = """
SELECT outcome.*, campaign.standing,
    extract(epoch FROM clock_timestamp() - outcome.changed)::float8 AS quiet
FROM conference_async_outcome AS outcome JOIN conference_async_campaign AS campaign USING (ledger)
WHERE outcome.number = %s
"""
_STAND = """
UPDATE conference_async_campaign SET standing = %(standing)s, reason = %(reason)s
WHERE ledger = %(ledger)s AND shared RETURNING standing
"""
_READ = "SELECT standing, reason FROM conference_async_campaign WHERE ledger = %s AND shared"
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
            AND request IS NOT NULL)
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


@attrs.frozen(kw_only=True)
class Assignment:
    """What is known of a target when its job's turn comes."""

    ledger: str
    """The campaign's ledger."""

    outcome: Outcome
    """What the ledger has."""

    standing: Standing
    """Whether the campaign goes on."""

    quiet: float
    """Seconds since the ledger's row was written last, by the server's clock."""

    request: dict[str, Any]
    """What to send, but for the address."""

    @property
    def new(self) -> NewParticipant:
        """The whole request."""
        with warnings.catch_warnings():
            # Whoever submitted it was warned already.
            warnings.simplefilter("ignore", ConferenceWarning)
            return NewParticipant(**self.request, to=self.outcome.to)


def request_of(new: NewParticipant) -> dict[str, Any]:
    """Return a request as `Assignment` keeps it."""
    return attrs.asdict(
        new, filter=lambda field, value: field.name != "to" and value not in (None, {})
    )


async def assignment(session: Session, number: int) -> Assignment | None:
    """Return what is to be done for a target; None if the ledger has forgotten it."""

    async def work(connection: "AsyncConnection[DictRow]") -> Assignment | None:
        row = await (await connection.execute(_FIND, (number,))).fetchone()
        if row is None:
            return None
        return Assignment(
            ledger=row["ledger"],
            outcome=outcome_of(row),
            standing=Standing(row["standing"]),
            quiet=row["quiet"],
            request=row["request"] or {},
        )

    return await session.run(work)


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
        raise LedgerError(f"workers have no campaign {ledger!r}")


async def standing_of(session: Session, ledger: str) -> tuple[Standing, str | None] | None:
    """Return how a campaign stands and why; None if it does not belong to workers."""

    async def work(connection: "AsyncConnection[DictRow]") -> "DictRow | None":
        return await (await connection.execute(_READ, (ledger,))).fetchone()

    row = await session.run(work)
    return None if row is None else (Standing(row["standing"]), row["reason"])


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
