"""A journal's place in one word: a file, or a database that machines share."""

from os import PathLike, fspath

from conference_async.journal.postgres import PostgresJournal
from conference_async.journal.sqlite import Journal
from conference_async.postgres.dsn import in_database


def journal_at(where: str | PathLike[str]) -> Journal | PostgresJournal:
    """Return the journal at a place.

    Args:
        where: The path of a file, or ``postgresql://host/database``.

    Raises:
        ConfigurationError: It is the URL of a database, and it is not one or the extra
            ``cluster`` is not installed.
    """
    return PostgresJournal(fspath(where)) if in_database(where) else Journal(where)
