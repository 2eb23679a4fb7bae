"""The file that a ledger is kept in: its schema, its version, its one writer."""

import sqlite3
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Self

import attrs

from conference_async.errors import LedgerError
from conference_async.rooted import of_the_parent
from conference_async.sqlite import holds
from conference_async.sqlite.file import SQLiteFile
from conference_async.sqlite.handle import make_private
from conference_async.sqlite.holds import Hold, Taken
from conference_async.sqlite.schema import Schema, make_durable

_BUSY = 5.0
_APPLICATION = slice(68, 72)
"""The bytes of an SQLite file that say whose it is; a young one may say it in its log alone."""

SCHEMA = Schema(
    application=0x43664C67,  # "CfLg"
    scripts=(
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
        # What was called is found by its number, when a lost call of another one is looked for.
        """
    ALTER TABLE outcome ADD COLUMN caller TEXT;
    CREATE INDEX called ON outcome ("to") WHERE attempts > 0;
    """,
        # What joins a row of the ledger to that of the file.
        """
    ALTER TABLE outcome ADD COLUMN row INTEGER;
    ALTER TABLE outcome ADD COLUMN id TEXT;
    ALTER TABLE outcome ADD COLUMN own_label TEXT;
    """,
        # What rules ask of a row.
        """
    ALTER TABLE outcome ADD COLUMN purpose TEXT;
    ALTER TABLE outcome ADD COLUMN earliest TEXT;
    ALTER TABLE outcome ADD COLUMN latest TEXT;
    """,
    ),
)


def is_ledger(path: Path) -> bool:
    """Return whether a file is a ledger, whatever its name; others are not touched. It blocks."""
    try:
        with holds.guard, path.open("rb") as file:
            header = file.read(_APPLICATION.stop)
        if not header.startswith(b"SQLite format 3\0"):
            return False
        if any(header[_APPLICATION]) or not _log_of(path).is_file():
            return header[_APPLICATION] == SCHEMA.application.to_bytes(4)
        with holds.guard, closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
            (application,) = file.execute("PRAGMA application_id").fetchone()
    except (OSError, sqlite3.Error):  # nothing of ours, or nothing that we may read
        return False
    return bool(application == SCHEMA.application)


def in_use(path: Path) -> bool:
    """Return whether a campaign is being run on a ledger; nobody is kept from it. It blocks."""
    lock = _lock_of(path)
    with holds.guard:
        return lock.is_file() and holds.held(lock, 0, 1)


def _lock_of(path: Path) -> Path:
    path = path.resolve()  # whatever other names lead to it
    return path.with_name(f"{path.name}.lock")


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


class LedgerFile:
    """An SQLite file as a ledger; every method blocks, and is called by one thread.

    Args:
        path: The file; None for one that nobody else sees and that is gone when it is closed.
        read_only: Whether it is only read, whoever is writing to it.
    """

    def __init__(self, path: str | PathLike[str] | None, *, read_only: bool) -> None:
        self.file: SQLiteFile = SQLiteFile(
            path, prepare=self._prepare, busy=_BUSY, read_only=read_only
        )
        self._read_only = read_only
        self._lock: _WriterLock | None = None

    @property
    def name(self) -> str:
        """The name that errors call it by."""
        path = self.file.path
        return "the temporary ledger" if path is None else f"the ledger {path.name}"

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        behind = SCHEMA.behind(connection, self.name)
        if self.file.path is not None and not self._read_only:
            make_durable(connection)
        if not behind:
            return
        if self._read_only:
            raise LedgerError(f"{self.name} is of an older version; run its campaign to renew it")
        self.lock()
        try:
            SCHEMA.catch_up(connection)
        finally:
            self.unlock()

    def lock(self) -> None:
        """Become the file's one writer, until `unlock` or the end of the process.

        Readers are not kept out.

        Raises:
            LedgerError: Another writer is at work.
        """
        path = self.file.path
        if path is None:
            return
        if self._read_only:
            raise LedgerError(f"{self.name} was opened for reading only; nothing was dialled")
        self._lock = _WriterLock.on(_lock_of(path))
        if self._lock is None:
            raise LedgerError(
                f"{self.name} is in use: this campaign is being run already, here or in another "
                "process; nothing was dialled"
            )

    def unlock(self) -> None:
        """Let another writer at it."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def forget_lock(self) -> None:
        """Forget a lock that is not this process's, but its parent's."""
        if self._lock is not None:
            of_the_parent.append(self._lock)
            self._lock = None


@attrs.frozen(eq=False)
class _WriterLock:
    """A lock on a file beside the ledger, which the system gives back however the process ends.

    SQLite's own works on every system, also against versions of this library that knew no other;
    the hold beside it is not lost when something here opens and closes the file.
    """

    connection: sqlite3.Connection
    hold: Hold

    @classmethod
    def on(cls, path: Path) -> Self | None:
        """Return the lock; None if somebody has it."""
        connection = sqlite3.connect(path, timeout=0, check_same_thread=False)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            make_private(path)
            with holds.guard:
                return cls(connection, Hold(path, 0, 1, alone=True))
        except (sqlite3.Error, Taken) as error:
            connection.close()
            if isinstance(error, Taken) or error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                return None
            raise

    def close(self) -> None:
        """Give it back."""
        with holds.guard:
            self.connection.close()
            self.hold.close()
