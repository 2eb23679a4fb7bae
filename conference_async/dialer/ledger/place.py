"""A ledger's place in one word: a file, or a database that machines share."""

from os import PathLike, fspath
from typing import TypeAlias
from urllib.parse import unquote, urldefrag

from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.ledger.sqlite import Ledger
from conference_async.postgres.dsn import in_database

AnyLedger: TypeAlias = Ledger | PostgresLedger
"""A ledger, wherever it is kept."""


def ledger_at(
    where: str | PathLike[str],
    *,
    name: str | None = None,
    read_only: bool = False,
    shared: bool = False,
) -> AnyLedger:
    """Return the ledger at a place, to be opened with ``async with``.

    Args:
        where: The path of a file, or ``postgresql://host/database#name``. Without ``#name`` it is
            the ledger called `name`.
        name: The ledger's name in a database, where `where` has none.
        read_only: Whether only to look at it, while others write.
        shared: Whether workers may write to it too, as for `PostgresLedger`.

    Raises:
        ConfigurationError: It is the URL of a database, and it is not one or the extra
            ``cluster`` is not installed.
    """
    if not in_database(where):
        return Ledger(where, read_only=read_only)
    dsn, own_name = split_name(fspath(where))
    return PostgresLedger(dsn, name=own_name or name, shared=shared)


def split_name(url: str) -> tuple[str, str | None]:
    """Return the database that a URL names, and the ledger in it if it names one."""
    dsn, name = urldefrag(url)
    return dsn, unquote(name) or None
