"""Whether a worker could call somebody now, as far as its database goes."""

from typing import TYPE_CHECKING

from conference_async.errors import ConferenceError
from conference_async.postgres.session import Session
from conference_async.time_limits import time_limit

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

ANSWER_WITHIN = 2.0
"""Seconds that the database may take."""


async def asked(session: Session) -> str | None:
    """Ask a database; return why a worker cannot use it, in a line, or None if it can."""
    try:
        async with time_limit(ANSWER_WITHIN):
            await session.run(_usable, patience=0)
    except TimeoutError:
        return f"the database has not answered for {ANSWER_WITHIN:g} seconds"
    except ConferenceError as error:
        return str(error)
    return None


async def _usable(connection: "AsyncConnection[DictRow]") -> None:
    from psycopg.errors import ReadOnlySqlTransaction

    from conference_async.dialer.workers.queue_schema import check_queue

    await check_queue(connection)
    row = await (await connection.execute("SHOW transaction_read_only")).fetchone()
    if row is not None and row["transaction_read_only"] == "on":
        raise ReadOnlySqlTransaction("it only reads at this time, as a standby does")
