"""The one thread that works on an SQLite file."""

import asyncio
import gc
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from conference_async.sqlite.file import SQLiteFile


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
