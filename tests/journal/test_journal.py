"""What a journal keeps of a key, whoever shares it, and what it does where it cannot."""

import asyncio
import os
import resource
import sqlite3
import stat
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import attrs
import psycopg
import pytest

from conference_async import (
    ConfigurationError,
    Journal,
    Ledger,
    LedgerError,
    NewParticipant,
    PlacedParticipant,
    PostgresJournal,
    State,
)
from conference_async.journal import postgres as postgres_module
from conference_async.journal import sqlite as sqlite_module
from conference_async.journal.place import journal_at
from conference_async.postgres.session import Session
from conference_async.sending.intents import LEASE, Intent
from conference_async.sqlite.file import SQLiteFile
from tests.journal.conftest import Books
from tests.stores.plans import rows_in_vain

FROM, TO = "+15017122661", "+15558675310"
KEYS = [str(number) for number in range(50)]
NEW = NewParticipant(from_=FROM, to=TO)
NOW = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
PLACED = PlacedParticipant(
    account_sid=f"AC{'0' * 32}",
    call_sid=f"CA{'1' * 32}",
    conference_sid=f"CF{'2' * 32}",
    label="alice",
    status="dreaming",
    date_created=NOW,
    queue_time=70,
    reconciled=True,
    evidence="call-log",
    extra={"to": TO},
)


class Server(Protocol):
    """A server that may be killed and started again."""

    where: str

    def start(self) -> None:
        """Start it."""

    def kill(self) -> None:
        """Kill it."""


def planned(books: Books, key: str = "order-42", new: NewParticipant = NEW) -> Intent:
    """Return an intent that nobody has claimed."""
    return Intent.of(books.account_sid, key, "standup", new)


def claimed(books: Books, key: str = "order-42", token: str = "mine") -> Intent:
    """Return it as claimed."""
    return planned(books, key).claimed(token, "alice", NOW)


def placed(claim: Intent) -> Intent:
    """Return it as placed."""
    return attrs.evolve(claim.placed(PLACED, NOW), participant=PLACED)


async def test_one_of_two_gets_the_key(books: Books) -> None:
    """A write that is repeated succeeds, a second claim does not, wherever it comes from."""
    one, other = books.open(), books.open()

    assert await one.swap(planned(books), claimed(books))
    assert await one.swap(planned(books), claimed(books))
    assert not await other.swap(planned(books), claimed(books, token="theirs"))
    known = await other.known(planned(books))
    assert known is not None
    assert (known.state, known.token, known.held) == (State.SENDING, "mine", True)
    assert (known.label, known.attempts, known.participant) == ("alice", 1, None)
    assert known.sent_at is not None
    assert abs(datetime.now(UTC) - known.sent_at) < timedelta(seconds=10)


async def test_hundreds_at_once(books: Books) -> None:
    """Each key has one owner, however many ask for it at the same time."""
    handles = [books.open() for _ in range(3)]
    claims = [
        (number, handle.swap(planned(books, str(number)), claimed(books, str(number), str(place))))
        for number in range(100)
        for place, handle in enumerate(handles)
    ]
    won = await asyncio.gather(*(claim for _, claim in claims))

    assert sum(won) == 100


async def test_what_was_answered_is_kept(books: Books) -> None:
    """All of it but what a newer service adds; found by whoever asks later."""
    journal = books.open()
    await journal.swap(planned(books), claimed(books))
    assert await journal.swap(claimed(books), placed(claimed(books)))
    known = await books.open().known(planned(books))

    assert known is not None
    assert known.state is State.PLACED
    assert known.participant == attrs.evolve(PLACED, extra={})
    assert not known.held


@pytest.mark.parametrize("end", ["refused", "not sent"])
async def test_a_key_that_is_free_is_forgotten(books: Books, end: str) -> None:
    """By whoever claimed it only."""
    journal, claim = books.open(), claimed(books)
    await journal.swap(planned(books), claim)

    def ended(intent: Intent) -> Intent:
        return intent.refused("no", NOW) if end == "refused" else intent.not_sent("no")

    theirs = claimed(books, token="theirs")
    assert not await journal.swap(theirs, ended(theirs))
    assert await journal.known(planned(books)) is not None
    assert await journal.swap(claim, ended(claim))
    assert await journal.known(planned(books)) is None


