"""The ledger in a database keeps the promises of the one in a file."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, LiteralString

import attrs
import pytest
from blockbuster import BlockBuster
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from conference_async import Ledger, Outcome, State
from conference_async.dialer import Campaign
from conference_async.dialer.ledger.place import ledger_at
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.workers.assignments import Assignment, request_of
from conference_async.dialer.workers.cluster_dialer import ClusterDialer
from conference_async.dialer.workers.shared_campaign import SharedCampaign
from conference_async.errors import ConfigurationError, LedgerError
from conference_async.models import NewParticipant, Participant
from conference_async.pace.postgres import PostgresStore
from tests.conftest import fork

NOW = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
PLACED = Participant(status="queued", call_sid=f"CA{'1' * 32}", conference_sid=f"CF{'2' * 32}")


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg import its parts."""
    no_blocking_calls.deactivate()


def planned(number: int = 1) -> Outcome:
    """Return a target that was never called."""
    to = f"+1555867{number:04d}"
    return Outcome(target=f"standup/{to[1:]}", to=to, conference="standup")


@pytest.fixture
def campaign() -> Campaign:
    """Return a campaign that no other test has."""
    return Campaign(name=uuid.uuid4().hex, account_sid=f"AC{'0' * 32}", total=2)


@pytest.fixture
async def ledger(postgres_server: str, campaign: Campaign) -> AsyncIterator[PostgresLedger]:
    """Return an open ledger that a campaign has begun on."""
    async with PostgresLedger(postgres_server) as ledger:
        await ledger.begin(campaign)
        yield ledger
        await ledger.end()


async def test_targets_are_enrolled_once_and_in_order(ledger: PostgresLedger) -> None:
    """Enrolling again adds what is new, and tells what became of the rest."""
    assert await ledger.enrol([planned(2), planned(1)]) == [planned(2), planned(1)]
    sending = planned(1).claimed("t", "p1", NOW)
    assert await ledger.swap(planned(1), sending)

    assert await ledger.enrol([planned(1), planned(3)]) == [sending, planned(3)]
    assert [each async for each in ledger.outcomes()] == [planned(2), sending, planned(3)]
    assert [each async for each in ledger.outcomes(State.SENDING)] == [sending]
    assert (await ledger.counts())[State.PLANNED] == 2


async def test_the_ledgers_of_an_account_remember_whom_they_called(
    postgres_server: str, ledger: PostgresLedger, campaign: Campaign
) -> None:
    """All of one account's in the database, so that no campaign takes another one's call."""
    await ledger.enrol([planned(1), planned(2)])
    sending = planned(1).claimed("t", "p", NOW)
    await ledger.swap(planned(1), sending)
    placed = sending.placed(PLACED, NOW)
    numbers = [planned(1).to, planned(2).to]
    async with PostgresLedger(postgres_server) as another:
        await another.begin(attrs.evolve(campaign, name=uuid.uuid4().hex))
        assert sending in await another.called(numbers)
        await ledger.swap(sending, placed)
        assert placed in await another.called(numbers)
        assert planned(2) not in await another.called(numbers)
        await another.end()
    async with PostgresLedger(postgres_server) as foreign:
        name, account = uuid.uuid4().hex, f"AC{uuid.uuid4().hex}"
        await foreign.begin(Campaign(name=name, account_sid=account, total=None))
        assert await foreign.called(numbers) == []
        await foreign.end()


async def test_one_execution_claims_a_target(ledger: PostgresLedger) -> None:
    """Of two, one; repeating the write whose answer was lost is no second claim."""
    await ledger.enrol([planned()])
    claims = [planned().claimed(f"t{number}", "p", NOW) for number in range(9)]

    won = await asyncio.gather(*(ledger.swap(planned(), claim) for claim in claims))

    assert won == [True] + [False] * 8
    assert await ledger.swap(planned(), claims[0])


async def test_a_cancelled_write_is_written(ledger: PostgresLedger) -> None:
    """A write whose caller was cancelled is made all the same, in its order."""
    await ledger.enrol([planned()])
    sending = planned().claimed("t", "p", NOW)
    asked = asyncio.create_task(ledger.swap(planned(), sending))
    await asyncio.sleep(0)
    asked.cancel()

    assert await ledger.swap(sending, sending.placed(PLACED, NOW))


async def test_a_state_of_a_newer_version_is_one_clear_error(
    postgres_server: str, ledger: PostgresLedger
) -> None:
    """It is neither called nor passed over in silence."""
    await ledger.enrol([planned()])
    async with await AsyncConnection.connect(postgres_server, autocommit=True) as database:
        await database.execute(
            "UPDATE conference_async_outcome SET state = 'dreaming' WHERE ledger = %s",
            (await ledger.name(),),
        )
    for use in (ledger.counts(), ledger.enrol([planned()]), anext(ledger.outcomes())):
        with pytest.raises(LedgerError, match="'dreaming', which only a newer version"):
            await use


