"""The history of the people in each room, in an SQLite file."""

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from conference_async.bounds import check_seconds
from conference_async.errors import ConferenceError, ConfigurationError
from conference_async.sqlite.file import SQLiteFile
from conference_async.webhooks.rooms import Attendee

_LOGGER = logging.getLogger("conference_async.webhooks")

T = TypeVar("T")

_MOST_WAITING: Final = 100_000
_BUSY: Final = 5.0
"""Seconds to wait for the file while another process holds it."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS attendance (
    conference_sid TEXT NOT NULL,
    call_sid TEXT NOT NULL,
    label TEXT,
    present INTEGER NOT NULL,
    joined_at REAL,
    left_at REAL,
    reason TEXT,
    call_status TEXT,
    PRIMARY KEY (conference_sid, call_sid)
)
"""
# What was known before a restart stays known.
_UPSERT: Final = """
INSERT INTO attendance VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    label = coalesce(excluded.label, label),
    present = excluded.present,
    joined_at = coalesce(excluded.joined_at, joined_at),
    left_at = coalesce(excluded.left_at, left_at),
    reason = coalesce(excluded.reason, reason),
    call_status = coalesce(excluded.call_status, call_status)
"""
_SELECT: Final = """
SELECT call_sid, label, present, joined_at, left_at, reason, call_status FROM attendance
WHERE conference_sid = ? ORDER BY rowid
"""


class AttendanceStore:
    """Keeps, in one file, when each participant came, left and why; no phone numbers.

    Writes happen in a worker thread and in batches, shortly after they were recorded; a write
    that fails is logged and tried again. Leaving the context writes what is left.

    Example::

        async with AttendanceStore("attendance.db") as store:
            roster = Roster(record=store.record)
    """

    def __init__(self, path: str | Path, *, retry_after: float = 1.0) -> None:
        """Name the file; no I/O yet.

        Args:
            path: The file, made if there is none, and readable by its owner only.
            retry_after: Seconds between the attempts to write while the file cannot be written,
                more than 0.

        Raises:
            ConfigurationError: `retry_after` is no such time, or the path can be no file's.
        """
        self._file = SQLiteFile(path, prepare=_prepare, busy=_BUSY)
        self._retry_after = check_seconds("retry_after", retry_after, zero=False)
        self._waiting: dict[tuple[str, str], Attendee] = {}
        self._recorded = asyncio.Event()
        self._writing = asyncio.Lock()
        self._opened_in: int | None = None
        self._writer: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        """Open the file.

        Raises:
            ConfigurationError: It cannot be opened, or is no database.
        """
        try:
            await self._file.open()
            await self._file.run(lambda database: database.execute(_SCHEMA))
        except (sqlite3.Error, OSError) as error:
            await self._file.aclose()
            raise ConfigurationError(f"the attendance file cannot be used: {error}") from error
        # Those of an earlier event loop are bound to it.
        self._recorded, self._writing = asyncio.Event(), asyncio.Lock()
        if self._waiting:
            self._recorded.set()
        self._opened_in = os.getpid()
        self._writer = asyncio.create_task(self._write_on())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Not cancelled: a write under way in its thread could land after the last one.
        self._opened_in = None
        self._recorded.set()
        await self._writer
        try:
            await self.flush()
        finally:
            await self._file.aclose()

    def record(self, conference_sid: str, attendee: Attendee) -> None:
        """Note the state of a participant; of several before a write, the last one counts.

        Never blocks. A store that is not open in this process keeps what it is given until it is,
        which is logged. If the file cannot be written for so long that 100,000 participants wait,
        the one that waited longest is given up, which is logged too.
        """
        if self._opened_in != os.getpid() and not self._waiting:
            _LOGGER.warning("the attendance file is not open in this process: nothing is written")
        self._waiting[conference_sid, attendee.call_sid] = attendee
        while len(self._waiting) > _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
            _LOGGER.error("the attendance file is behind: a participant's history was given up")
        self._recorded.set()

    async def flush(self) -> None:
        """Write what is recorded.

        Raises:
            ConferenceError: The file cannot be written; what is recorded still waits.
        """
        async with self._writing:
            if not self._waiting:
                return
            batch, self._waiting = self._waiting, {}
            try:
                await self._run(lambda database: _write(database, batch))
            except BaseException as error:
                self._waiting = batch | self._waiting
                if isinstance(error, sqlite3.Error | OSError):
                    raise ConferenceError(
                        f"the attendance file cannot be written: {error}"
                    ) from error
                raise

    async def attendance(self, conference_sid: str) -> list[Attendee]:
        """Return everybody who was in a conference, in the order of their first events.

        Raises:
            ConferenceError: The file cannot be read or written.
        """
        await self.flush()
        try:
            return await self._run(lambda database: _read(database, conference_sid))
        except (sqlite3.Error, OSError) as error:
            raise ConferenceError(f"the attendance file cannot be read: {error}") from error

    async def _write_on(self) -> None:
        while self._opened_in is not None:
            await self._recorded.wait()
            self._recorded.clear()
            try:
                await self.flush()
            except ConferenceError as error:
                _LOGGER.error("%s", error)  # noqa: TRY400 - the message says it all
                self._recorded.set()
                await asyncio.sleep(self._retry_after)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        await self._file.open()
        try:
            return await self._file.run(work)
        finally:
            if self._opened_in is None:
                await self._file.aclose()


def _prepare(file: sqlite3.Connection) -> None:
    file.execute("PRAGMA journal_mode = WAL")


def _write(database: sqlite3.Connection, batch: Mapping[tuple[str, str], Attendee]) -> None:
    database.execute("BEGIN IMMEDIATE")
    with database:  # which commits, or rolls back
        database.executemany(
            _UPSERT,
            [
                (
                    conference_sid,
                    call_sid,
                    attendee.label,
                    attendee.present,
                    attendee.joined_at and attendee.joined_at.timestamp(),
                    attendee.left_at and attendee.left_at.timestamp(),
                    attendee.reason,
                    attendee.call_status,
                )
                for (conference_sid, call_sid), attendee in batch.items()
            ],
        )


def _read(database: sqlite3.Connection, conference_sid: str) -> list[Attendee]:
    return [
        Attendee(
            call_sid=call_sid,
            label=label,
            present=bool(present),
            joined_at=_instant(joined_at),
            left_at=_instant(left_at),
            reason=reason,
            call_status=call_status,
        )
        for call_sid, label, present, joined_at, left_at, reason, call_status in database.execute(
            _SELECT, (conference_sid,)
        )
    ]


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