async def test_processes_that_start_together(tmp_path: Path, books: Books) -> None:
    """One makes the file and its tables; the others find it half made, and wait."""
    for number in range(40):
        journals = [Journal(tmp_path / f"{number}.db") for _ in range(4)]
        found = await asyncio.gather(*(each.known(planned(books)) for each in journals))
        assert found == [None] * 4
        for journal in journals:
            await journal.aclose()


async def test_a_log_that_is_being_turned_on(tmp_path: Path) -> None:
    """SQLite does not wait for that by itself."""
    path = tmp_path / "calls.db"
    other = await asyncio.to_thread(sqlite3.connect, path, check_same_thread=False)
    await asyncio.to_thread(other.execute, "BEGIN EXCLUSIVE")

    def prepare(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA journal_mode = WAL")

    file = SQLiteFile(path, prepare=prepare, busy=5)
    opening = asyncio.create_task(file.open())
    await asyncio.sleep(0.2)
    assert not opening.done()
    await asyncio.to_thread(other.close)
    await opening
    await file.aclose()


async def test_accounts_are_apart(books: Books) -> None:
    """The same key of another account is another key."""
    journal = books.open()
    await journal.swap(planned(books), claimed(books))
    other = Intent.of(f"AC{'9' * 32}", "order-42", "standup", NEW)

    assert await journal.known(other) is None


async def test_the_living_hold_and_the_dead_do_not(books: Books) -> None:
    """A claim holds for a lease from its renewal; one from before the machine started does not."""
    journal, claim = books.open(), claimed(books)
    await journal.swap(planned(books), claim)

    async def held() -> bool:
        known = await journal.known(planned(books))
        assert known is not None
        return known.held

    assert await held()
    books.kill()
    assert not await held()
    assert await journal.swap(claim, claim)
    assert await held()
    books.run(f"UPDATE conference_async_intent SET held_until = held_until + {LEASE} WHERE ACCOUNT")
    assert not await held()


async def test_a_key_is_kept_for_a_while(books: Books) -> None:
    """Then it is free, and claimed by somebody else with another request."""
    journal = books.open(keep=timedelta(days=2))
    await journal.swap(planned(books), claimed(books))
    await journal.swap(claimed(books), placed(claimed(books)))
    for days, there in ((1.9, True), (0.2, False)):
        books.run(
            f"UPDATE conference_async_intent SET changed_at = changed_at - {days * 86_400} "
            "WHERE ACCOUNT"
        )
        assert (await journal.known(planned(books)) is not None) is there

    bob = planned(books, new=NewParticipant(from_=FROM, to="+15558675311"))
    assert await journal.swap(bob, bob.claimed("later", "bob", NOW))
    known = await journal.known(bob)
    assert known is not None
    assert (known.fingerprint, known.label, known.participant) == (bob.fingerprint, "bob", None)


async def test_what_is_too_old_goes_bit_by_bit(books: Books) -> None:
    """A few of them whenever somebody is placed, and never one that is in flight."""
    journal = books.open()
    for number in range(25):
        await journal.swap(planned(books, f"old {number}"), claimed(books, f"old {number}"))
    books.run("UPDATE conference_async_intent SET changed_at = 0 WHERE ACCOUNT")
    old = claimed(books, "old 0")
    assert await journal.swap(old, old)  # its create takes a month, and is renewed
    counts: list[int] = []
    for number in range(3):
        new = claimed(books, f"new {number}")
        await journal.swap(planned(books, f"new {number}"), new)
        await journal.swap(new, placed(new))
        counts.append(len(books.states()))

    assert counts == [16, 7, 4]
    assert await journal.known(planned(books, "old 0")) is not None


async def test_what_is_not_too_old_is_not_looked_at(own_postgres: Any) -> None:
    """Neither keys nor calls: each create looks for what is, beside all that are remembered."""
    async with await psycopg.AsyncConnection.connect(own_postgres.where, autocommit=True) as server:
        await server.execute(
            """
            INSERT INTO conference_async_intent (account_sid, key, conference, number_hash,
                fingerprint, state, token, attempts, sent_at, changed_at, held_until)
            SELECT 'AC', number::text, '', 0, '', 'placed', '', 1, now, now, 0
            FROM generate_series(1, 3000) AS number, extract(epoch FROM now()) AS now
            """
        )
        await server.execute(
            """
            INSERT INTO conference_async_contact (
                account_sid, number_hash, token, campaign, called_at)
            SELECT account_sid, key, key, '', changed_at FROM conference_async_intent
            """
        )
        for prune in (postgres_module._SAID.prune, postgres_module._CONTACTS.prune):
            statement = postgres_module._spelled(prune)
            assert await rows_in_vain(server, statement, {"keep": 60.0}) == 0


async def test_no_number_is_written_down(tmp_path: Path) -> None:
    """Neither in the file nor in those beside it; only the owner may read them."""
    path = tmp_path / "calls.db"
    books = Books(path, f"AC{'0' * 32}")
    async with Journal(path) as journal:
        await journal.swap(planned(books), claimed(books))
        await journal.swap(claimed(books), placed(claimed(books)))
        files = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
        for file in files:
            content = await asyncio.to_thread(file.read_bytes)
            assert b"8675310" not in content
            assert b"7122661" not in content
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(files) > 1


@pytest.mark.parametrize("keep", [timedelta(0), timedelta(seconds=59), 86_400, None])
def test_a_time_to_keep_is_a_timedelta(tmp_path: Path, keep: Any) -> None:
    """Of a minute at the least: what is in flight must not be forgotten."""
    with pytest.raises(ConfigurationError, match="keep must be a timedelta of a minute or more"):
        Journal(tmp_path / "calls.db", keep=keep)


@pytest.mark.parametrize("path", ["", ":memory:", None, 7, b"calls.db"])
def test_a_journal_is_a_file(path: Any) -> None:
    """Not the memory of one process: the key must outlive it."""
    with pytest.raises(ConfigurationError, match="a file is kept at a path"):
        Journal(path)


async def test_other_files_are_left_alone(tmp_path: Path, books: Books) -> None:
    """Those of a campaign, of another program, and of a newer version of this library."""
    path = tmp_path / "campaign.db"
    async with Ledger(path):
        pass
    with pytest.raises(LedgerError, match="is a database of another program"):
        await Journal(path).known(planned(books))
    with pytest.raises(LedgerError, match="is a database of another program"):
        async with Journal(path):
            pass
    newer = tmp_path / "newer.db"
    async with Journal(newer):
        pass
    with closing(sqlite3.connect(newer)) as file:
        file.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match=r"the journal newer.db was written by a newer version"):
        await Journal(newer).known(planned(books))
    with pytest.raises(LedgerError, match="is a database of another program"):
        async with Ledger(newer):
            pass


