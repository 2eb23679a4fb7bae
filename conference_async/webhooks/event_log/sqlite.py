"""A log of events for the processes of one machine: an SQLite file, and no server."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Final, TypeVar, Unpack

from conference_async.errors import ConfigurationError
from conference_async.sqlite.file import SQLiteFile
from conference_async.webhooks.event_log.contract import Entry, Record
from conference_async.webhooks.event_log.settings import LogSettings
from conference_async.webhooks.event_log.shared import SharedEvents
from conference_async.webhooks.event_log.signal import ChangeSignal

_BUSY: Final = 3.0
"""Seconds to wait for the file while another process holds it."""

_BITE: Final = 2_000
"""Rows that are forgotten with one statement."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS conference_async_event (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS conference_async_event_at ON conference_async_event (at);
CREATE TABLE IF NOT EXISTS conference_async_event_key (
    key TEXT PRIMARY KEY,
    at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS conference_async_event_key_at ON conference_async_event_key (at);
CREATE TABLE IF NOT EXISTS conference_async_event_group (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conference_async_event_claim (
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    member TEXT NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (name, position)
) WITHOUT ROWID;
"""
_READ: Final = """
SELECT position, body FROM conference_async_event WHERE position > ? ORDER BY position LIMIT ?
"""
# Of those that came at about the same instant the first counts; a look at all takes longer.
_START: Final = """
SELECT coalesce(
    (SELECT min(position) - 1 FROM (
        SELECT position FROM conference_async_event WHERE at >= ? ORDER BY at LIMIT 1000
    )),
    (SELECT max(seq) FROM sqlite_sequence WHERE name = 'conference_async_event'),
    0
)
"""
# In bites, so that appends have their turn between two of them.
_PRUNE: Final = (
    """
    DELETE FROM conference_async_event WHERE position IN (
        SELECT position FROM conference_async_event WHERE at < :oldest ORDER BY at LIMIT :bite
    )
    """,
    """
    DELETE FROM conference_async_event WHERE position IN (
        SELECT position FROM conference_async_event
        WHERE position <= (SELECT max(position) - :most FROM conference_async_event)
        ORDER BY position LIMIT :bite
    )
    """,
    # The keys of an entry go with it.
    """
    DELETE FROM conference_async_event_key WHERE key IN (
        SELECT key FROM conference_async_event_key WHERE at < max(
            :oldest, coalesce((SELECT min(at) FROM conference_async_event), 0)
        )
        ORDER BY at LIMIT :bite
    )
    """,
    """
    DELETE FROM conference_async_event_claim WHERE position NOT IN (
        SELECT position FROM conference_async_event
    )
    """,
)
_ABANDONED: Final = """
UPDATE conference_async_event_claim SET member = :member, until = :until
WHERE name = :name AND position IN (
    SELECT position FROM conference_async_event_claim
    WHERE name = :name AND until < :now ORDER BY position LIMIT :most
)
RETURNING position
"""
_FRESH: Final = """
INSERT INTO conference_async_event_claim (name, position, member, until)
SELECT :name, position, :member, :until FROM conference_async_event
WHERE position > (SELECT position FROM conference_async_event_group WHERE name = :name)
ORDER BY position LIMIT :most
RETURNING position
"""
T = TypeVar("T")


class SQLiteEventStore:
    """An `EventStore` in a file of this machine; not on a network share.

    Args:
        path: The file; it is made if it does not exist, its directory is not.

    Raises:
        ConfigurationError: The path names no file that processes could share.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if os.fspath(path) in {"", ":memory:"}:
            raise ConfigurationError("events are shared through a file: give its path")
        self._file = SQLiteFile(path, prepare=_prepare, busy=_BUSY)
        # Another handle and thread: who reads need not wait for those who write.
        self._read_file = SQLiteFile(path, prepare=_prepare, busy=_BUSY)
        self._signal: ChangeSignal | None = None

    def __repr__(self) -> str:
        return repr(str(self._file.path))

    async def open(self) -> None:
        """Open the file, as `EventStore` says."""
        await self._run(lambda _: None)

    async def append(self, records: Sequence[Record], *, keep: float) -> None:  # noqa: ARG002 -- what is kept is pruned
        """Append what is new, as `EventStore` says."""

        def write(file: sqlite3.Connection) -> None:
            """Write the records that are new."""
            now = time.time()
            for record in records:
                added = [
                    file.execute(
                        "INSERT OR IGNORE INTO conference_async_event_key VALUES (?, ?)", [key, now]
                    ).rowcount
                    for key in record.keys
                ]
                if all(added):
                    file.execute(
                        "INSERT INTO conference_async_event (at, body) VALUES (?, ?)",
                        [now, record.body],
                    )

        def append(file: sqlite3.Connection) -> None:
            """Take a turn at the file, unless all of the records are repetitions."""
            if any(_says_something(file, record) for record in records):
                self._transact(write, file)

        await self._in_thread(append)

    async def prune(self, *, keep: float, most: int) -> None:
        """Forget, as `EventStore` says."""
        values = {"oldest": time.time() - keep, "most": most, "bite": _BITE}

        def forget(statement: str, file: sqlite3.Connection) -> int:
            """Delete some of what is too old or too much, and return how many."""
            return file.execute(statement, values).rowcount

        for statement in _PRUNE:
            gone = _BITE
            while gone >= _BITE:
                gone = await self._run(partial(forget, statement), quietly=True)

    async def start(self, since: float) -> str:
        """Return where to start, as `EventStore` says."""
        (position,) = await self._look(
            lambda file: file.execute(_START, [time.time() - since]).fetchone()
        )
        return str(position)

    async def read(self, after: str, *, most: int, wait: float) -> Sequence[Entry]:
        """Return what is new, as `EventStore` says."""
        return await self._found(
            lambda: self._look(lambda file: file.execute(_READ, [int(after), most]).fetchall()),
            wait,
        )

    async def join(self, group: str, *, since: float) -> None:
        """Make a group, as `EventStore` says."""
        position = await self.start(since)
        await self._run(
            lambda file: file.execute(
                "INSERT OR IGNORE INTO conference_async_event_group VALUES (?, ?)",
                [group, int(position)],
            )
        )

    async def claim(
        self, group: str, member: str, *, most: int, wait: float, lease: float
    ) -> Sequence[Entry]:
        """Claim entries, as `EventStore` says."""

        def take(file: sqlite3.Connection) -> list[tuple[int, str]]:
            """Claim what is abandoned and what is new, and return it."""
            now = time.time()
            values = {"name": group, "member": member, "now": now, "until": now + lease}
            taken = file.execute(_ABANDONED, {**values, "most": most}).fetchall()
            fresh = file.execute(_FRESH, {**values, "most": most - len(taken)}).fetchall()
            if fresh:
                file.execute(
                    "UPDATE conference_async_event_group SET position = ? WHERE name = ?",
                    [max(position for (position,) in fresh), group],
                )
            entries = [
                file.execute(
                    "SELECT position, body FROM conference_async_event WHERE position = ?", found
                ).fetchone()
                for found in sorted(taken + fresh)
            ]
            return [entry for entry in entries if entry is not None]

        return await self._found(lambda: self._run(take), wait)

    async def renew(self, group: str, member: str, positions: Sequence[str], lease: float) -> None:
        """Keep claims, as `EventStore` says."""
        until = time.time() + lease
        await self._run(
            lambda file: file.executemany(
                "UPDATE conference_async_event_claim SET until = ? "
                "WHERE name = ? AND position = ? AND member = ?",
                [[until, group, int(each), member] for each in positions],
            )
        )

    async def done(self, group: str, positions: Sequence[str]) -> None:
        """Forget claims, as `EventStore` says."""
        await self._run(
            lambda file: file.executemany(
                "DELETE FROM conference_async_event_claim WHERE name = ? AND position = ?",
                [[group, int(each)] for each in positions],
            )
        )

    async def aclose(self) -> None:
        """Close the file."""
        if self._signal is not None:
            self._signal.close()
        await self._file.aclose()
        await self._read_file.aclose()

    async def _found(
        self, find: Callable[[], Awaitable[list[tuple[int, str]]]], wait: float
    ) -> list[Entry]:
        if self._signal is None:
            await self.open()
        assert self._signal is not None  # noqa: S101 -- opening makes it
        # Watched before the look, so that what comes between the two is not missed.
        with self._signal.watch() as changed:
            rows = await find()
            if not rows and wait:
                try:
                    async with asyncio.timeout(wait):
                        await changed.wait()
                except TimeoutError:
                    if await self._read_file.in_thread(self._signal.lost):
                        self._signal.close()
                rows = await find()
        return [Entry(str(position), body) for position, body in rows]

    async def _look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if not self._read_file.is_open:
            await self._read_file.open()
        return await self._read_file.run(work)

    async def _run(self, work: Callable[[sqlite3.Connection], T], *, quietly: bool = False) -> T:
        return await self._in_thread(partial(self._transact, work, quietly=quietly))

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if not self._file.is_open:
            await self._file.open()
        return await self._file.run(work)

    def _transact(
        self,
        work: Callable[[sqlite3.Connection], T],
        file: sqlite3.Connection,
        *,
        quietly: bool = False,
    ) -> T:
        if self._signal is None and self._file.path is not None:
            self._signal = ChangeSignal(self._file.path)
        before = file.total_changes
        with self._signal.turn() if self._signal else nullcontext():
            file.execute("BEGIN IMMEDIATE")
            with file:  # which commits, or rolls back
                answer = work(file)
        if self._signal is not None and not quietly and file.total_changes > before:
            self._signal.send()
        return answer


def _says_something(file: sqlite3.Connection, record: Record) -> bool:
    """Return whether one of a record's names is not known yet."""
    names = {*record.keys}
    asked = ", ".join("?" * len(names))
    found = file.execute(
        f"SELECT count(*) FROM conference_async_event_key WHERE key IN ({asked})",  # noqa: S608 -- question marks
        [*names],
    )
    return bool(found.fetchone()[0] < len(names))


def _prepare(file: sqlite3.Connection) -> None:
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = FULL")  # what was answered with a 2xx must stay
    file.executescript(_TABLES)


class SQLiteEvents(SharedEvents):
    """One log of events for all processes of one machine, without a server.

    A process that waits for events costs nothing: whoever appends wakes the others. See
    `SharedEvents` for what is promised.

    Args:
        path: A file on a local disk, made if it does not exist, and readable by its owner only.
        settings: As for `SharedEvents`.

    Raises:
        ConfigurationError: A number is out of bounds, or the path is no file's.
    """

    def __init__(self, path: str | os.PathLike[str], **settings: Unpack[LogSettings]) -> None:
        super().__init__(SQLiteEventStore(path), **settings)
