"""How one connection to an SQLite file is opened, while others have it, and for whom."""

import asyncio
import errno
import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest

from conference_async import ConferenceError, Journal, Ledger, SQLiteEvents
from conference_async.sqlite import handle
from conference_async.sqlite.handle import Handle
from conference_async.sqlite.holds import Hold
from conference_async.sqlite.schema import make_durable

BUSY = 4.0
"""Seconds for which a file is asked for again, by the clock below."""


@attrs.define
class Clock:
    """A clock that stands still but for whoever sleeps by it."""

    now: float = 1000.0
    wakes: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        """Move on, and let something happen meanwhile."""
        self.now += seconds
        self.wakes()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that the waits for a file go by."""
    clock = Clock()
    time = SimpleNamespace(monotonic=lambda: clock.now, sleep=clock.sleep)
    monkeypatch.setattr(handle, "time", time)
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a file may be."""
    return tmp_path / "calls.db"


@pytest.fixture
def nobodys_umask() -> Iterator[None]:
    """Let files be made with all the rights that they are made with."""
    before = os.umask(0)
    yield
    os.umask(before)


def opened(path: Path, *, read_only: bool = False, private: bool = True) -> Handle:
    """Open a file that is written ahead."""
    prepare = _nothing if read_only else make_durable
    return Handle.on(path, prepare, busy=BUSY, read_only=read_only, private=private)


def _nothing(_connection: sqlite3.Connection) -> None:
    """Do nothing with a connection."""


def turning_the_log_on(path: Path) -> tuple[Callable[[], object], str]:
    """Write to it before its log is on: SQLite does not wait for whoever does."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection.close, "database is locked"


def deleting_the_log(path: Path) -> tuple[Callable[[], object], str]:
    """Have the whole file, as the last to close it does for a moment."""
    opened(path).close()
    hold = Hold(path, handle._SHARED_FIRST, handle._SHARED_SIZE, alone=True)
    return hold.close, "another process has it to itself"


@pytest.mark.parametrize(
    ("other", "read_only"), [(turning_the_log_on, False), (deleting_the_log, True)]
)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has locks that a handle keeps")
def test_a_file_that_another_has_to_itself_is_asked_for_again(
    path: Path,
    clock: Clock,
    other: Callable[[Path], tuple[Callable[[], object], str]],
    *,
    read_only: bool,
) -> None:
    """As long as was said, and no longer; whoever waits in vain leaves nothing held."""
    leave, why = other(path)
    began = clock.now
    with pytest.raises(sqlite3.OperationalError, match=f"^{why}$"):
        opened(path, read_only=read_only)
    assert clock.now - began == pytest.approx(BUSY, abs=0.011)
    assert handle._kept == {}

    clock.wakes = leave
    began = clock.now
    opened(path, read_only=read_only).close()
    assert clock.now - began == pytest.approx(0.01)


def test_what_no_waiting_mends_is_said_at_once(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another kind; and one that this user may not write, of which SQLite says less."""
    began = clock.now
    path.write_bytes(b"to,label\n" * 100)
    for read_only in (False, True):
        with pytest.raises(sqlite3.DatabaseError, match="not a database"):
            opened(path, read_only=read_only)
    assert handle._kept == {}
    # Whoever runs the tests may be allowed everything.
    monkeypatch.setattr(os, "access", lambda _, asked: not asked & os.W_OK)
    with pytest.raises(PermissionError) as caught:
        opened(path)
    assert (caught.value.errno, caught.value.strerror) == (errno.EACCES, os.strerror(errno.EACCES))
    assert clock.now == began


def test_a_connection_reads_writes_and_waits_as_it_was_asked_to(path: Path) -> None:
    """What is written outside a transaction lasts; a reader writes nothing, nor makes a file."""
    with pytest.raises(FileNotFoundError):
        opened(path, read_only=True)
    with closing(opened(path)) as writer:
        assert writer.connection.execute("PRAGMA busy_timeout").fetchone() == (BUSY * 1000,)
        writer.connection.execute("CREATE TABLE call (sid)")
        writer.connection.execute("INSERT INTO call VALUES ('CA1')")
        with closing(opened(path, read_only=True)) as reader:
            assert reader.connection.execute("SELECT sid FROM call").fetchall() == [("CA1",)]
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader.connection.execute("DELETE FROM call")


@pytest.mark.parametrize(("private", "mode"), [(True, 0o600), (False, 0o666)])
@pytest.mark.usefixtures("nobodys_umask")
def test_a_file_is_made_for_those_who_may_read_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, private: bool, mode: int
) -> None:
    """From its first moment on: whoever could open it then would read what is written later."""
    monkeypatch.setattr(handle, "make_private", lambda _: None)  # what comes a moment later
    opened(path, private=private).close()

    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("kind", [Ledger, Journal, SQLiteEvents])
def test_a_file_that_is_no_database_stays_as_it_is(
    path: Path, kind: Callable[[Path], AbstractAsyncContextManager[object]]
) -> None:
    """Whose name was given by mistake: it would else be hidden from all who read it."""
    path.write_text("name,to\nalice,+15558675310\n")
    path.chmod(0o644)
    before = path.stat()

    async def use() -> None:
        async with kind(path):
            pass

    with pytest.raises(ConferenceError, match="not a database"):
        asyncio.run(use())

    after = path.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o600, False), (0o400, False)])
def test_a_file_of_another_user_that_others_may_read_is_warned_of(
    path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    *,
    warned: bool,
) -> None:
    """Only its owner can change that."""
    path.touch()
    path.chmod(mode)

    def refuse(_path: Path, _mode: int) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refuse)
    handle.make_private(path)
    handle.make_private(path.with_name("missing.db"))

    told = ["calls.db belongs to another user, and others may read it"] if warned else []
    assert [record.getMessage() for record in caplog.records] == told