async def test_a_ledger_has_one_writer(
    postgres_server: str, ledger: PostgresLedger, campaign: Campaign
) -> None:
    """A second one is refused until the first ends; reading goes on meanwhile."""
    async with PostgresLedger(postgres_server) as other:
        with pytest.raises(LedgerError, match="is in use"):
            await other.begin(campaign)
        assert await other.campaign() == campaign
        await ledger.end()
        await other.begin(campaign)
        with pytest.raises(LedgerError, match="is in use"):
            await other.begin(campaign)


async def test_a_ledger_belongs_to_one_campaign(
    postgres_server: str, ledger: PostgresLedger, campaign: Campaign
) -> None:
    """Another account, or another plan, is refused under the same name."""
    await ledger.end()
    account = attrs.evolve(campaign, account_sid=f"AC{'1' * 32}")
    for wrong in (account, attrs.evolve(campaign, name="other")):
        async with PostgresLedger(postgres_server, name=campaign.name) as other:
            with pytest.raises(LedgerError, match="this ledger belongs to"):
                await other.begin(wrong)


async def test_the_only_ledger_needs_no_name(own_postgres: Any, campaign: Campaign) -> None:
    """In an empty database there is none; of several, one must be named."""
    async with PostgresLedger(own_postgres.where) as reader:
        assert await reader.campaign() is None
        assert [each async for each in reader.outcomes()] == []
        async with PostgresLedger(own_postgres.where) as writer:
            await writer.begin(campaign)
        assert await reader.campaign() == campaign
        async with PostgresLedger(own_postgres.where, name="second") as writer:
            await writer.begin(campaign)
        with pytest.raises(LedgerError, match="has several ledgers"):
            await reader.campaign()


async def test_a_writer_waits_for_its_server(own_postgres: Any, campaign: Campaign) -> None:
    """A write asked for meanwhile is made when the server is back, by the same one writer."""
    async with PostgresLedger(own_postgres.where) as ledger:
        await ledger.begin(campaign)
        await ledger.enrol([planned()])
        await asyncio.to_thread(own_postgres.kill)
        swap = asyncio.create_task(ledger.swap(planned(), planned().claimed("t", "p", NOW)))
        await asyncio.sleep(0.3)
        assert not swap.done()
        await asyncio.to_thread(own_postgres.start)
        assert await swap
        async with PostgresLedger(own_postgres.where) as other:
            with pytest.raises(LedgerError, match="is in use"):
                await other.begin(campaign)


async def only_reads(connection: "AsyncConnection[DictRow]") -> bool:
    """Return whether a session knows that its server only reads."""
    cursor = await connection.execute("SHOW default_transaction_read_only")
    row = await cursor.fetchone()
    return row is not None and row["default_transaction_read_only"] == "on"


async def test_a_writer_waits_for_a_server_that_only_reads(
    own_postgres: Any, campaign: Campaign
) -> None:
    """It answers, as after a fail-over, but it is not the one that writes: another may be."""
    database = Database(own_postgres.where)
    async with PostgresLedger(own_postgres.where) as ledger:
        await ledger.begin(campaign)
        await ledger.enrol([planned()])
        await database.read_only("on")
        while not await ledger.session.run(only_reads):  # a server tells its sessions one by one
            pass
        try:
            swap = asyncio.create_task(ledger.swap(planned(), planned().claimed("t", "p", NOW)))
            await asyncio.sleep(0.3)
            assert not swap.done()
        finally:
            await database.read_only("off")
        assert await swap