async def test_a_folder_must_be_there(tmp_path: Path, books: Books) -> None:
    """It is not made."""
    told = r"the journal calls.db cannot be used: No such file .*; name a file in a folder"
    with pytest.raises(ConfigurationError, match=told):
        await Journal(tmp_path / "nowhere" / "calls.db").known(planned(books))


async def test_a_file_that_is_gone_takes_no_claim(tmp_path: Path, books: Books) -> None:
    """Deleted, moved or replaced underneath: what would be written there nobody would find."""
    path = tmp_path / "calls.db"
    async with Journal(path) as journal:
        await journal.swap(planned(books), claimed(books))
        await asyncio.to_thread(path.rename, tmp_path / "moved.db")
        for _ in range(2):
            with pytest.raises(LedgerError, match=r"calls.db was moved, deleted or replaced"):
                await journal.swap(planned(books, "other"), claimed(books, "other"))
        await asyncio.to_thread((tmp_path / "moved.db").rename, path)
        assert await journal.known(planned(books)) is not None


async def test_a_full_disk_takes_no_claim(tmp_path: Path, books: Books) -> None:
    """It is said, and the next claim is taken as soon as there is room again."""
    path = tmp_path / "calls.db"
    async with Journal(path) as journal:
        await journal.known(planned(books))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            with pytest.raises(LedgerError, match=r"the journal calls.db cannot be used"):
                await journal.swap(planned(books), claimed(books))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert await journal.known(planned(books)) is None
        assert await journal.swap(planned(books), claimed(books))


