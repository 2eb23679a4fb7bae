"""The queue's own tables, made once and looked for before work begins."""

from procrastinate.schema import SchemaManager
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from conference_async.errors import LedgerError

_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7241946832)"
_THERE = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS there"


async def make_queue(connection: AsyncConnection[DictRow]) -> None:
    """Make the queue's tables if there are none; those of an older version are left alone."""
    async with connection.transaction():
        await connection.execute(_ONE_AT_A_TIME)
        if not await _is_there(connection):
            await connection.execute(SchemaManager.get_schema())


async def check_queue(connection: AsyncConnection[DictRow]) -> None:
    """Refuse to work without the queue's tables.

    Raises:
        LedgerError: They are not there.
    """
    if not await _is_there(connection):
        raise LedgerError(
            "this database was not set up for workers: run conference-async cluster set-up, or "
            "await ClusterDialer.set_up(dsn)"
        )


async def _is_there(connection: AsyncConnection[DictRow]) -> bool:
    row = await (await connection.execute(_THERE)).fetchone()
    return row is not None and row["there"]
