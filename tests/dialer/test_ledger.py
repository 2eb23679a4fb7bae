"""The ledger: what it promises of one target, of a file, and of its one writer."""

import asyncio
import itertools
import signal
import sqlite3
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from conference_async import ConferenceClient, Dialer, Ledger, Outcome, Plan, State
from conference_async.dialer import Campaign
from conference_async.dialer.ledger import file as ledger_file
from conference_async.emulator import Emulator
from conference_async.errors import LedgerError
from conference_async.models import NewParticipant, Participant
from conference_async.sending.entries import MOVES
from tests.conftest import UNMEASURED

NOW = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
CAMPAIGN = Campaign(name="standup", account_sid=f"AC{'0' * 32}", total=2)
PLACED = Participant(status="queued", call_sid=f"CA{'1' * 32}", conference_sid=f"CF{'2' * 32}")


def planned(number: int = 1) -> Outcome:
    """Return a target that was never called."""
    to = f"+1555867{number:04d}"
    return Outcome(target=f"standup/{to[1:]}", to=to, conference="standup")


def sending(number: int = 1, token: str = "t") -> Outcome:
    """Return a target whose request may be under way."""
    return planned(number).claimed(token, f"p{number}", NOW)


def shell(path: Path, statement: str) -> list[tuple[object, ...]]:
    """Run a statement as any SQLite tool would."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.commit()
        connection.close()


def read(path: Path) -> bytes:
    """Return what a file holds."""
    return path.read_bytes()


def write(path: Path, content: bytes) -> bytes:
    """Make a file."""
    path.write_bytes(content)
    return content


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a ledger may be."""
    return tmp_path / "campaign.db"


@pytest.fixture(params=["file", "temporary"])
async def ledger(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[Ledger]:
    """Return an open ledger that a campaign has begun on."""
    async with Ledger(path if request.param == "file" else None) as ledger:
        await ledger.begin(CAMPAIGN)
        yield ledger
        await ledger.end()


def test_an_outcome_keeps_its_number_to_itself() -> None:
    """Its repr shows the last four digits, and its reason never more."""
    outcome = sending().refused("the number +15558670001 is blocked", NOW)

    assert outcome.reason == "the number ***0001 is blocked"
    assert "target='standup/***0001', to='***0001'" in repr(outcome)
    assert "reason=None" in repr(sending())
    assert "state=refused" in repr(outcome)


@pytest.mark.parametrize(("before", "after"), [*itertools.product(State, State)])
def test_only_the_drawn_moves_are_possible(before: State, after: State) -> None:
    """Above all: what was placed, refused or is unknown is never sent without being planned."""
    outcome = Outcome(target="t", to="client:alice", conference="standup", state=before)
    moves = {
        State.PLANNED: lambda: outcome.again("told so"),
        State.SENDING: lambda: outcome.claimed("t", None, NOW),
        State.PLACED: lambda: outcome.placed(PLACED, NOW),
        State.REFUSED: lambda: outcome.refused("no", NOW),
        State.UNKNOWN: lambda: outcome.unknown("nobody knows", NOW),
        State.SKIPPED: lambda: outcome.skipped("asleep", NOW),
    }

    if after in MOVES[before]:
        assert moves[after]().state is after
    else:
        with pytest.raises(LedgerError, match=f"that is {before} cannot become {after}"):
            moves[after]()


def test_each_move_says_all_that_it_knows_and_leaves_the_rest() -> None:
    """Row by row: who holds it, under which label, since when, until when, and why."""
    later, last = NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)
    known: dict[str, Any] = {"target": "t", "to": "+15558675310", "conference": "standup"}
    start = Outcome(**known, reason="put off", ended_at=NOW)
    claim = Outcome(**known, state=State.SENDING, token="t", label="p", attempts=1, sent_at=NOW)
    assert start.claimed("t", "p", NOW) == claim

    placed = attrs.evolve(
        claim,
        state=State.PLACED,
        call_sid=PLACED.call_sid,
        conference_sid=PLACED.conference_sid,
        ended_at=later,
        reason="found",
    )
    assert claim.placed(PLACED, later, "found") == placed
    assert placed.noted("busy") == attrs.evolve(placed, reason="busy")
    redialled = attrs.evolve(placed, state=State.PLANNED, token=None, label=None, reason="busy")
    assert placed.again("busy") == redialled
    second = redialled.claimed("u", "q", last)
    assert (second.label, second.sent_at, second.ended_at, second.attempts) == ("q", last, None, 2)

    ended: dict[str, Any] = {"ended_at": later, "reason": "why"}
    assert claim.refused("why", later) == attrs.evolve(claim, state=State.REFUSED, **ended)
    unknown = attrs.evolve(claim, state=State.UNKNOWN, **ended)
    assert claim.unknown("why", later) == unknown
    again = attrs.evolve(unknown, state=State.PLANNED, token=None, reason="asked for")
    assert unknown.again("asked for") == again
    kept = again.claimed("u", "p", last)
    # Sent at first when it was, and now again.
    assert kept == attrs.evolve(claim, token="u", attempts=2, ended_at=last)
    assert kept.not_sent("gone") == attrs.evolve(
        claim, state=State.PLANNED, token=None, attempts=1, reason="gone"
    )
    assert claim.not_sent("gone") == Outcome(**known, reason="gone")
    assert start.skipped("why", later) == attrs.evolve(start, state=State.SKIPPED, **ended)


