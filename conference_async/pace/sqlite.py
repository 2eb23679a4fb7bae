"""One pace for the processes of one machine: a row in an SQLite file, and no server."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Self, TypeVar

import attrs

from conference_async.pace.contract import SECOND
from conference_async.pace.lines import LineBook, LineCount, LineNews, LineWish
from conference_async.pace.shared import SharedLimit
from conference_async.pace.slots import Pace, Queuing, Reservation, check_account
from conference_async.sharing import Share
from conference_async.sqlite.file import SQLiteFile
from conference_async.sqlite.handle import absolute
from conference_async.sqlite.refusals import never

_BUSY = 1.5
"""Seconds to wait while another process holds the file: less than a limit waits for an answer."""

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
_QUEUE = """
CREATE TABLE IF NOT EXISTS conference_async_queue (
    account TEXT PRIMARY KEY,
    told INTEGER NOT NULL
) WITHOUT ROWID
"""
_LINES = """
CREATE TABLE IF NOT EXISTS conference_async_lines (
    account TEXT PRIMARY KEY,
    book TEXT NOT NULL
) WITHOUT ROWID
"""
_READ_LINES = "SELECT book FROM conference_async_lines WHERE account = ?"
_WRITE_LINES = "INSERT OR REPLACE INTO conference_async_lines VALUES (?, ?)"
_FIELDS = tuple(field.name for field in attrs.fields(Pace))
_READ = """
SELECT after, seen, cps, held_until, factor, queue_time, changed,
    coalesce(told, 0)
