"""A ledger's file, whatever else is done to it while it is in use."""

import asyncio
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conference_async import Ledger, Outcome, Report, State
from conference_async.dialer import Campaign
from conference_async.dialer.ledger.file import SCHEMA, in_use, is_ledger
from conference_async.dialer.ledger.summary import summaries_in
from conference_async.errors import ConfigurationError, LedgerError
from conference_async.sqlite import handle
from tests.conftest import fork

NOW = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
CAMPAIGN = Campaign(name="standup", account_sid=f"AC{'0' * 32}", total=2)
PLANNED = Outcome(target="standup/15558675310", to="+15558675310", conference="standup")
SENDING = PLANNED.claimed("token", "label", NOW)
STRANGER = """
import asyncio, json, sqlite3, sys
from conference_async import Ledger
from conference_async.dialer import Campaign
from conference_async.dialer.ledger.file import SCHEMA, in_use, is_ledger
from conference_async.dialer.ledger.summary import summaries_in
from conference_async.errors import LedgerError

def look(path):
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT state FROM outcome").fetchall()
    connection.close()
    return [state for state, in rows]

async def begin(path):
    async with Ledger(path) as ledger:
        try:
            await ledger.begin(Campaign(name="standup", account_sid=f"AC{'0' * 32}"))
        except LedgerError as error:
            return str(error)

for line in sys.stdin:
    what, path = json.loads(line)
    print(json.dumps(look(path) if what == "look" else asyncio.run(begin(path))), flush=True)
"""


class Stranger:
    """Another process, which looks at ledgers and tries to run them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    async def sees(self, path: Path) -> list[str]:
        """Return the states that it finds: it opens the file and closes it again."""
        found: list[str] = await asyncio.to_thread(self._ask, "look", path)
        return found

    async def is_refused(self, path: Path) -> None:
        """Let it try to begin a second run, which is refused."""
        assert "is in use" in await asyncio.to_thread(self._ask, "begin", path)

    def _ask(self, what: str, path: Path) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps([what, str(path)])}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    """Return another process."""
    with subprocess.Popen(
        [sys.executable, "-c", STRANGER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Stranger(process)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a ledger may be."""
    return tmp_path / "campaign.db"


async def refused_run(path: Path) -> None:
    """Try to begin a second run, which is refused."""
    async with Ledger(path) as second:
        with pytest.raises(LedgerError, match="is in use"):
            await second.begin(CAMPAIGN)


async def progress_page(path: Path) -> None:
    """Look how the campaign stands."""
    await Report(Ledger(path)).counts()


async def reader(path: Path) -> None:
    """Look at the targets, for reading only."""
    async with Ledger(path, read_only=True) as ledger:
        assert [outcome.state async for outcome in ledger.outcomes()]


async def read_bytes(path: Path) -> None:
    """Read the file and all beside it, as a back-up does."""
    for each in path.parent.iterdir():
        await asyncio.to_thread(each.read_bytes)


async def read_and_copied(path: Path) -> None:
    """Read the targets, and then the file: the reader leaves what holds the file."""
    await reader(path)
    await read_bytes(path)


async def copied_folder(path: Path) -> None:
    """Copy the folder."""
    await asyncio.to_thread(shutil.copytree, path.parent, path.parent.with_name("copy"))


async def copied_by_link(path: Path) -> None:
    """Copy the file by another name of it."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    await asyncio.to_thread(link.read_bytes)


async def summed_up(path: Path) -> None:
    """Look which ledgers are in the folder, and how they stand."""
    assert [each.standing async for each in summaries_in(path)] == ["running"]


async def backed_up(path: Path) -> None:
    """Copy it as the documentation says."""
    await Ledger(path).backup(path.with_name("copy.db"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has locks that a handle keeps")
@pytest.mark.parametrize(
    "look",
    [
        refused_run,
        progress_page,
        reader,
        read_bytes,
        read_and_copied,
        copied_folder,
        copied_by_link,
        summed_up,
        backed_up,
    ],
)
async def test_no_look_at_a_ledger_costs_the_run_its_file(
    path: Path, stranger: Stranger, look: Callable[[Path], Awaitable[None]]
) -> None:
    """Another process may open and close the file afterwards: it does not take the log away.

    Nor does a second run become possible.
    """
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([PLANNED])
        await look(path)
        assert await stranger.sees(path) == ["planned"]

        assert await ledger.swap(PLANNED, SENDING)
        assert await stranger.sees(path) == ["sending"]
        await stranger.is_refused(path)
        await ledger.end()


def moved(path: Path) -> None:
    """Move the file away."""
    path.rename(path.with_name("elsewhere.db"))


def deleted(path: Path) -> None:
    """Delete the file."""
    path.unlink()


def replaced(path: Path) -> None:
    """Put another file in its place."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    copy.replace(path)


