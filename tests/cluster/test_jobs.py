"""One job at a time: what a worker does with it, and what it leaves to be done again."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import attrs
import pytest
from blockbuster import BlockBuster

from conference_async import CallingHours, ConferenceClient, Credentials, Plan, Quorum
from conference_async.cluster import PostgresLedger, SharedCampaign, jobs
from conference_async.cluster.assignments import Assignment, assignment
from conference_async.cluster.campaigns import Standing
from conference_async.cluster.postgres_session import Session
from conference_async.cluster.quorums import attend
from conference_async.dialer import Outcome, State
from conference_async.emulator import Fault, Script
from conference_async.errors import LedgerError
from conference_async.models import Participant

if TYPE_CHECKING:
    from tests.cluster.conftest import People, Scene

NOW = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
PLACED = Participant(status="queued", call_sid=f"CA{'1' * 32}", conference_sid=f"CF{'2' * 32}")


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg and procrastinate import their parts."""
    no_blocking_calls.deactivate()


@attrs.define(kw_only=True)
class Desk:
    """A worker's, where the jobs of one campaign are done by hand."""

    scene: "Scene"
    plan: Plan
    session: Session
    ledger: PostgresLedger
    caller: jobs.Caller
    numbers: list[int]

    async def outcome(self, place: int = 0) -> Outcome:
        """Return what the ledger has of a target."""
        found = await assignment(self.session, self.numbers[place])
        assert found is not None
        return found.outcome

    async def put_off(self, place: int = 0) -> jobs.NotNow:
        """Do a job that is not done; return why, and for how long."""
        with pytest.raises(jobs.NotNow) as caught:
            await self.caller.call(self.numbers[place], 3)
        return caught.value

    async def claim(self, place: int = 0) -> Outcome:
        """Write down a target as being called by a worker that is gone."""
        before = await self.outcome(place)
        claim = before.claimed("gone", f"gone-{place}", NOW)
        assert await self.ledger.swap(before, claim)
        return claim


@pytest.fixture
async def desk(scene: "Scene", people: "People") -> AsyncIterator[Desk]:
    """Return a desk with a campaign of three; a client that calls once in ten seconds."""
    plan = people(3)
    await scene.dialer.submit(plan)
    session = Session(scene.dsn, greet=None)
    await session.open()
    credentials = Credentials(scene.emulator.account_sid, scene.emulator.auth_token)
    async with (
        ConferenceClient(credentials, base_url=scene.emulator.base_url, cps=0.1) as client,
        PostgresLedger(scene.dsn, name=plan.name, shared=True) as ledger,
    ):
        rows = await session.run(
            lambda connection: connection.execute(
                "SELECT number FROM conference_async_outcome WHERE ledger = %s ORDER BY 1",
                (plan.name,),
            )
        )
        numbers = [row["number"] for row in await rows.fetchall()]
        caller = jobs.Caller(client, session, stalled=30)
        yield Desk(
            scene=scene, plan=plan, session=session, ledger=ledger, caller=caller, numbers=numbers
        )
    await session.aclose()


async def test_what_the_ledger_has_forgotten_is_done(desk: Desk) -> None:
    """A job without a target, and one whose target was called, find nothing to do."""
    await desk.caller.call(0, 0)
    await desk.caller.call(desk.numbers[0], 0)
    await desk.caller.call(desk.numbers[0], 0)

    assert len(desk.scene.emulator.starts) == 1


async def test_a_worker_that_stops_hands_back_what_stands_in_line(desk: Desk) -> None:
    """It is planned as before, and at once another worker's."""
    await desk.caller.call(desk.numbers[0], 0)
    waiting = asyncio.create_task(desk.put_off(1))
    await desk.scene.until(lambda: desk.caller._in_line)
    desk.caller.stop()

    assert (await waiting).delay == (await desk.put_off(2)).delay == 0
    assert (await desk.outcome(1)).state is State.PLANNED


async def test_a_job_that_is_cancelled_leaves_the_line(desk: Desk) -> None:
    """The target is planned as before."""
    await desk.caller.call(desk.numbers[0], 0)
    waiting = asyncio.create_task(desk.caller.call(desk.numbers[1], 0))
    await desk.scene.until(lambda: desk.caller._in_line)
    waiting.cancel()
    await asyncio.wait({waiting})

    assert waiting.cancelled()
    assert not desk.caller._in_line
    assert (await desk.outcome(1)).state is State.PLANNED


async def test_what_another_may_be_calling_is_waited_for(desk: Desk) -> None:
    """Until its worker would be taken for dead; then its label is looked for."""
    await desk.claim()
    assert 29 < (await desk.put_off()).delay <= 31

    desk.caller._stalled = 0
    await desk.caller.call(desk.numbers[0], 0)
    assert (await desk.outcome()).state is State.UNKNOWN
    assert not desk.scene.emulator.starts


async def test_who_is_in_doubt_is_called_again_if_told(desk: Desk) -> None:
    """By another submit that says so, with the label that would clash with a first call."""
    claim = await desk.claim()
    await desk.ledger.swap(claim, claim.unknown("nobody knows", NOW))

    await desk.scene.dialer.submit(desk.plan)
    assert (await desk.outcome()).state is State.UNKNOWN
    await desk.scene.dialer.submit(desk.plan, redial_unknown=True)
    assert (await desk.outcome()).state is State.PLANNED
    assert (await desk.outcome()).label == claim.label


