"""All tables that this library keeps in a PostgreSQL, made by whoever may, and nobody else."""

from typing import TYPE_CHECKING, LiteralString

from psycopg.sql import Identifier, Literal

from conference_async.dialer.ledger.postgres_tables import LEDGERS
from conference_async.dialer.workers.queue_schema import QUEUE
from conference_async.journal.postgres import INTENTS
from conference_async.pace.postgres import PACE
from conference_async.webhooks.event_log.postgres import EVENTS

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

_ALL = (PACE, INTENTS, EVENTS, LEDGERS, QUEUE)

# PostgreSQL does not forgive two sessions that make the same table at once; the lock's number is
# any that is ours.
_ONE_AT_A_TIME: LiteralString = "SELECT pg_advisory_xact_lock(7241946832);\n"
_USE: LiteralString = """DO $do$ BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), <name>);
END $do$;
"""


def whole_sql(grant_to: str | None = None) -> str:
    """Return what makes all tables, and lets a role read and write their rows.

    It can be run again, and does no harm where they are.
    """
    parts = ["BEGIN;\n", _ONE_AT_A_TIME, *(each.sql() for each in _ALL), *_grants(grant_to)]
    return "".join((*parts, "COMMIT;\n"))


async def make_all(connection: "AsyncConnection[DictRow]", grant_to: str | None) -> None:
    """Make the tables that are not there, and bring those of an older version up to date."""
    async with connection.transaction():
        await connection.execute(_ONE_AT_A_TIME)
        for each in _ALL:
            if not await each.there(connection):  # else workers would be locked out for a moment
                await connection.execute(each.sql().encode())
        for grant in _grants(grant_to):
            await connection.execute(grant.encode())


def _grants(role: str | None) -> list[str]:
    if role is None:
        return []
    name, quoted = Literal(role).as_string(None), Identifier(role).as_string(None)
    return [_USE.replace("<name>", name), *(each.grants(quoted) for each in _ALL)]
