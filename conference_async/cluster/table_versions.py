"""Which version of our tables a database holds: a comment on a table, which its makers write."""

from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    from psycopg import AsyncConnection

VERSION: LiteralString = "conference_async 1"
"""The version of all our tables; another one for any change of any of them."""

_READ = "SELECT to_regclass(%s), obj_description(to_regclass(%s), 'pg_class')"


async def other_version(connection: "AsyncConnection[Any]", table: str) -> str | None:
    """Return what is wrong with a table that is there; None if it is ours, or is not there."""
    from psycopg.rows import tuple_row

    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_READ, (table, table))
        there, found = await cursor.fetchone() or (None, None)
    if there is None or found == VERSION:
        return None
    return f"the table {table} is of {found or 'an unknown version'}, and this is {VERSION}"
