"""The queue's own tables."""

from typing import LiteralString

from procrastinate.schema import SchemaManager
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from conference_async.dialer.ledger.postgres_tables import LEDGERS
from conference_async.postgres.tables import Tables

# Those of an older version are left alone: procrastinate says how they are brought up to date.
_SCRIPT: LiteralString = """
DO $conference_async$ BEGIN
    IF to_regclass('procrastinate_jobs') IS NULL THEN
        EXECUTE $procrastinate$
<schema>
        $procrastinate$;
    END IF;
END $conference_async$;
"""
QUEUE = Tables(
    purpose="the queue in PostgreSQL",
    names=(
        "procrastinate_jobs",
        "procrastinate_workers",
        "procrastinate_periodic_defers",
        "procrastinate_events",
    ),
    sequences=(
        "procrastinate_jobs_id_seq",
        "procrastinate_periodic_defers_id_seq",
        "procrastinate_events_id_seq",
    ),
    version=None,
    script=_SCRIPT.replace("<schema>", SchemaManager.get_schema()),
)


async def check_queue(connection: AsyncConnection[DictRow]) -> None:
    """Refuse to work without the tables, or without the right to write to them.

    Raises:
        ConfigurationError: They are not there, not ours, or not for us.
    """
    await LEDGERS.check(connection)
    await QUEUE.check(connection)