def log_deleted(path: Path) -> None:
    """Delete what SQLite has written and not yet put into the file."""
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.parametrize("change", [moved, deleted, replaced, log_deleted])
async def test_a_ledger_that_nobody_would_find_again_is_not_written_to(
    path: Path, change: Callable[[Path], None]
) -> None:
    """A ledger that the next run would not find at its path refuses to be written."""
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([PLANNED])
        await asyncio.to_thread(change, path)

        with pytest.raises(
            LedgerError,
            match=r"campaign.db.* was moved, deleted or replaced while it was in use; put back "
            r"what was there, and look what it holds before going on; nothing more is dialled$",
        ):
            await ledger.swap(PLANNED, SENDING)
        with pytest.raises(LedgerError, match="was moved"):
            await ledger.counts()


async def test_a_second_name_of_the_file_is_refused(path: Path) -> None:
    """SQLite would keep a log for each name, and each would know half of the calls."""
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
    other = path.with_name("other.db")
    other.hardlink_to(path)

    for name in (path, other):
        with pytest.raises(
            LedgerError,
            match=r"has a second name \(a hard link\), and SQLite would keep a log for each: "
            r"remove one of them; nothing more is dialled$",
        ):
            async with Ledger(name):
                pass


async def test_a_link_leads_to_the_same_ledger(path: Path) -> None:
    """It has one writer, by whichever name."""
    link = path.with_name("link.db")
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        link.symlink_to(path)
        await refused_run(link)
        assert sorted(each.name for each in path.parent.glob("*.lock")) == ["campaign.db.lock"]


def test_a_ledger_stays_where_it_is_when_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path means what it meant when the ledger was made."""
    monkeypatch.chdir(tmp_path)
    first, second = Ledger("campaign.db"), Ledger("campaign.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    async def main() -> None:
        async with first as ledger:
            await ledger.begin(CAMPAIGN)
            async with second as other:
                with pytest.raises(LedgerError, match="is in use"):
                    await other.begin(CAMPAIGN)

    asyncio.run(main())
    assert not list((tmp_path / "elsewhere").iterdir())


async def test_a_ledger_that_was_there_before_becomes_private(path: Path) -> None:
    """It will hold phone numbers, and so does what SQLite keeps beside it while it is in use."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in ("CREATE TABLE other (one)", "DROP TABLE other"):
            connection.execute(statement)
        for each in path.parent.iterdir():
            each.chmod(0o644)

        async with Ledger(path) as ledger:
            await ledger.begin(CAMPAIGN)
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
            await ledger.end()

    assert {"campaign.db", "campaign.db-wal", "campaign.db-shm"} <= modes.keys()
    assert set(modes.values()) == {0o600}


async def test_a_backup_is_whole_private_and_never_in_place_of_a_file(path: Path) -> None:
    """It has what the run has written, also what is still in SQLite's log."""
    copy = path.with_name("copy.db")
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([PLANNED])
        await ledger.backup(copy)
        with pytest.raises(
            LedgerError,
            match=r"campaign\.db cannot be copied to copy\.db: File exists; name a new file, in a "
            "folder that is there and has room$",
        ):
            await ledger.backup(copy)
        with pytest.raises(ConfigurationError, match="a file is kept at a path"):
            await ledger.backup("")

    async with Ledger(copy, read_only=True) as found:
        assert await found.campaign() == CAMPAIGN
        assert [outcome async for outcome in found.outcomes()] == [PLANNED]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


