"""One pace for the processes of one machine: a row in an SQLite file, and no server."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from conference_async.cluster.shared import SharedLimit
from conference_async.cluster.slots import SECOND, Pace, Reservation
from conference_async.errors import ConfigurationError

_BUSY = 1.5
"""Seconds to wait for the file while another process holds it: less than a limit's patience."""

_TABLE = """
CREATE TABLE IF NOT EXISTS conference_async_pace (
    account TEXT PRIMARY KEY,
    after INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    cps REAL NOT NULL,
    held_until INTEGER NOT NULL,
    factor REAL NOT NULL,
    queue_time INTEGER NOT NULL,
    changed INTEGER NOT NULL
) WITHOUT ROWID
"""
_READ = """
SELECT after, seen, cps, held_until, factor, queue_time, changed
FROM conference_async_pace WHERE account = ?
"""
_WRITE = "INSERT OR REPLACE INTO conference_async_pace VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

R = TypeVar("R")


def _now() -> int:
    # The same for every process of the machine, and never set by anybody. It starts anew when
    # the machine does, which the row notices.
    return time.monotonic_ns() * SECOND // 1_000_000_000


class SQLiteStore:
    """A `SlotStore` in a file of this machine; not on a network share.

    Args:
        path: The file; it is made if it does not exist, its directory is not.
        account: Whose pace it is, where one file serves several accounts.

    Raises:
        ConfigurationError: The path names no file that processes could share.
    """

    def __init__(self, path: str | os.PathLike[str], *, account: str = "default") -> None:
        if os.fspath(path) in {"", ":memory:"}:
            raise ConfigurationError("the pace is shared through a file: give its path")
        self._path = Path(path)
        self._account = account
        self._thread: ThreadPoolExecutor | None = None
        self._file: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, as `SlotStore` says."""
        if self._file is None:
            await self._change(lambda _: (None, None))

    async def reserve(self, *, cps: float, floor: float) -> Reservation:
        """Take the next slot, as `SlotStore` says."""

        def take(row: Pace | None) -> tuple[Pace, Reservation]:
            """Return the row with one slot less, and the slot."""
            return Pace.reserve(row, now=_now(), cps=cps, floor=floor)

        return await self._change(take)

    async def give_back(self, reservation: Reservation) -> bool:
        """Free a slot, as `SlotStore` says."""

        def free(row: Pace | None) -> tuple[Pace | None, bool]:
            """Return the row with the slot free again, and whether it is."""
            freed = None if row is None else row.give_back(reservation)
            return freed, freed is not None

        return await self._change(free)

    async def report(self, *, factor: float, queue_time: int) -> None:
        """Share a slow-down, as `SlotStore` says."""

        def slow(row: Pace | None) -> tuple[Pace | None, None]:
            """Return the row with the slow-down."""
            if row is None:
                return None, None
            return row.report(now=_now(), factor=factor, queue_time=queue_time), None

        return await self._change(slow)

    async def aclose(self) -> None:
        """Close the file."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)

    async def _change(self, change: Callable[[Pace | None], tuple[Pace | None, R]]) -> R:
        # A thread of our own: the loop's are the user's, and may all be busy.
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="conference_async_pace")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._transact, change)

    def _transact(self, change: Callable[[Pace | None], tuple[Pace | None, R]]) -> R:
        try:
            file = self._open()
            file.execute("BEGIN IMMEDIATE")
            values = file.execute(_READ, [self._account]).fetchone()
            row, answer = change(None if values is None else _pace(*values))
            if row is not None:
                file.execute(_WRITE, [self._account, *_values(row)])
            file.execute("COMMIT")
        except sqlite3.Error:
            self._close()
            raise
        return answer

    def _open(self) -> sqlite3.Connection:
        if self._file is None:
            if not self._path.parent.is_dir():
                raise ConfigurationError(f"there is no directory {str(self._path.parent)!r}")
            self._file = sqlite3.connect(
                self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False
            )
            self._file.execute("PRAGMA journal_mode = WAL")
            # A slot that a power cut forgets is long past when the machine is back.
            self._file.execute("PRAGMA synchronous = OFF")
            self._file.execute(_TABLE)
        return self._file

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def __repr__(self) -> str:
        return f"{str(self._path)!r} account={self._account!r}"


def _pace(
    after: int, seen: int, cps: float, held_until: int, factor: float, queue_time: int, changed: int
) -> Pace:
    return Pace(
        after=after,
        seen=seen,
        cps=cps,
        held_until=held_until,
        factor=factor,
        queue_time=queue_time,
        changed=changed,
    )


def _values(row: Pace) -> tuple[int | float, ...]:
    return (
        row.after,
        row.seen,
        row.cps,
        row.held_until,
        row.factor,
        row.queue_time,
        row.changed,
    )


class SQLiteLimit(SharedLimit):
    """One pace for all processes of one machine, without a server.

    Its clock is the machine's monotonic one, which nobody sets. After a restart of the machine
    the first create waits for a second at most. See `SharedLimit` for what is promised.

    Args:
        path: A file on a local disk, made if it does not exist.
        cps: The account's calls per second, more than 0 and at most 30.
        account: Whose pace it is, where one file serves several accounts: the account's SID.
        fallback_cps: As for `SharedLimit`.

    Raises:
        ConfigurationError: A rate is out of bounds, or the path is no file's.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cps: float,
        *,
        account: str = "default",
        fallback_cps: float | None = None,
    ) -> None:
        super().__init__(SQLiteStore(path, account=account), cps, fallback_cps=fallback_cps)
