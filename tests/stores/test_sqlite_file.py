"""The one thread that works on an SQLite file."""

import asyncio
import gc
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conference_async.sqlite.file import SQLiteFile
from conference_async.sqlite.handle import Moved
from tests.conftest import fork


async def test_what_fails_when_nobody_waits_any_more_is_not_logged(tmp_path: Path) -> None:
    """A create whose deadline passes while another process holds the file is no error twice."""
    logged: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    file = SQLiteFile(tmp_path / "pace.db", prepare=lambda _: None, busy=0)
    await file.open()
    begun, goes_on = threading.Event(), threading.Event()

    def fail(_: sqlite3.Connection) -> None:
        begun.set()
        goes_on.wait()
        raise sqlite3.OperationalError("database is locked")

    late = asyncio.create_task(file.run(fail))
    await asyncio.to_thread(begun.wait)
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    goes_on.set()
    await file.aclose()
    del late
    gc.collect()

    assert logged == []


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS call (number INTEGER)")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_inherits_nothing_of_what_sqlite_knows(tmp_path: Path) -> None:
    """Whoever closes the file last, parent or child: each sees what the other has written."""
    path = tmp_path / "calls.db"
    file = SQLiteFile(path, prepare=_prepare, busy=5)
    (asked, ask), (answered, answer) = os.pipe(), os.pipe()

    async def write(number: int) -> list[int]:
        await file.open()
        insert = "INSERT INTO call VALUES (?)"
        await file.run(lambda connection: connection.execute(insert, [number]))
        return await file.run(
            lambda connection: [row[0] for row in connection.execute("SELECT number FROM call")]
        )

    async def child() -> None:
        for number, seen in ((2, [1, 2]), (4, [1, 2, 3, 4])):
            os.read(asked, 1)
            assert await write(number) == seen
            os.write(answer, b"x")
        await file.aclose()

    assert asyncio.run(write(1)) == [1]
    pid = fork(child)
    asyncio.run(file.aclose())
    os.write(ask, b"x")
    os.read(answered, 1)
    assert asyncio.run(write(3)) == [1, 2, 3]
    os.write(ask, b"x")
    os.read(answered, 1)
    assert asyncio.run(write(5)) == [1, 2, 3, 4, 5]
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    asyncio.run(file.aclose())
    for end in (asked, ask, answered, answer):
        os.close(end)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_file_that_was_moved_during_a_fork_is_not_made_anew(tmp_path: Path) -> None:
    """It is opened again with the next work, if it is the same."""
    path = tmp_path / "calls.db"
    file = SQLiteFile(path, prepare=_prepare, busy=5)
    asyncio.run(file.open())
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert file.is_open
    path.rename(tmp_path / "elsewhere.db")
    for _ in range(2):
        with pytest.raises(Moved):
            asyncio.run(file.run(lambda connection: connection.execute("SELECT 1")))
    assert [each.name for each in tmp_path.iterdir()] == ["elsewhere.db"]
    asyncio.run(file.aclose())