FROM conference_async_pace LEFT JOIN conference_async_queue USING (account) WHERE account = ?
"""
_WRITE = "INSERT OR REPLACE INTO conference_async_pace VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_WRITE_QUEUE = "INSERT OR REPLACE INTO conference_async_queue VALUES (?, ?)"

R = TypeVar("R")


def _prepare(file: sqlite3.Connection) -> None:
    file.execute("PRAGMA journal_mode = WAL")
    # A slot that a power cut forgets is long past when the machine is back.
    file.execute("PRAGMA synchronous = OFF")
    file.execute(_TABLE)
    file.execute(_QUEUE)
    file.execute(_LINES)


def _now() -> int:
    # The same for every process of the machine, and never set by anybody. It starts again when
    # the machine does, which the row notices.
    return time.monotonic_ns() * SECOND // 1_000_000_000


@attrs.frozen
class _Desk:
    """A file that several limits have open together.

    Each waits for its turn here, and not in the file's thread, where what nobody waits for any
    longer would still be done before the rest.
    """

    file: SQLiteFile
    turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Self:
        """Return that of a path."""
        return cls(SQLiteFile(path, prepare=_prepare, busy=_BUSY, private=False))


class SQLiteStore:
    """A `SlotStore` in a file of this machine; not on a network share.

    Args:
        path: The file; it is made if it does not exist, its directory is not.
        account: Whose pace it is, where one file serves several accounts.

    Raises:
        ConfigurationError: The path names no file that processes could share.
    """

    def __init__(self, path: str | os.PathLike[str], *, account: str = "default") -> None:
        self._path = absolute(path)
        self._share = Share(self._path, partial(_Desk.at, path))
        self._account = check_account(account)
        self._asked = 0.0
        self._purpose = f"the pace in {self._path.name}"

    async def open(self) -> None:
        """Open the file, as `SlotStore` says."""
        file = self._share.take().file
        if file.is_open:
            return
        try:
            await file.open()
        except (sqlite3.Error, OSError) as error:
            raise never(error, self._purpose) or error from error

    async def reserve(self, *, cps: float, floor: float) -> Reservation:
        """Take the next slot, as `SlotStore` says."""
        return await self.reserve_queued(cps=cps, floor=floor, queuing=None)

    async def reserve_queued(
        self, *, cps: float, floor: float, queuing: Queuing | None
    ) -> Reservation:
        """Take the next slot if it is near, as `QueueStore` says."""

        def take(row: Pace | None) -> tuple[Pace, Reservation]:
            """Return the row with one slot less, and the slot."""
            return Pace.reserve(row, now=_now(), cps=cps, floor=floor, queuing=queuing)

        return attrs.evolve(await self._change(take), asked=self._asked)

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

    async def reserve_with_line(
        self, *, cps: float, floor: float, wish: LineWish
    ) -> tuple[LineCount, Reservation | None]:
        """Take a line and the next slot, as `LineStore` says."""

        def take(file: sqlite3.Connection) -> tuple[LineCount, Reservation | None]:
            """Read the lines and the row, and write them changed."""
            book, now = self._book(file), _now()
            count = book.take(wish, now)
            self._write_book(file, book)
            if not count.taken:
                return count, None
            row, reservation = Pace.reserve(
                self._row(file), now=now, cps=cps, floor=floor, queuing=wish.queuing
            )
            self._write_row(file, row)
            return count, reservation

        count, reservation = await self._transact(take)
        return count, reservation and attrs.evolve(reservation, asked=self._asked)

    async def lines(self) -> Mapping[str, float]:
        """Return the lines that are taken, as `LineStore` says."""
        return await self._transact(lambda file: self._book(file).ages(_now()))

    async def note(self, news: LineNews) -> int:
        """Take note of news of lines, as `LineStore` says."""

        def write(file: sqlite3.Connection) -> int:
            """Read the lines, and write them changed."""
            book = self._book(file)
            live = book.note(news, _now())
            self._write_book(file, book)
            return live

        return await self._transact(write)

    async def aclose(self) -> None:
        """Close the file, if no other limit of this process has it open."""
        desk = self._share.leave()
        if desk is not None:
            await desk.file.aclose()

    async def _change(self, change: Callable[[Pace | None], tuple[Pace | None, R]]) -> R:
        def read_and_write(file: sqlite3.Connection) -> R:
            """Read the row, and write it changed."""
            row, answer = change(self._row(file))
            if row is not None:
                self._write_row(file, row)
            return answer

        return await self._transact(read_and_write)

    async def _transact(self, work: Callable[[sqlite3.Connection], R]) -> R:
        def transact(file: sqlite3.Connection) -> R:
            """Do the work while nobody else writes."""
            file.execute("BEGIN IMMEDIATE")
            answer = work(file)
            file.execute("COMMIT")
            return answer

        desk = self._share.take()
        async with desk.turn:
            self._asked = asyncio.get_running_loop().time()
            try:
                return await desk.file.run(transact)
            except (sqlite3.Error, OSError) as error:
                await desk.file.aclose()  # what is wrong with it may not be with the next
                raise never(error, self._purpose) or error from error

    def _row(self, file: sqlite3.Connection) -> Pace | None:
        values = file.execute(_READ, [self._account]).fetchone()
        return None if values is None else Pace(**dict(zip(_FIELDS, values, strict=True)))

    def _write_row(self, file: sqlite3.Connection, row: Pace) -> None:
        file.execute(_WRITE, [self._account, *(getattr(row, name) for name in _FIELDS[:-1])])
        file.execute(_WRITE_QUEUE, [self._account, row.told])

    def _book(self, file: sqlite3.Connection) -> LineBook:
        kept = file.execute(_READ_LINES, [self._account]).fetchone()
        return LineBook.from_json(kept and kept[0])

    def _write_book(self, file: sqlite3.Connection, book: LineBook) -> None:
        file.execute(_WRITE_LINES, [self._account, book.to_json()])

    def __repr__(self) -> str:
        return f"{str(self._path)!r} account={self._account!r}"


class SQLiteLimit(SharedLimit):
    """One pace for all processes of one machine, without a server.

    All limits of a process that name one file have it open once.

    Its clock is the machine's monotonic one, which nobody sets. After a restart of the machine
    the first create waits for a second at most. See `SharedLimit` for what is promised.

    Args:
        path: A file on a local disk, made if it does not exist.
        cps: The account's calls per second, more than 0 and at most 30.
        account: Whose pace it is, where one file serves several accounts: the account's SID.
        fallback_cps: As for `SharedLimit`.
        max_live: As for `SharedLimit`.
        reserved: As for `SharedLimit`.

    Raises:
        ConfigurationError: A rate or a number of lines is out of bounds, or the path is no file's.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cps: float,
        *,
        account: str = "default",
        fallback_cps: float | None = None,
        max_live: int | None = None,
        reserved: int = 0,
    ) -> None:
        super().__init__(
            SQLiteStore(path, account=account),
            cps,
            fallback_cps=fallback_cps,
            max_live=max_live,
            reserved=reserved,
        )
