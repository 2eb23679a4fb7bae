"""The history outlives the process, and the event loop never waits for the disk."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from blockbuster import BlockBuster

from conference_async.errors import ConferenceError, ConfigurationError
from conference_async.webhooks import events
from conference_async.webhooks.history import AttendanceStore
from conference_async.webhooks.rooms import Attendee
from conference_async.webhooks.roster import Roster
from conference_async.webhooks.states import CallStatus, LeaveReason
from tests.conftest import UNMEASURED

SID = "CF" + "2" * 32
START = datetime(2026, 10, 2, 12, 0, tzinfo=UTC)
ALICE = Attendee(call_sid="CA1", label="alice", joined_at=START)
GONE = Attendee(
    call_sid="CA1",
    present=False,
    left_at=START + timedelta(seconds=9),
    reason=LeaveReason.PARTICIPANT_HUNG_UP,
    call_status=CallStatus.COMPLETED,
)


@pytest.fixture(autouse=True)
async def blocking_is_an_error() -> AsyncIterator[None]:
    """Make every blocking call on the loop fail its test."""
    guard = BlockBuster()
    guard.activate()
    yield
    guard.deactivate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the history is kept."""
    return tmp_path / "attendance.db"


async def test_what_a_roster_saw(path: Path) -> None:
    """Everybody who came through a room is in the file, with times and reason."""
    async with AttendanceStore(path) as store:
        roster = Roster(record=store.record)
        for number, (kind, who) in enumerate(
            [
                (events.ParticipantJoined, "CA1"),
                (events.ParticipantJoined, "CA2"),
                (events.ParticipantLeft, "CA1"),
            ]
        ):
            roster.apply(
                kind(
                    conference_sid=SID,
                    call_sid=who,
                    sequence_number=number,
                    timestamp=START + timedelta(seconds=number),
                )
            )

        assert await store.attendance(SID) == [
            Attendee(
                call_sid="CA1",
                present=False,
                joined_at=START,
                left_at=START + timedelta(seconds=2),
            ),
            Attendee(call_sid="CA2", joined_at=START + timedelta(seconds=1)),
        ]
        assert await store.attendance("CF1") == []


async def test_after_a_restart(path: Path) -> None:
    """Facts that an earlier process noted stay, where a later one knows less."""
    async with AttendanceStore(path) as store:
        store.record(SID, ALICE)
    async with AttendanceStore(path) as store:
        store.record(SID, GONE)

        assert await store.attendance(SID) == [
            Attendee(
                call_sid="CA1",
                label="alice",
                present=False,
                joined_at=START,
                left_at=GONE.left_at,
                reason="participant_hung_up",
                call_status="completed",
            )
        ]


async def test_written_before_long(path: Path) -> None:
    """A record is written soon, without anybody asking."""
    reader = AttendanceStore(path)
    async with AttendanceStore(path) as store:
        for state in (ALICE, GONE):
            store.record(SID, state)
            while [one.present for one in await reader.attendance(SID)] != [state.present]:  # noqa: ASYNC110 -- a thread's doing
                await asyncio.sleep(0.01)


async def test_no_database(path: Path) -> None:
    """A file that is no database is a mistake in the set-up, told at once."""
    await asyncio.to_thread(path.write_bytes, b"no database, but long enough to be read as one" * 9)

    with pytest.raises(ConfigurationError, match="cannot be used"):
        async with AttendanceStore(path):
            pass


def break_it(path: Path) -> None:
    """Take the table away."""
    database = sqlite3.connect(path)
    database.execute("ALTER TABLE attendance RENAME TO elsewhere")
    database.close()


def mend_it(path: Path) -> None:
    """Bring the table back."""
    database = sqlite3.connect(path)
    database.execute("ALTER TABLE elsewhere RENAME TO attendance")
    database.close()