def test_a_campaign_is_told_from_another_by_name_and_account() -> None:
    """The message says both, and what to do."""
    CAMPAIGN.check(attrs.evolve(CAMPAIGN, total=5))
    other = f"AC{'1' * 32}"
    for wrong, what in (
        (attrs.evolve(CAMPAIGN, name="retro"), "the campaign 'standup', not to 'retro'"),
        (
            attrs.evolve(CAMPAIGN, account_sid=other),
            f"the account '{CAMPAIGN.account_sid}', not to '{other}'",
        ),
    ):
        with pytest.raises(LedgerError) as caught:
            CAMPAIGN.check(wrong)
        assert str(caught.value) == (
            f"this ledger belongs to {what}; nothing was dialled. Use a ledger of its own for each "
            "campaign and account"
        )


def test_what_was_not_sent_was_not_attempted() -> None:
    """It is planned as before; the label of an earlier attempt stays, as that may be there."""
    back = sending().not_sent("no connection")
    told = sending().unknown("no answer", NOW).again("told so").claimed("u", "p1", NOW)

    assert (back.state, back.attempts, back.sent_at, back.label) == (State.PLANNED, 0, None, None)
    assert (told.not_sent("no connection").attempts, told.not_sent("").label) == (1, "p1")


def test_calling_again_keeps_the_label_of_what_is_unknown() -> None:
    """The service then refuses the second call while the first is there; a finished one may go."""
    assert sending().unknown("no answer", NOW).again("told so").label == "p1"
    assert sending().placed(PLACED, NOW).again("busy").label is None


async def test_targets_are_enrolled_once(ledger: Ledger) -> None:
    """Enrolling again adds what is new, and tells what became of the rest."""
    first = await ledger.enrol([planned(1), planned(2)])
    await ledger.swap(planned(1), sending(1))

    second = await ledger.enrol([planned(2), planned(1), planned(3)])

    assert first == [planned(1), planned(2)]
    assert second == [planned(2), sending(1), planned(3)]
    assert [each async for each in ledger.outcomes()] == [sending(1), planned(2), planned(3)]


async def test_one_execution_claims_a_target(ledger: Ledger) -> None:
    """A second one loses; the first may repeat its write, whose answer it may have missed."""
    await ledger.enrol([planned()])

    assert await ledger.swap(planned(), sending(token="mine"))
    assert await ledger.swap(planned(), sending(token="mine"))
    assert not await ledger.swap(planned(), sending(token="theirs"))
    assert [each async for each in ledger.outcomes()] == [sending(token="mine")]


async def test_only_its_execution_concludes_a_target(ledger: Ledger) -> None:
    """A late answer may still correct what is unknown."""
    mine, theirs = sending(token="mine"), sending(token="theirs")
    unknown = mine.unknown("no answer", NOW)
    placed = unknown.placed(PLACED, NOW, "found later")
    await ledger.enrol([planned()])
    await ledger.swap(planned(), mine)

    assert not await ledger.swap(theirs, theirs.placed(PLACED, NOW))
    assert await ledger.swap(mine, unknown)
    assert await ledger.swap(unknown, placed)
    assert [each async for each in ledger.outcomes(State.PLACED)] == [placed]