def test_a_ledger_serves_one_event_loop_after_the_other(
    postgres_server: str, campaign: Campaign
) -> None:
    """Closed in between or not."""
    ledger = PostgresLedger(postgres_server)
    sending = planned().claimed("t", "p", NOW)

    async def begin() -> None:
        await ledger.__aenter__()
        await ledger.begin(campaign)
        await ledger.enrol([planned()])

    async def go_on() -> None:
        assert await ledger.swap(planned(), sending)
        await ledger.__aexit__(None, None, None)

    async def again() -> list[Outcome]:
        async with ledger:
            return [outcome async for outcome in ledger.outcomes()]

    asyncio.run(begin())
    asyncio.run(go_on())
    assert asyncio.run(again()) == [sending]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_has_a_connection_of_its_own(postgres_server: str, campaign: Campaign) -> None:
    """It is not the writer that its parent is, and takes nothing of its parent's away."""
    ledger = PostgresLedger(postgres_server)

    async def begin() -> None:
        await ledger.__aenter__()
        await ledger.begin(campaign)
        await ledger.enrol([planned()])

    async def in_the_child() -> None:
        assert [each async for each in ledger.outcomes()] == [planned()]
        with pytest.raises(LedgerError, match="is in use"):
            await ledger.begin(campaign)
        await ledger.session.aclose()

    async def go_on() -> None:
        assert await ledger.swap(planned(), planned().claimed("t", "p", NOW))
        async with PostgresLedger(postgres_server, name=campaign.name) as other:
            with pytest.raises(LedgerError, match="is in use"):
                await other.begin(campaign)
        await ledger.__aexit__(None, None, None)

    with asyncio.Runner() as runner:
        runner.run(begin())
        child = fork(in_the_child)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        runner.run(go_on())


@pytest.mark.parametrize("sign", ["@", "/", "#", "%", ":/@", "@/", "/1@", "@:1@", "\0"])
def test_a_password_that_is_not_quoted_is_never_shown(sign: str) -> None:
    """Half of it would pass for the host, and stand in what the driver says of it."""
    with pytest.raises(ConfigurationError, match="connection string") as caught:
        ledger_at(f"postgresql://me:zq{sign}zq@host/calls")

    assert "zq" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_password_that_is_quoted_is_taken() -> None:
    """A URL with a quoted password is taken, and not shown."""
    for url in ("postgresql://me:p%40s%2F%25%23@host:5432,other/calls", "dbname=calls host=/run"):
        assert repr(PostgresLedger(url, name="n")) == "<PostgresLedger 'n'>"


async def test_a_server_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    """At once, and without the password."""
    with pytest.raises(LedgerError, match="PostgreSQL cannot be used") as caught:
        async with PostgresLedger(f"postgresql://me:secret@/x?host={tmp_path}"):
            pass
    assert "secret" not in str(caught.value)


@attrs.frozen
class Database:
    """Somebody else at the server."""

    dsn: str

    async def do(self, statement: LiteralString) -> None:
        """Do something to it."""
        async with await AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            await connection.execute(statement)

    async def read_only(self, now: Literal["on", "off"]) -> None:
        """Let it answer, but write nothing; or let it write again."""
        await self.do("SET default_transaction_read_only = off")
        statement: LiteralString = f"ALTER SYSTEM SET default_transaction_read_only = {now}"
        await self.do(statement)
        await self.do("SELECT pg_reload_conf()")


async def test_tables_of_another_version_are_refused(own_postgres: Any, campaign: Campaign) -> None:
    """Writing, reading, working, setting up and taking a slot all say what to do."""
    dsn = own_postgres.where
    database = Database(dsn)
    async with PostgresLedger(dsn) as ledger:
        await ledger.begin(campaign)
    await database.do("COMMENT ON TABLE conference_async_campaign IS 'conference_async 0'")
    told = "is of conference_async 0, .* cluster set-up"
    for use in (PostgresLedger(dsn), SharedCampaign(dsn)):
        with pytest.raises(ConfigurationError, match=told):
            async with use:
                pass
    with pytest.raises(LedgerError, match="use the newer of the two"):
        await ClusterDialer.set_up(dsn)

    store = PostgresStore(dsn)
    await store.reserve(cps=30, floor=0)
    await database.do("COMMENT ON TABLE conference_async_pace IS NULL")
    await store.aclose()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="of an unknown version"):
            await store.reserve(cps=30, floor=0)


def test_a_place_says_what_kind_of_ledger_it_is(tmp_path: Path) -> None:
    """A path is a file, a URL a database; behind # stands the ledger's name."""
    assert isinstance(ledger_at(tmp_path / "campaign.db"), Ledger)
    found = ledger_at("postgresql://me:secret@host/calls#my%20plan", name="other")
    assert repr(found) == "<PostgresLedger 'my plan'>"
    with pytest.raises(ConfigurationError, match="must be like"):
        ledger_at("postgresql://host/x?wrong=1")


def test_a_request_survives_the_database() -> None:
    """Every parameter comes back as it was given."""
    new = NewParticipant(
        from_="+15017122661",
        to="+15558675310",
        status_callback="https://example.com/calls",
        status_callback_event="ringing answered",
        beep=False,
        timeout=30,
        extra={"Newer": "1"},
    )
    assignment = Assignment(
        number=1,
        ledger="l",
        outcome=planned(),
        now=NOW,
        request=request_of(new),
    )
    assert assignment.new == attrs.evolve(new, to=planned().to)
