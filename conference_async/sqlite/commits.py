"""Work on a file from many tasks, with one commit for all that waits."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import attrs

from conference_async.rooted import Rooted
from conference_async.sqlite.file import SQLiteFile

T = TypeVar("T")


@attrs.frozen
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    alone: bool
    future: asyncio.Future[Any]


class Commits(Rooted):
    """Does one piece of work after another in the file's thread; each is durable when it returns.

    All that waits is done in one transaction, with one write to the disk. Work takes effect in
    the order it was asked for, also if the caller was cancelled meanwhile. It may be asked for
    from several event loops at once.

    Args:
        file: The file, which somebody else opens and closes.
        failed: Returns what those who wait get for an error of SQLite or of the system.
    """

    def __init__(self, file: SQLiteFile, failed: Callable[[Exception], Exception]) -> None:
        self._file = file
        self._failed = failed
        self._waiting: list[_Job] = []
        self._guard = threading.Lock()

    async def do(self, work: Callable[[sqlite3.Connection], T], *, alone: bool = False) -> T:
        """Do one piece of work, and return what it returns.

        Args:
            work: Called in the thread.
            alone: Whether to keep other processes from writing from its beginning on: for work
                that reads first and then writes, where others write too.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._guard:
            self._waiting.append(_Job(work, alone, future))
            first = len(self._waiting) == 1
        if first:
            _ = self._file.submit(self._commit)
        return await future

    def forget(self) -> None:
        """Forget what a parent process waited for."""
        self._waiting, self._guard = [], threading.Lock()

    def _commit(self) -> None:
        with self._guard:
            jobs, self._waiting = self._waiting, []
        results: list[Any] = []
        error: Exception | None = None
        try:
            results = self._file.do(lambda connection: _together(connection, jobs))
        except Exception as problem:  # noqa: BLE001 -- those who wait must hear of it, whatever it is
            error = self._failed(problem)
        for loop in {job.future.get_loop() for job in jobs}:
            with suppress(RuntimeError):  # it is gone, and whoever waited with it
                loop.call_soon_threadsafe(_settle, loop, jobs, results, error)


def _together(connection: sqlite3.Connection, jobs: Sequence[_Job]) -> list[Any]:
    """Do all that waits in one transaction: one write to the disk for all of them."""
    connection.execute("BEGIN IMMEDIATE" if any(job.alone for job in jobs) else "BEGIN")
    try:
        results = [job.work(connection) for job in jobs]
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite may have rolled back already
            connection.execute("ROLLBACK")
        raise
    return results


def _settle(
    loop: asyncio.AbstractEventLoop,
    jobs: Sequence[_Job],
    results: Sequence[object],
    error: Exception | None,
) -> None:
    for number, job in enumerate(jobs):
        if job.future.get_loop() is not loop or job.future.done():
            continue  # whoever waited was cancelled; what it asked for was done all the same
        if error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(results[number])