async def test_outcomes_are_streamed_by_state(ledger: Ledger) -> None:
    """A page at a time, in order, while the ledger is written to."""
    await ledger.enrol([planned(number) for number in range(1200)])
    for number in range(0, 1200, 100):
        await ledger.swap(planned(number), sending(number))

    found = []
    async for outcome in ledger.outcomes(State.SENDING, State.UNKNOWN):
        found.append(outcome.to[-4:])
        await ledger.swap(outcome, outcome.unknown("?", NOW))

    assert found == [f"{number:04d}" for number in range(0, 1200, 100)]
    assert len([each async for each in ledger.outcomes()]) == 1200
    assert await ledger.counts() == {
        **dict.fromkeys(State, 0),
        State.PLANNED: 1188,
        State.UNKNOWN: 12,
    }  # fmt: skip -- one mapping, one line


async def test_what_is_yet_to_be_enrolled_counts_as_planned(path: Path) -> None:
    """As far as the plan's size is known; what is no longer in the plan takes nothing away."""
    async with Ledger(path) as ledger:
        assert await ledger.counts() == dict.fromkeys(State, 0)
        for total, enrolled, left in ((2, 1, 1), (5, 1, 4), (None, 1, 4), (2, 3, 2)):
            await ledger.begin(attrs.evolve(CAMPAIGN, total=total))
            await ledger.enrol([planned(number) for number in range(enrolled)])
            await ledger.swap(planned(0), sending(0))
            expected = {State.PLANNED: left, State.SENDING: 1}
            assert await ledger.counts() == dict.fromkeys(State, 0) | expected
            await ledger.end()


async def test_what_was_called_is_found(ledger: Ledger) -> None:
    """By its number, also when its outcome is not known; and when the first one was."""
    assert await ledger.first_call() is None
    await ledger.enrol([planned(number) for number in range(4)])
    assert await ledger.first_call() is None
    late = planned(2).claimed("t", "p2", NOW + timedelta(hours=1))
    for before, after in ((planned(1), sending(1)), (planned(2), late)):
        assert await ledger.swap(before, after)

    assert await ledger.first_call() == NOW
    numbers = {planned(number).to for number in (0, 2)}
    assert await ledger.called(numbers) == [late]
    assert await ledger.called([each.to for each in (late, sending(1))]) == [sending(1), late]
    assert await ledger.called([]) == []


async def test_a_cancelled_write_is_written(ledger: Ledger) -> None:
    """A write whose caller was cancelled is made all the same, before the next one."""
    await ledger.enrol([planned()])
    write = asyncio.create_task(ledger.swap(planned(), sending()))
    await asyncio.sleep(0)
    write.cancel()

    assert await ledger.swap(sending(), sending().not_sent("cancelled"))
    assert write.cancelled()


async def test_the_ledger_outlives_its_process(path: Path) -> None:
    """The next run finds what was written, with every field."""
    placed = sending().placed(PLACED, NOW, "reconciled")
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([planned()])
        await ledger.swap(planned(), sending())
        await ledger.swap(sending(), placed)

    async with Ledger(path) as ledger:
        assert await ledger.campaign() == CAMPAIGN
        assert [each async for each in ledger.outcomes()] == [placed]
    assert shell(path, "SELECT state, call_sid FROM outcome") == [("placed", PLACED.call_sid)]


@pytest.mark.soak  # a busy machine may stall this process, or its disk
async def test_600_outcomes_a_second_are_durable(path: Path) -> None:
    """Twenty times the fastest account, each with its write before and its write after."""
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([planned(number) for number in range(2000)])

        async def one(number: int) -> None:
            assert await ledger.swap(planned(number), sending(number))
            placed = sending(number).placed(PLACED, NOW)
            assert await ledger.swap(sending(number), placed)

        async def worker(numbers: range) -> None:
            for number in numbers:
                await one(number)

        began = time.perf_counter()
        await asyncio.gather(*(worker(range(first, 2000, 50)) for first in range(50)))
        taken = time.perf_counter() - began

    assert 2000 / taken > 600


async def test_a_ledger_is_private(path: Path) -> None:
    """It holds phone numbers, so it and the files beside it are their owner's."""
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([planned()])

        modes = {file.name: file.stat().st_mode & 0o077 for file in path.parent.iterdir()}

    beside = ("", "-wal", "-shm", ".lock", ".lock-journal")
    assert modes == dict.fromkeys((f"campaign.db{each}" for each in beside), 0)
    assert repr(ledger) == "<Ledger the ledger campaign.db>"