async def test_a_ledger_that_is_not_there_is_not_made_by_its_backup(path: Path) -> None:
    """Nor is the copy."""
    with pytest.raises(LedgerError, match="No such file"):
        await Ledger(path).backup(path.with_name("copy.db"))
    assert not list(path.parent.iterdir())


async def test_a_temporary_ledger_can_be_kept(path: Path) -> None:
    """Its back-up is a ledger like any other."""
    async with Ledger() as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.backup(path)

    async with Ledger(path) as kept:
        assert await kept.campaign() == CAMPAIGN


@pytest.mark.parametrize("where", ["", "a\0b", b"campaign.db", 5, ":memory:"])
def test_a_path_that_is_none_is_refused_at_once(where: object) -> None:
    """When the ledger is made, not when the first target is to be called."""
    with pytest.raises(ConfigurationError, match="a file is kept at a path"):
        Ledger(where)  # type: ignore[arg-type]  # the mistake


async def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    """Nor is what cannot be made, nor a pipe, which stays as open as it was."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    for where, why in (
        (tmp_path, "Is a directory"),
        (pipe, "it is a device or a pipe, not a file"),
        (tmp_path / "missing" / "campaign.db", "No such file or directory"),
    ):
        advice = "name a file in a folder that is there"
        with pytest.raises(LedgerError, match=f"cannot be used: {why}; {advice}$"):
            async with Ledger(where):
                pass
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o666
    with pytest.raises(LedgerError, match="No such file"):
        async with Ledger(tmp_path / "missing.db", read_only=True):
            pass


def contents(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder, but for where SQLite notes who is reading."""
    return {
        each.name: b"" if each.name.endswith("-shm") else each.read_bytes()
        for each in folder.iterdir()
    }


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize(
    ("application", "ours"),
    [(SCHEMA.application, True), (SCHEMA.application + 1, False), (0, False)],
)
def test_a_ledger_is_known_by_what_it_holds(
    path: Path, application: int, *, ours: bool, closed: bool
) -> None:
    """Also where only SQLite's log says it yet; and whosever it is, nothing is touched."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {application}")
        if closed:
            connection.close()
        else:
            assert not any(path.read_bytes()[68:72])
        before = contents(path.parent)

        assert is_ledger(path) is ours
        assert contents(path.parent) == before


@pytest.mark.parametrize(
    "begins", [b"to,label\n".ljust(68), b"SQLite format 3\0".ljust(68, b"\0"), b""]
)
def test_what_cannot_be_read_is_no_ledger(path: Path, begins: bytes) -> None:
    """Nor is a folder, or what is not there."""
    log = path.with_name(f"{path.name}-wal")
    assert not is_ledger(path)
    path.write_bytes(begins + bytes(4))
    log.touch()
    assert not is_ledger(path)
    assert not is_ledger(path.parent)


async def test_whether_a_ledger_is_in_use_can_be_asked(path: Path) -> None:
    """By any name of it, from its first run on."""
    link = path.with_name("link.db")
    link.symlink_to(path)

    async def answers() -> set[bool]:
        return {await asyncio.to_thread(in_use, each) for each in (path, link)}

    assert await answers() == {False}
    async with Ledger(path) as ledger:
        assert await answers() == {False}
        await ledger.begin(CAMPAIGN)
        assert await answers() == {sys.platform == "linux"}
        await ledger.end()
        assert await answers() == {False}


async def test_a_reader_leaves_the_file_as_another_program_made_it(path: Path) -> None:
    """Such as one that is not written ahead any more."""
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")

    async with Ledger(path, read_only=True) as ledger:
        assert await ledger.campaign() == CAMPAIGN
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


async def test_a_state_of_a_newer_version_is_one_clear_error(path: Path) -> None:
    """It is neither called nor passed over in silence."""
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([PLANNED])
        await ledger._do(lambda each: each.execute("UPDATE outcome SET state = 'dreaming'"))

        for use in (ledger.counts(), ledger.enrol([PLANNED]), anext(ledger.outcomes())):
            with pytest.raises(
                LedgerError,
                match=r"^the ledger has a target that is 'dreaming', which only a newer version of "
                r"this library knows; upgrade, and nothing is lost$",
            ):
                await use
        await ledger.end()


def spoiled(value: object, connection: sqlite3.Connection) -> None:
    """Write what is no instant."""
    connection.execute("UPDATE outcome SET sent_at = ?", (value,))


async def test_a_row_that_another_program_spoiled_is_one_clear_error(path: Path) -> None:
    """Not a `ValueError` out of the middle of a run."""
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([PLANNED])
        for value in ("yesterday", 5):
            await ledger._do(partial(spoiled, value))
            with pytest.raises(LedgerError, match=r"sent_at .* another program changed it"):
                await ledger.enrol([PLANNED])
        await ledger.end()


def test_a_ledger_serves_one_event_loop_after_the_other(path: Path) -> None:
    """Closed in between or not, and whether or not the last loop was waited for."""
    ledger = Ledger(path)

    async def begin() -> None:
        await ledger.__aenter__()
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([PLANNED])
        write = asyncio.create_task(ledger.swap(PLANNED, SENDING))
        await asyncio.sleep(0)
        write.cancel()

    async def go_on() -> list[State]:
        found = [outcome.state async for outcome in ledger.outcomes()]
        await ledger.__aexit__(None, None, None)
        return found

    asyncio.run(begin())
    assert asyncio.run(go_on()) == [State.SENDING]

    async def again() -> dict[State, int]:
        async with ledger:
            return await ledger.counts()

    assert asyncio.run(again())[State.SENDING] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("opened", [True, False])
def test_a_fork_opens_the_ledger_for_itself(
    path: Path, stranger: Stranger, *, opened: bool
) -> None:
    """It is not the writer that its parent is; and it takes nothing of its parent's away."""
    ledger, temporary = Ledger(path), Ledger()

    async def begin() -> None:
        await ledger.__aenter__()
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([PLANNED])
        if not opened:
            await ledger.__aexit__(None, None, None)
        async with temporary:
            pass

    async def in_the_child() -> None:
        with pytest.raises(LedgerError, match="is closed"):
            await ledger.counts()
        async with ledger:
            assert [each async for each in ledger.outcomes()] == [PLANNED]
            if not opened:
                await ledger.begin(CAMPAIGN)
                await ledger.end()
        if opened:
            async with ledger:
                with pytest.raises(LedgerError, match="is in use"):
                    await ledger.begin(CAMPAIGN)
        with pytest.raises(LedgerError, match="is closed"):
            await ledger.counts()
        with pytest.raises(
            LedgerError,
            match=r"^the temporary ledger is only known to the process that made it; give the "
            r"ledger a path, or make it after the fork$",
        ):
            await temporary.counts()

    asyncio.run(begin())
    child = fork(in_the_child)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    async def go_on() -> None:
        if not opened:
            await ledger.__aenter__()
            await ledger.begin(CAMPAIGN)
        assert await ledger.swap(PLANNED, SENDING)
        assert await stranger.sees(path) == ["sending"]
        await ledger.__aexit__(None, None, None)

    asyncio.run(go_on())
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT state FROM outcome").fetchall() == [("sending",)]
    connection.close()


async def test_the_last_to_close_lets_sqlite_tidy_up(path: Path) -> None:
    """The hold lasts as long as anybody here has the file open, and no longer."""
    async with Ledger(path) as first:
        await first.begin(CAMPAIGN)
        async with Ledger(path, read_only=True):
            (kept,) = handle._kept.values()
            async with Ledger(path, read_only=True):
                assert kept.users == 3
            assert kept.users == 2
        assert kept.users == 1
        assert [*handle._kept.values()] == [kept]
        assert path.with_name(f"{path.name}-wal").exists()
        await first.end()

    assert handle._kept == {}
    assert not path.with_name(f"{path.name}-wal").exists()
