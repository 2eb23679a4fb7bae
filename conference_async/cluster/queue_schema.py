"""The queue's own tables, made once and looked for before work begins."""

from procrastinate.schema import SchemaManager
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from conference_async.cluster.ledger_tables import check_version
from conference_async.errors import LedgerError

_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7241946832)"
_THERE = """
SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS queue,
    to_regclass('conference_async_campaign') IS NOT NULL AS ledgers
"""


async def make_queue(connection: AsyncConnection[DictRow]) -> None:
    """Make the queue's tables if there are none; those of an older version are left alone."""
    async with connection.transaction():
        await connection.execute(_ONE_AT_A_TIME)
        if not (await _there(connection))["queue"]:
            await connection.execute(SchemaManager.get_schema())


async def check_queue(connection: AsyncConnection[DictRow]) -> None:
    """Refuse to work without the queue's tables, or with those of another version of ours.

    Raises:
        LedgerError: They are not there, or not ours.
    """
    await check_version(connection)
    if not all((await _there(connection)).values()):
        raise LedgerError(
            "this database was not set up for workers: run conference-async cluster set-up, or "
            "await ClusterDialer.set_up(dsn)"
        )


async def _there(connection: AsyncConnection[DictRow]) -> DictRow:
    return await (await connection.execute(_THERE)).fetchone() or {}