async def test_a_temporary_ledger_lasts_as_long_as_its_object() -> None:
    """So a second run in the same process still knows of the first."""
    ledger = Ledger()
    async with ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([planned()])
        await ledger.end()

    async with ledger:
        assert [each async for each in ledger.outcomes()] == [planned()]


async def test_a_closed_ledger_says_so(path: Path) -> None:
    """Not with an error of somebody else's."""
    with pytest.raises(LedgerError, match="async with"):
        await Ledger(path).counts()


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (Campaign(name="retro", account_sid=CAMPAIGN.account_sid), "the campaign 'standup', not"),
        (Campaign(name="standup", account_sid="AC1"), "belongs to the account 'AC000"),
    ],
)
async def test_the_ledger_of_another_campaign_is_refused(
    path: Path, other: Campaign, told: str
) -> None:
    """By name and by account; the next try with the right one works."""
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.end()

        with pytest.raises(LedgerError, match=f"{told}.*nothing was dialled"):
            await ledger.begin(other)
        await ledger.begin(Campaign(name=CAMPAIGN.name, account_sid=CAMPAIGN.account_sid))
        assert await ledger.campaign() == CAMPAIGN


async def test_a_ledger_has_one_writer(path: Path) -> None:
    """In one process and between processes; readers are welcome."""
    async with Ledger(path) as ledger, Ledger(path) as second:
        await ledger.begin(CAMPAIGN)

        with pytest.raises(LedgerError, match="in use by another run"):
            await ledger.begin(CAMPAIGN)
        with pytest.raises(LedgerError, match="being run already"):
            await second.begin(CAMPAIGN)
        await ledger.enrol([planned()])
        async with Ledger(path, read_only=True) as reader:
            assert [each async for each in reader.outcomes()] == [planned()]
            with pytest.raises(LedgerError, match="for reading only"):
                await reader.begin(CAMPAIGN)


_WRITER = """
    import asyncio, sys
    from conference_async import Ledger
    from conference_async.dialer import Campaign

    async def main():
        async with Ledger(sys.argv[1]) as ledger:
            await ledger.begin(Campaign(name="standup", account_sid="AC" + "0" * 32))
            print("begun", flush=True)
            await asyncio.sleep(60)

    asyncio.run(main())
"""


async def test_kill_9_frees_the_ledger(path: Path) -> None:
    """Another process is kept out while the first lives, and let in when it was killed."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(_WRITER), str(path)),
        env=UNMEASURED,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"begun\n"

    async with Ledger(path) as ledger:
        with pytest.raises(LedgerError, match="being run already, here or in another process"):
            await ledger.begin(CAMPAIGN)
        child.send_signal(signal.SIGKILL)
        await child.wait()
        await ledger.begin(CAMPAIGN)


async def test_a_full_disk_is_one_clear_error(path: Path) -> None:
    """A write that did not fit is not made, and the rows from before are still there."""
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger._do(lambda connection: connection.execute("PRAGMA max_page_count = 10"))

        with pytest.raises(
            LedgerError, match=r"campaign\.db cannot be used: database or disk is full"
        ):
            await ledger.enrol([planned(number) for number in range(1000)])
        assert [each async for each in ledger.outcomes()] == []
        assert await ledger.enrol([planned()]) == [planned()]


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """And left as it is. Nobody is told to name another one, which would know of no call."""
    written = write(path, b"to\n" * 100)

    with pytest.raises(LedgerError, match=r"file is not a database; nothing more is dialled$"):
        async with Ledger(path):
            pass
    assert read(path) == written


async def test_the_database_of_another_program_is_refused(path: Path) -> None:
    """And left as it is."""
    shell(path, "CREATE TABLE bookmarks (url TEXT)")

    with pytest.raises(
        LedgerError, match=r"^the ledger campaign\.db is a database of another program"
    ):
        async with Ledger(path):
            pass


async def test_a_newer_ledger_is_refused(path: Path) -> None:
    """It may hold what this version would misread."""
    async with Ledger(path):
        pass
    shell(path, "PRAGMA user_version = 99")

    with pytest.raises(
        LedgerError, match=r"^the ledger campaign\.db was written by a newer version"
    ):
        async with Ledger(path):
            pass


async def test_an_older_ledger_is_brought_up_to_date(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the writer, with all that it holds; a reader does not touch it."""
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([planned()])
    scripts = (*ledger_file.SCHEMA.scripts, "CREATE INDEX by_state ON outcome (state);")
    monkeypatch.setattr(ledger_file, "SCHEMA", attrs.evolve(ledger_file.SCHEMA, scripts=scripts))

    with pytest.raises(LedgerError, match="of an older version"):
        async with Ledger(path, read_only=True):
            pass
    async with Ledger(path) as ledger:
        assert [each async for each in ledger.outcomes()] == [planned()]
    assert shell(path, "PRAGMA user_version") == [(len(scripts),)]


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_ledger_needs_its_folder(tmp_path: Path, *, read_only: bool) -> None:
    """And a ledger that is only read must be there."""
    with pytest.raises(LedgerError, match=r"campaign\.db cannot be"):
        async with Ledger(tmp_path / "nowhere" / "campaign.db", read_only=read_only):
            pass