async def test_a_file_that_may_only_be_read(
    tmp_path: Path, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process writes to it for longer than anybody waits."""
    monkeypatch.setattr(sqlite_module, "_BUSY", 0.1)
    path = tmp_path / "calls.db"
    async with Journal(path) as journal:
        await journal.known(planned(books))

        def hold() -> sqlite3.Connection:
            other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            other.execute("BEGIN IMMEDIATE")
            return other

        with closing(await asyncio.to_thread(hold)):
            assert await journal.known(planned(books)) is None
            with pytest.raises(LedgerError, match="database is locked"):
                await journal.swap(planned(books), claimed(books))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("state = 'dreaming'", "the journal has a target that is 'dreaming'"),
        ("participant = '[7]'", "the journal has a participant that no version"),
        ("participant = '{'", "the journal has a participant that no version"),
    ],
)
async def test_what_another_program_wrote(books: Books, change: str, problem: str) -> None:
    """It is said, and nobody is dialled."""
    journal = books.open()
    await journal.swap(planned(books), claimed(books))
    books.run(f"UPDATE conference_async_intent SET {change} WHERE ACCOUNT")

    with pytest.raises(LedgerError, match=problem):
        await journal.known(planned(books))


async def test_it_opens_and_closes_as_often_as_one_likes(books: Books) -> None:
    """With a block, by itself, or both."""
    journal = books.open()
    async with journal:
        assert await journal.swap(planned(books), claimed(books))
    assert await journal.known(planned(books)) is not None
    await journal.aclose()
    await journal.aclose()
    async with journal, journal:
        assert await journal.known(planned(books)) is not None


def test_loops_one_after_the_other(tmp_path: Path, postgres_server: str) -> None:
    """Closed in between or not."""
    places: list[Path | str] = [tmp_path / "calls.db", postgres_server]
    for number, where in enumerate(places):
        books = Books(where, f"AC{number:032}")
        journal = journal_at(where)
        key = f"order-{os.getpid()}"
        assert asyncio.run(_one(journal, planned(books, key), claimed(books, key)))
        assert not asyncio.run(_one(journal, planned(books, key), claimed(books, key, "theirs")))
        asyncio.run(journal.aclose())


async def _one(journal: Any, before: Intent, after: Intent) -> bool:
    swapped: bool = await journal.swap(before, after)
    return swapped


def test_loops_at_once_share_a_file(tmp_path: Path) -> None:
    """Of threads of one process: each key has one owner."""
    books = Books(tmp_path / "calls.db", f"AC{'0' * 32}")
    journal = Journal(tmp_path / "calls.db")
    won: list[bool] = []

    async def claim(token: str) -> list[bool]:
        return await asyncio.gather(
            *(journal.swap(planned(books, key), claimed(books, key, token)) for key in KEYS)
        )

    def run(token: str) -> None:
        won.extend(asyncio.run(claim(token)))

    threads = [threading.Thread(target=run, args=[str(each)]) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(journal.aclose())

    assert (len(won), sum(won)) == (200, 50)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_goes_on_by_itself(tmp_path: Path, postgres_server: str) -> None:
    """With the handle of its parent, which it leaves whole."""
    places: list[Path | str] = [tmp_path / "calls.db", postgres_server]
    for number, where in enumerate(places):
        books = Books(where, f"AC{number + 7:032}")
        key, journal = f"order-{os.getpid()}", journal_at(where)
        assert asyncio.run(_one(journal, planned(books, key), claimed(books, key)))
        if (child := os.fork()) == 0:
            lost = asyncio.run(_one(journal, planned(books, key), claimed(books, key, "theirs")))
            won = asyncio.run(_one(journal, planned(books, f"{key}b"), claimed(books, f"{key}b")))
            os._exit(won and not lost)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert not asyncio.run(
            _one(journal, planned(books, f"{key}b"), claimed(books, f"{key}b", "theirs"))
        )
        asyncio.run(journal.aclose())


def test_a_place_in_one_word(tmp_path: Path) -> None:
    """A path is a file's, a URL a database's."""
    assert isinstance(journal_at(tmp_path / "calls.db"), Journal)
    assert isinstance(journal_at("postgresql://me:secret@host/calls"), PostgresJournal)
    assert repr(Journal("calls.db")) == "<Journal the journal calls.db>"
    assert "secret" not in repr(journal_at("postgresql://me:secret@host/calls"))


async def test_a_server_that_was_never_there(tmp_path: Path, books: Books) -> None:
    """A mistake is said at once, and not after the patience of an outage."""
    journal = PostgresJournal(f"host={tmp_path} dbname=calls")
    for _ in range(2):
        with pytest.raises(LedgerError, match="the journal's PostgreSQL cannot be used"):
            async with asyncio.timeout(30):
                await journal.known(planned(books))


async def test_a_claim_waits_for_its_server(own_postgres: Server) -> None:
    """One that is gone, and one that only reads: it is written when it can be."""
    books = Books(own_postgres.where, f"AC{'0' * 32}")
    async with PostgresJournal(own_postgres.where) as journal:
        await asyncio.to_thread(own_postgres.kill)
        swap = asyncio.create_task(journal.swap(planned(books), claimed(books)))
        await asyncio.sleep(0.3)
        assert not swap.done()
        await asyncio.to_thread(own_postgres.start)
        assert await swap

        async def read_only(word: str) -> None:
            async with await psycopg.AsyncConnection.connect(
                own_postgres.where, autocommit=True, options="-c default_transaction_read_only=off"
            ) as server:
                await server.execute(
                    f"ALTER SYSTEM SET default_transaction_read_only = {word}".encode()
                )
                await server.execute("SELECT pg_reload_conf()")

        async def reads_only(connection: psycopg.AsyncConnection[Any]) -> bool:
            cursor = await connection.execute("SHOW default_transaction_read_only")
            return await cursor.fetchone() == {"default_transaction_read_only": "on"}

        await read_only("on")
        while not await journal._session.run(reads_only):  # a server tells its sessions one by one
            pass
        try:
            swap = asyncio.create_task(journal.swap(claimed(books), placed(claimed(books))))
            await asyncio.sleep(0.5)
            assert not swap.done()
        finally:
            await read_only("off")
        assert await swap


async def test_all_who_wait_for_a_server_give_up_together(tmp_path: Path) -> None:
    """A minute after they asked, and not one minute after the other."""
    session = Session(f"host={tmp_path} dbname=calls", greet=None)

    async def work(_connection: object) -> None:
        """Do nothing."""

    asked = [session.run(work, patience=0.4) for _ in range(60)]
    async with asyncio.timeout(15):
        found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in found] == [LedgerError] * 60


async def test_tables_of_another_version(own_postgres: Server) -> None:
    """They are not touched."""
    books = Books(own_postgres.where, f"AC{'0' * 32}")
    async with PostgresJournal(own_postgres.where):
        pass
    books.run("COMMENT ON TABLE conference_async_intent IS 'conference_async 0'")

    with pytest.raises(ConfigurationError, match="the table conference_async_intent is of"):
        async with PostgresJournal(own_postgres.where):
            pass


async def test_what_was_dialled_is_remembered_by_number(books: Books) -> None:
    """So that a call of one intent is not taken for that of another."""
    journal = books.open()
    for key, call in (("order-42", True), ("order-43", False)):
        await journal.swap(planned(books, key), claimed(books, key))
        if call:
            await journal.swap(claimed(books, key), placed(claimed(books, key)))
    found = await journal.remembered(books.account_sid, [TO, "+15558675311"])

    assert {each.call_sid for each in found} == {PLACED.call_sid, None}
    assert {(each.to, each.key) for each in found} == {(TO, ("alice", "standup"))}
