"""How a campaign of workers stands: one row, which every claim of a target asks."""

from enum import StrEnum
from typing import TYPE_CHECKING

from conference_async.errors import LedgerError
from conference_async.postgres.session import Session

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

# Paused, what was cancelled would be taken for what is to go on.
_STOP = """
UPDATE conference_async_campaign SET standing = %(standing)s, busy = true,
    reason = CASE WHEN standing = %(standing)s THEN reason END
WHERE ledger = %(ledger)s AND shared AND (standing <> 'cancelled' OR %(standing)s = 'cancelled')
RETURNING account_sid
"""
# What has ended has no quorum any more, whether or not workers have settled that yet.
_GO_ON = """
UPDATE conference_async_campaign SET standing = %(standing)s, busy = true, reason = NULL,
    quorum = CASE WHEN ends_at <= clock_timestamp() THEN NULL ELSE quorum END,
    ends_at = CASE WHEN ends_at > clock_timestamp() THEN ends_at END
WHERE ledger = %(ledger)s AND shared
RETURNING account_sid
"""
# What somebody else did meanwhile stands: what was cancelled is not paused instead.
_PAUSE = """
UPDATE conference_async_campaign SET standing = 'paused', reason = %s
WHERE ledger = %s AND standing = 'running'
"""
_UNDER_WAY = """
SELECT count(*) AS number FROM conference_async_outcome WHERE ledger = %s AND state = 'sending'
"""
_READ = """
SELECT standing, reason, ends_at, clock_timestamp() AS now FROM conference_async_campaign
WHERE ledger = %s AND shared
"""


class Standing(StrEnum):
    """Whether workers may call a campaign's targets."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"

    ENDED = "ended"
    """Its deadline has passed, or its quorum is there; the targets left stay planned."""


async def stand(session: Session, ledger: str, standing: Standing) -> tuple[str, int]:
    """Let a campaign's workers go on, pause, or give up.

    Unless it is to go on, no target of it becomes ``sending`` once this has returned.

    Returns:
        The account that calls, and how many targets are ``sending``: their requests are under way.

    Raises:
        LedgerError: There is no such campaign of workers, it was cancelled and is to pause, or it
            is not known whether the change was made.
    """
    row = {"ledger": ledger, "standing": standing.value}
    change = _GO_ON if standing is Standing.RUNNING else _STOP

    async def work(connection: "AsyncConnection[DictRow]") -> tuple[str, int] | None:
        """Change the standing, then count; None if it cannot be changed so."""
        found = await (await connection.execute(change, row)).fetchone()
        if found is None:
            return None
        counted = await (await connection.execute(_UNDER_WAY, (ledger,))).fetchone()
        return found["account_sid"], counted["number"] if counted else 0

    try:
        stands = await session.run(work)
    except LedgerError as error:
        raise LedgerError(
            f"{error}; whether the campaign {ledger!r} is {standing} now is not known, so ask for "
            "its status when the server is back, and repeat this"
        ) from error
    if stands is None and await standing_of(session, ledger) is not None:
        raise LedgerError(
            f"the campaign {ledger!r} was cancelled, and stays so: no call of it starts unless it "
            "is resumed"
        )
    if stands is None:
        raise LedgerError(
            f"no campaign {ledger!r} was submitted to workers. If it was dialled without them, go "
            "on by running its dial command again, or with --submit to leave the rest to workers"
        )
    return stands


async def pause_running(session: Session, ledger: str, reason: str) -> bool:
    """Let a campaign's workers pause, if it is running; return whether this did it.

    Raises:
        LedgerError: The server cannot be used.
    """

    async def work(connection: "AsyncConnection[DictRow]") -> bool:
        """Change the standing, and say why."""
        return (await connection.execute(_PAUSE, (reason, ledger))).rowcount == 1

    return await session.run(work)


async def standing_of(session: Session, ledger: str) -> tuple[Standing, str | None] | None:
    """Return how a campaign stands and why; None if it does not belong to workers."""

    async def work(connection: "AsyncConnection[DictRow]") -> "DictRow | None":
        """Read the row of the campaign."""
        return await (await connection.execute(_READ, (ledger,))).fetchone()

    row = await session.run(work)
    return None if row is None else (standing_in(row), row["reason"])


def standing_in(row: "DictRow") -> Standing:
    """Return how a campaign stands by its row, which has no word for the passing of time."""
    over = row["ends_at"] is not None and row["ends_at"] <= row["now"]
    standing = Standing(row["standing"])
    return Standing.ENDED if over and standing is Standing.RUNNING else standing
