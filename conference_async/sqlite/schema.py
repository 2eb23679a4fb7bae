"""What an SQLite file of ours is: whose, of which version, and how it becomes durable."""

import sqlite3

import attrs

from conference_async.errors import LedgerError


@attrs.frozen
class Schema:
    """The tables of one kind of file."""

    application: int
    """The number in the header of such files."""

    scripts: tuple[str, ...]
    """What brings a file from one version to the next; a new one runs them all."""

    def behind(self, connection: sqlite3.Connection, name: str) -> bool:
        """Return whether the file lacks tables that this version of the library has.

        Args:
            connection: The file.
            name: The name that errors call it by.

        Raises:
            LedgerError: It is a database of another program, or of a newer version.
        """
        connection.execute("BEGIN")  # all of one moment: another process may be making the tables
        try:
            tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            application: int = connection.execute("PRAGMA application_id").fetchone()[0]
            version = self._version(connection)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if application != self.application and (application or version or tables):
            raise LedgerError(f"{name} is a database of another program; choose another file")
        if version > len(self.scripts):
            raise LedgerError(
                f"{name} was written by a newer version of this library (schema {version}, "
                f"this one knows {len(self.scripts)}); upgrade, and nothing is lost"
            )
        return version < len(self.scripts)

    def catch_up(self, connection: sqlite3.Connection) -> None:
        """Make the tables that the file lacks."""
        version = self._version(connection)
        for number, script in enumerate(self.scripts[version:], start=version + 1):
            connection.executescript(
                f"BEGIN IMMEDIATE; {script}"
                f"PRAGMA application_id = {self.application}; PRAGMA user_version = {number};"
                "COMMIT"
            )

    def _version(self, connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version


def make_durable(connection: sqlite3.Connection) -> None:
    """Let each write that is answered have reached the disk."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # else macOS leaves it in the drive's cache