async def test_a_ledger_that_could_not_be_opened_can_be_opened_later(tmp_path: Path) -> None:
    """And is closed when its last user has left."""
    ledger = Ledger(tmp_path / "later" / "campaign.db")
    with pytest.raises(
        LedgerError,
        match=r"^the ledger campaign\.db cannot be used: No such file or directory; name a file "
        r"in a folder that is there$",
    ):
        await ledger.__aenter__()
    (tmp_path / "later").mkdir()

    async with ledger:
        assert await ledger.campaign() is None
    with pytest.raises(LedgerError, match="is closed"):
        await ledger.campaign()


async def test_a_ledger_whose_lock_cannot_be_made_is_refused(path: Path) -> None:
    """An error of the file system is not taken for another writer."""
    async with Ledger(path) as ledger:
        write(path.with_name("campaign.db.lock"), b"noise" * 100)

        with pytest.raises(LedgerError, match="not a database"):
            await ledger.begin(CAMPAIGN)


async def test_a_text_that_no_file_can_hold_is_an_error_for_whoever_asked(ledger: Ledger) -> None:
    """Half a character is none; nobody waits for ever."""
    broken = Outcome(target="#\ud800", to="client:alice", conference="standup")

    with pytest.raises(LedgerError, match="surrogates not allowed"):
        await ledger.enrol([broken])
    assert await ledger.enrol([planned()]) == [planned()]


def without_last_commit(log: bytes) -> bytes:
    """Return a write-ahead log without its last commit, as a power failure may leave it."""
    size = int.from_bytes(log[8:12])
    frames = range(32, len(log), 24 + size)
    commits = [at for at in frames if int.from_bytes(log[at + 4 : at + 8])]
    return log[: commits[-2] + 24 + size]


async def test_a_lost_last_commit_loses_one_write(path: Path, tmp_path: Path) -> None:
    """Write-ahead, synchronous=FULL: what came before it is all there, in the same order."""
    restored = tmp_path / "restored.db"
    async with Ledger(path) as ledger:
        await ledger.begin(CAMPAIGN)
        await ledger.enrol([planned()])
        await ledger.swap(planned(), sending())
        await ledger.swap(sending(), sending().placed(PLACED, NOW))
        mode = await ledger._do(
            lambda connection: (
                connection.execute("PRAGMA journal_mode").fetchone()[0],
                connection.execute("PRAGMA synchronous").fetchone()[0],
            )
        )
        write(restored, read(path))
        log = read(path.with_name("campaign.db-wal"))
        write(restored.with_name("restored.db-wal"), without_last_commit(log))

    async with Ledger(restored) as ledger:
        assert [each async for each in ledger.outcomes()] == [sending()]
    assert mode == ("wal", 2)


@pytest.mark.looptime
async def test_a_power_failure_leads_to_a_look_up(
    emulator: Emulator, client: ConferenceClient, path: Path, tmp_path: Path
) -> None:
    """The call whose last write is lost is found by its label, and nobody is rung twice."""
    people = [NewParticipant(from_="+15017122661", to=planned(n).to) for n in range(3)]
    plan = Plan.from_participants(people, conference="standup")
    restored = tmp_path / "restored.db"
    async with Ledger(path) as ledger:
        _ = [outcome async for outcome in Dialer(client, ledger=ledger).run(plan)]
        write(restored, read(path))
        log = read(path.with_name("campaign.db-wal"))
        write(restored.with_name("restored.db-wal"), without_last_commit(log))

    (found,) = [each async for each in Dialer(client, ledger=Ledger(restored)).run(plan)]

    assert (found.state, found.reason) == (State.PLACED, "found by its label")
    assert set(emulator.ring_counts.values()) == {1}
