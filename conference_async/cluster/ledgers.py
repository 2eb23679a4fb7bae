"""Where a campaign is remembered, by one word: a file, or a database that machines share."""

from os import PathLike, fspath
from typing import TypeAlias
from urllib.parse import unquote, urldefrag

from conference_async.cluster.postgres_ledger import PostgresLedger
from conference_async.dialer.sqlite_store import Ledger

_SCHEMES = ("postgresql://", "postgres://")

AnyLedger: TypeAlias = Ledger | PostgresLedger
"""A ledger, wherever it is kept."""


def in_database(where: str | PathLike[str]) -> bool:
    """Return whether a ledger's place is the URL of a database."""
    return fspath(where).startswith(_SCHEMES)


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