async def test_a_quorum_is_settled_when_nobody_is_being_called(desk: Desk) -> None:
    """Who was being called when the campaign ended is hung up on as well, once they ring."""
    claim = await desk.claim()
    await desk.scene.dialer.submit(desk.plan, quorum=Quorum(joined=1, deadline=0.001))
    client = desk.caller._client

    async def quorum() -> int | None:
        cursor = await desk.session.run(
            lambda connection: connection.execute(
                "SELECT quorum FROM conference_async_campaign WHERE ledger = %s", (desk.plan.name,)
            )
        )
        left: int | None = (await cursor.fetchone() or {})["quorum"]
        return left

    await attend(client, desk.session)
    assert await quorum() == 1
    desk.scene.emulator.script("+15558670000", Script(after=3600))
    ringing = await client.conferences("standup").participants.create(
        from_="+15017122661", to="+15558670000"
    )
    await desk.ledger.swap(claim, claim.placed(ringing, NOW))
    await attend(client, desk.session)
    assert await quorum() is None
    assert (await desk.outcome()).reason == "taken down while it rang"
    assert desk.scene.emulator.participants("standup") == []


async def test_what_cannot_be_looked_up_is_looked_up_later(desk: Desk) -> None:
    """A service that is away says nothing about the call."""
    await desk.claim()
    desk.caller._stalled = 0
    desk.scene.emulator.faults.add(Fault.FAIL_500, times=None, on=None)

    assert (await desk.put_off()).delay == 8
    assert (await desk.outcome()).state is State.SENDING


async def test_a_target_that_comes_back_to_a_cancelled_campaign_is_skipped(desk: Desk) -> None:
    """It was under way when the campaign was given up, and was not sent after all."""
    claim = await desk.claim()
    async with SharedCampaign(f"{desk.scene.dsn}#{desk.plan.name}") as campaign:
        await campaign.cancel()
    await desk.ledger.swap(claim, claim.not_sent("too late"))

    await desk.caller.call(desk.numbers[0], 0)
    assert (await desk.outcome()).reason == "the campaign was cancelled"


async def test_a_pause_reaches_those_in_line(desk: Desk) -> None:
    """Their slot comes, and they are not called."""
    async with SharedCampaign(f"{desk.scene.dsn}#{desk.plan.name}") as campaign:

        async def paused_meanwhile(session: Session, number: int) -> Assignment | None:
            found = await assignment(session, number)
            await campaign.pause()
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jobs, "assignment", paused_meanwhile)
            assert "another program changed the ledger" in str(await desk.put_off())
        assert str(await desk.put_off()) == "the campaign is paused"
    assert not desk.scene.emulator.starts


async def test_the_hour_may_pass_in_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may no longer be called when the slot comes is not."""
    late = datetime.combine(NOW, time(19, 59, 59, 999_999), tzinfo=UTC)

    async def at_the_last_moment(session: Session, number: int) -> Assignment | None:
        found = await assignment(session, number)
        assert found is not None
        hours, zones = CallingHours(time(9), time(20)), (ZoneInfo("UTC"),)
        return attrs.evolve(found, now=late, hours=hours, zones=zones)

    monkeypatch.setattr(jobs, "assignment", at_the_last_moment)

    assert str(await desk.put_off()).startswith("outside calling hours until 01 Feb 09:00")
    assert (await desk.outcome()).state is State.PLANNED
    assert not desk.scene.emulator.starts


async def test_a_client_that_cannot_call_leaves_it_to_others(desk: Desk) -> None:
    """Nothing is said of the target, which is called later."""
    await desk.caller._client.aclose()

    assert (await desk.put_off()).delay == 60
    assert (await desk.outcome()).state is State.PLANNED


async def test_two_who_recover_a_job_do_it_once(desk: Desk) -> None:
    """The second finds it recovered, and goes on."""
    app = jobs.app_on(desk.scene.dsn)
    async with app.open_async():
        gone = await app.job_manager.register_worker()
        taken = await app.job_manager.fetch_job(queues=[desk.caller.queue], worker_id=gone)
        assert taken is not None
        desk.caller._stalled = 0
        await app.job_manager.update_heartbeat(gone)
        await asyncio.gather(desk.caller.recover(app), desk.caller.recover(app))
        again = await app.job_manager.fetch_job(queues=[desk.caller.queue], worker_id=gone)
    assert again is not None


def test_a_failure_to_look_waits_for_the_next_time(caplog: pytest.LogCaptureFixture) -> None:
    """In one line, numbers masked."""

    def look() -> None:
        raise LedgerError("the server is gone, +15558675310")

    with caplog.at_level(logging.WARNING), jobs._logged("who has joined"):
        look()
    assert caplog.messages == ["who has joined could not be looked up: the server is gone, ***5310"]


async def test_submitting_to_a_server_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    """Also where the queue is what asks for it."""
    with pytest.raises(LedgerError, match="PostgreSQL cannot be used"):
        await jobs.enqueue(f"postgresql://me@/x?host={tmp_path}", "standup")


def test_a_wait_that_outlasts_the_campaign_is_endless() -> None:
    """Without an end it is as long as it is."""
    found = Assignment(
        ledger="l",
        outcome=Outcome(target="t", to="+15558675310", conference="standup"),
        standing=Standing.RUNNING,
        now=NOW,
        changed=NOW,
        request={},
        hours=CallingHours(time(9), time(10)),
        zones=(ZoneInfo("UTC"),),
    )
    assert found.wait()[0] == 20.5 * 3600
    assert found.wait(passed=1800)[0] == 20 * 3600
    tomorrow = attrs.evolve(found, ends_at=NOW + timedelta(hours=20))
    assert tomorrow.wait()[0] == float("inf")