async def test_a_failing_disk(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While the file cannot be written nothing is lost, and it is written once it can be."""
    async with AttendanceStore(path, retry_after=0.01) as store:
        await asyncio.to_thread(break_it, path)
        store.record(SID, ALICE)
        with pytest.raises(ConferenceError, match="cannot be written"):
            await store.flush()
        with pytest.raises(ConferenceError, match="cannot be read"):
            await AttendanceStore(path).attendance(SID)
        while "cannot be written" not in caplog.text:  # noqa: ASYNC110 -- its own time
            await asyncio.sleep(0.01)
        await asyncio.to_thread(mend_it, path)

    assert await store.attendance(SID) == [ALICE]


async def test_cancelled(path: Path) -> None:
    """A flush that is cancelled keeps what it had for the next one."""
    async with AttendanceStore(path):
        pass
    store = AttendanceStore(path)
    store.record(SID, ALICE)
    flush = asyncio.create_task(store.flush())
    await asyncio.sleep(0)
    flush.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flush

    assert store._waiting
    assert await store.attendance(SID) == [ALICE]


async def test_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The records that wait for a file that cannot be written are bounded, and the log says so."""
    monkeypatch.setattr("conference_async.webhooks.history._MOST_WAITING", 2)
    async with AttendanceStore(path) as store:
        for who in ("CA1", "CA2", "CA3"):
            store.record(SID, Attendee(call_sid=who))

        assert [one.call_sid for one in await store.attendance(SID)] == ["CA2", "CA3"]
    assert "given up" in caplog.text


async def test_recorded_before_it_is_open(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Earlier records are written once the store is open; until then the log says they wait."""
    store = AttendanceStore(path)
    store.record(SID, ALICE)
    store.record(SID, attrs.evolve(ALICE, call_sid="CA2"))
    assert caplog.text.count("the attendance file is not open in this process") == 1

    async with store:
        while store._waiting:  # noqa: ASYNC110 -- a thread's doing
            await asyncio.sleep(0.01)
        assert [one.call_sid for one in await store.attendance(SID)] == ["CA1", "CA2"]


def test_one_loop_after_the_other(path: Path) -> None:
    """A store may be opened again in another event loop, whatever was under way in the first."""
    store = AttendanceStore(path)

    async def keep(who: str) -> list[str]:
        async with store:
            store.record(SID, attrs.evolve(ALICE, call_sid=who))
            await asyncio.gather(store.flush(), store.flush(), store.attendance(SID))
            return [one.call_sid for one in await store.attendance(SID)]

    assert asyncio.run(keep("CA1")) == ["CA1"]
    assert asyncio.run(keep("CA2")) == ["CA1", "CA2"]


FORKED = """
import asyncio, logging, os, sys
from conference_async.webhooks import AttendanceStore, Attendee

async def main():
    async with AttendanceStore(sys.argv[1]) as store:
        child = os.fork()
        if child == 0:
            store.record("CF1", Attendee(call_sid="CA1"))
            os._exit(0)
        os.waitpid(child, 0)

logging.basicConfig(stream=sys.stdout, format="%(message)s")
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
async def test_a_forked_process(path: Path) -> None:
    """A process that is forked from one with an open store has no writer, and says so."""
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FORKED, str(path)), env=UNMEASURED, stdout=subprocess.PIPE
    )
    out, _ = await run.communicate()

    assert b"the attendance file is not open in this process: nothing is written" in out


async def test_it_is_for_its_owner_only(path: Path) -> None:
    """Labels and times of people are nobody else's."""
    async with AttendanceStore(path) as store:
        store.record(SID, ALICE)

    assert stat.S_IMODE((await asyncio.to_thread(path.stat)).st_mode) == 0o600


async def test_a_file_that_was_taken_away_is_said(path: Path) -> None:
    """Nothing is written to where nobody would find it; what was recorded waits."""
    elsewhere = path.with_name("elsewhere.db")
    async with AttendanceStore(path, retry_after=0.01) as store:
        await asyncio.to_thread(path.rename, elsewhere)
        store.record(SID, ALICE)
        with pytest.raises(ConferenceError, match="was moved, deleted or replaced"):
            await store.flush()
        await asyncio.to_thread(elsewhere.rename, path)

    assert await store.attendance(SID) == [ALICE]
