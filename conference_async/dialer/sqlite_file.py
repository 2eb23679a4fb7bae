"""The file that a ledger is kept in: its schema, its version, its one writer."""

import os
import sqlite3
from pathlib import Path

from conference_async.errors import LedgerError

_APPLICATION = 0x43664C67  # "CfLg", in the file's header
_BUSY = 5.0

MIGRATIONS = (
    """
    CREATE TABLE campaign (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        name TEXT NOT NULL,
        account_sid TEXT NOT NULL,
        total INTEGER
    );
    CREATE TABLE outcome (
        number INTEGER PRIMARY KEY,
        target TEXT NOT NULL UNIQUE,
        "to" TEXT NOT NULL,
        conference TEXT NOT NULL,
        state TEXT NOT NULL,
        token TEXT,
        label TEXT,
        attempts INTEGER NOT NULL,
        call_sid TEXT,
        conference_sid TEXT,
        sent_at TEXT,
        ended_at TEXT,
        reason TEXT
    );
    """,
)
"""Scripts that bring a ledger from one schema version to the next; a new one runs them all."""


class LedgerFile:
    """One SQLite file; every method blocks, and is called by one thread at a time.

    Args:
        path: The file; None for one that nobody else sees and that is gone when it is closed.
        read_only: Whether to open an existing file for reading, whoever is writing to it.
    """

    def __init__(self, path: Path | None, *, read_only: bool) -> None:
        self._path = path
        self._read_only = read_only
        self._lock: sqlite3.Connection | None = None

    @property
    def name(self) -> str:
        """What errors call it."""
        return "the temporary ledger" if self._path is None else f"the ledger {self._path.name}"

    def connect(self) -> sqlite3.Connection:
        """Open the file, and bring its schema up to date.

        Raises:
            LedgerError: It is no ledger, or one of a newer version, or cannot be opened.
            sqlite3.Error: Anything else.
        """
        connection = sqlite3.connect(
            self._address(), uri=True, timeout=_BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _address(self) -> str:
        if self._path is None:
            return ""  # SQLite's own temporary file: it spills to the disk as it grows
        address = self._path.absolute().as_uri()
        if self._read_only:
            return f"{address}?mode=ro"
        try:
            # It holds phone numbers: nobody else may read it, nor the files made beside it.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise LedgerError(f"{self.name} cannot be opened: {error.strerror}") from error
        return address

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = self._checked_version(connection)
        if self._path is not None and not self._read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")  # else macOS leaves it in the drive's cache
        if version == len(MIGRATIONS):
            return
        if self._read_only:
            raise LedgerError(f"{self.name} is of an older version; run its campaign to renew it")
        self.lock()
        try:
            for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
                connection.executescript(
                    f"BEGIN IMMEDIATE; {script}"
                    f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {number};"
                    "COMMIT"
                )
        finally:
            self.unlock()

    def _checked_version(self, connection: sqlite3.Connection) -> int:
        application: int = connection.execute("PRAGMA application_id").fetchone()[0]
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != _APPLICATION and (application or version or tables):
            raise LedgerError(f"{self.name} is a database of another program; choose another file")
        if version > len(MIGRATIONS):
            raise LedgerError(
                f"{self.name} was written by a newer version of this library (schema {version}, "
                f"this one knows {len(MIGRATIONS)}); upgrade, and nothing is lost"
            )
        return version

    def lock(self) -> None:
        """Become the file's one writer, until `unlock` or the end of the process.

        The lock is SQLite's own, on a file beside the ledger: the system gives it back however
        the process ends, and readers are not kept out.

        Raises:
            LedgerError: Another writer is at work.
        """
        if self._path is None:
            return
        if self._read_only:
            raise LedgerError(f"{self.name} was opened for reading only; nothing was dialled")
        beside = self._path.with_name(f"{self._path.name}.lock")
        lock = sqlite3.connect(beside, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            lock.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise LedgerError(
                f"{self.name} is in use: this campaign is being run already, here or in another "
                "process; nothing was dialled"
            ) from error
        self._lock = lock

    def unlock(self) -> None:
        """Let another writer at it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
