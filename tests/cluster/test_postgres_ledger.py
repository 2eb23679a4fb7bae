"""The ledger in a database keeps the promises of the one in a file."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import attrs
import pytest
from blockbuster import BlockBuster
from psycopg import AsyncConnection

from conference_async.cluster import ClusterDialer, PostgresLedger, SharedCampaign, ledger_at
from conference_async.cluster.assignments import Assignment, request_of
from conference_async.cluster.campaigns import Standing
from conference_async.cluster.postgres_store import PostgresStore
from conference_async.dialer import Campaign, Ledger, Outcome, State
from conference_async.errors import ConfigurationError, LedgerError
from conference_async.models import NewParticipant, Participant

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


async def test_one_execution_claims_a_target(ledger: PostgresLedger) -> None:
    """Of two, one; repeating the write whose answer was lost is no second claim."""
    await ledger.enrol([planned()])
    claims = [planned().claimed(f"t{number}", "p", NOW) for number in range(9)]

    won = await asyncio.gather(*(ledger.swap(planned(), claim) for claim in claims))

    assert won == [True] + [False] * 8
    assert await ledger.swap(planned(), claims[0])


async def test_a_cancelled_write_is_written(ledger: PostgresLedger) -> None:
    """Whoever asked may be gone; the order of what was asked stays."""
    await ledger.enrol([planned()])
    sending = planned().claimed("t", "p", NOW)
    asked = asyncio.create_task(ledger.swap(planned(), sending))
    await asyncio.sleep(0)
    asked.cancel()

    assert await ledger.swap(sending, sending.placed(PLACED, NOW))


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
    """What it asked for meanwhile is done when that is back, and it stays the one writer."""
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


async def test_tables_of_another_version_are_refused(own_postgres: Any, campaign: Campaign) -> None:
    """Whoever writes, reads, works or sets up is told what to do; so is who takes a slot."""
    dsn = own_postgres.where
    database = Database(dsn)
    async with PostgresLedger(dsn) as ledger:
        await ledger.begin(campaign)
    await database.do("COMMENT ON TABLE conference_async_campaign IS 'conference_async 0'")
    told = "is of conference_async 0, .* cluster set-up"
    for use in (PostgresLedger(dsn), SharedCampaign(dsn)):
        with pytest.raises(LedgerError, match=told):
            async with use:
                pass
    with pytest.raises(LedgerError, match=told):
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
        ledger="l",
        outcome=planned(),
        standing=Standing.RUNNING,
        now=NOW,
        changed=NOW,
        request=request_of(new),
    )
    assert assignment.new == attrs.evolve(new, to=planned().to)
