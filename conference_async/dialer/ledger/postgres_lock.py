"""The lock on a ledger in a PostgreSQL: one run of one process, or workers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, LiteralString

from conference_async.errors import ConfigurationError, LedgerError

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

_LOCK: Mapping[bool, LiteralString] = {
    False: "SELECT pg_try_advisory_lock(hashtextextended(%s, 7241946832)) AS ours",
    True: "SELECT pg_try_advisory_xact_lock_shared(hashtextextended(%s, 7241946832)) AS ours",
}
UNLOCK: LiteralString = "SELECT pg_advisory_unlock_all()"
"""Lets go of all locks of the session."""


async def take_lock(connection: "AsyncConnection[DictRow]", ledger: str, *, shared: bool) -> None:
    """Take the lock of a ledger: for the session, or for the transaction if workers share it.

    Raises:
        LedgerError: Another has it.
    """
    row = await (await connection.execute(_LOCK[shared], (ledger,))).fetchone()
    if row is None or not row["ours"]:
        raise LedgerError(
            f"the ledger {ledger!r} is in use: this campaign is being run already, here or "
            "elsewhere; nothing more is dialled"
        )


async def refuse_pooler(connection: "AsyncConnection[DictRow]") -> None:
    """Refuse a pooler, which may hand a lock of our session to the next who comes.

    It names itself when it is connected to, and another process answers. Whether that one stays
    ours, as in some poolers' session mode, does not show.

    Raises:
        ConfigurationError: There is one.
    """
    row = await (await connection.execute("SELECT pg_backend_pid() AS pid")).fetchone() or {}
    if row["pid"] != connection.info.backend_pid:
        raise ConfigurationError(
            "a pooler stands before this database, and a run of one process holds a lock of its "
            "session: name the database past the pooler, or let workers dial (dial --submit)"
        )
