"""A worker's turn by hand: what it claims, calls, puts off, and leaves to others."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import aiohttp
import attrs
import pytest
from blockbuster import BlockBuster
from procrastinate.exceptions import ConnectorException
from psycopg import AsyncConnection, OperationalError

from conference_async import (
    CallingHours,
    ConferenceClient,
    Credentials,
    Outcome,
    Plan,
    PostgresJournal,
    Quorum,
    RetryPolicy,
    State,
)
from conference_async.dialer.calling.decide import Call, Skip, Wait
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.rules.contact_rules import ContactRules
from conference_async.dialer.workers import claims, jobs, recovery, turns
from conference_async.dialer.workers.assignments import Assignment, assignment_of
from conference_async.dialer.workers.attending import attend
from conference_async.dialer.workers.claims import Claims
from conference_async.dialer.workers.queue_connections import QueueConnections
from conference_async.dialer.workers.recovery import Recovery
from conference_async.dialer.workers.shared_campaign import SharedCampaign
from conference_async.dialer.workers.standing import Standing
from conference_async.dialer.workers.turns import Turn
from conference_async.emulator import Fault, Script
from conference_async.errors import LedgerError, NotAuthorized
from conference_async.models import Participant
from conference_async.postgres.session import Session
from tests.conftest import run_sql
from tests.stores.plans import rows_in_vain
from tests.telemetry.conftest import exported_by

if TYPE_CHECKING:
    from tests.workers.conftest import People, Scene

NOW = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
PLACED = Participant(status="queued", call_sid=f"CA{'1' * 32}", conference_sid=f"CF{'2' * 32}")
WORKER = "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg and procrastinate import their parts."""
    no_blocking_calls.deactivate()


async def nobody() -> None:
    """Invite nobody."""


@attrs.define(kw_only=True)
class Desk:
    """A worker's, where the targets of one campaign are dealt with by hand."""

    scene: "Scene"
    plan: Plan
    session: Session
    ledger: PostgresLedger
    client: ConferenceClient
    claims: Claims
    worker: int

    async def do(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Do something to the database; return the rows that it gives."""

        async def work(connection: Any) -> list[dict[str, Any]]:
            cursor = await connection.execute(query, values)
            return await cursor.fetchall() if cursor.description else []

        return await self.session.run(work)

    async def rows(self) -> list[dict[str, Any]]:
        """Return all that is kept of the targets."""
        query = (
            "SELECT *, extract(epoch FROM not_before - clock_timestamp()) AS pause"
            " FROM conference_async_outcome WHERE ledger = %s ORDER BY number"
        )
        return await self.do(query, self.plan.name)

    async def outcome(self, place: int = 0) -> Outcome:
        """Return what the ledger has of a target."""
        return [outcome async for outcome in self.ledger.outcomes()][place]

    async def called(self, place: int = 0) -> Outcome:
        """Write down a target as being called by a worker that is gone; return that."""
        before = await self.outcome(place)
        claim = before.claimed("gone", f"gone-{place}", NOW)
        assert await self.ledger.swap(before, claim)
        return claim

    @property
    def recovery(self) -> Recovery:
        """Return what looks after the account's campaigns."""
        account_sid = self.client.account_sid
        return Recovery(self.session, {account_sid: jobs.queue_of(account_sid)}, stalled=30)

    async def waits(self) -> bool:
        """Look, and return whether there is somebody to call."""
        return self.client.account_sid in (await self.recovery.look()).waiting

    def caller(self) -> jobs.Caller:
        """Return what does the worker's jobs."""
        return jobs.Caller([self.client], self.session, stalled=30, concurrency=10)

    async def long_ago(self) -> None:
        """Let all that was written be written a minute ago."""
        await self.do("UPDATE conference_async_outcome SET changed = now() - interval '1 minute'")

    def turn(self) -> Turn:
        """Return the worker's turn."""
        return Turn(
            self.client,
            self.session,
            self.claims,
            worker=self.worker,
            concurrency=10,
            contacts=PostgresJournal(self.scene.dsn),
            invite=nobody,
        )

    async def one_started(self, turn: Turn) -> "asyncio.Task[None]":
        """Begin a turn; return it when one call is placed, and the others are in line."""
        running = asyncio.create_task(turn.run())
        while (await self.ledger.counts())[State.PLACED] < 1:  # noqa: ASYNC110 -- in a database
            await asyncio.sleep(0.02)
        await self.scene.until(lambda: len(turn._in_line) == 2)
        return running


@attrs.frozen
class HeldSession:
    """Does work on a connection that somebody else commits."""

    connection: Any

    @property
    def dsn(self) -> str:
        """The place of nobody."""
        return "postgresql:///held"

    async def run(self, work: Any, **_: Any) -> Any:
        """Do it."""
        return await work(self.connection)


@pytest.fixture
async def desk(scene: "Scene", people: "People") -> AsyncIterator[Desk]:
    """Return a desk with a campaign of three; a client that calls once in ten seconds."""
    plan = people(3)
    await scene.dialer.submit(plan)
    session = Session(scene.dsn, greet=None)
    await session.open()
    credentials = Credentials(scene.emulator.account_sid, scene.emulator.auth_token)
    async with (
        ConferenceClient(
            credentials,
            base_url=scene.emulator.base_url,
            cps=0.1,
            retry=RetryPolicy(settled=0),
        ) as client,
        PostgresLedger(scene.dsn, name=plan.name, shared=True) as ledger,
    ):
        desk = Desk(
            scene=scene,
            plan=plan,
            session=session,
            ledger=ledger,
            client=client,
            claims=Claims(session, client.account_sid, stalled=30),
            worker=0,
        )
        desk.worker = (await desk.do(WORKER))[0]["id"]
        yield desk
    await session.aclose()


async def test_a_turn_ends_when_there_is_nothing_to_do(desk: Desk) -> None:
    """Whoever begins one for nothing is done at once."""
    await desk.do("UPDATE conference_async_outcome SET state = 'refused'")
    await desk.turn().run()

    assert not desk.scene.emulator.starts


async def test_a_worker_that_stops_hands_back_what_stands_in_line(desk: Desk) -> None:
    """It is planned as before, and at once another worker's."""
    turn = desk.turn()
    running = await desk.one_started(turn)
    turn.stop()
    await running

    assert [row["state"] for row in await desk.rows()] == ["placed", "planned", "planned"]
    assert {row["worker"] for row in await desk.rows()} == {None}
    assert len(desk.scene.emulator.starts) == 1


async def test_a_turn_that_is_cancelled_hands_back_what_stands_in_line(desk: Desk) -> None:
    """However often it is cancelled."""
    running = await desk.one_started(desk.turn())
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})

    assert running.cancelled()
    assert [row["state"] for row in await desk.rows()] == ["placed", "planned", "planned"]
    assert {row["worker"] for row in await desk.rows()} == {None}


async def test_what_another_may_be_calling_is_waited_for(desk: Desk) -> None:
    """Until its worker would be taken for dead; then its label is looked for."""
    await desk.called()
    _, found = await desk.claims.claim(desk.worker, 10)
    assert [each.outcome.state for each in found] == [State.PLANNED] * 2
    await desk.do(
        "UPDATE conference_async_outcome SET worker = NULL, request = NULL WHERE state = 'planned'"
    )

    await desk.long_ago()
    await desk.turn().run()
    assert (await desk.outcome()).state is State.UNKNOWN
    assert not desk.scene.emulator.starts


async def test_what_a_dead_worker_held_is_free(desk: Desk) -> None:
    """Recovered by two at once; those who are alive keep theirs, and the dead claim nothing."""
    alive, first = await desk.claims.claim(desk.worker, 1)
    other = (await desk.do(WORKER))[0]["id"]
    await desk.claims.claim(other, 1)
    await desk.do(
        "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'"
        " WHERE id = %s",
        desk.worker,
    )
    assert alive
    assert len(first) == 1
    assert all(await asyncio.gather(desk.waits(), desk.waits()))
    assert [row["worker"] for row in await desk.rows()] == [None, other, None]
    assert await desk.claims.claim(desk.worker, 3) == (False, [])
    _, taken = await desk.claims.claim(other, 3)
    assert len(taken) == 2


async def test_a_dead_workers_turn_ends(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Others have its targets; it says so."""
    await desk.do("DELETE FROM procrastinate_workers WHERE id = %s", desk.worker)
    with caplog.at_level(logging.DEBUG):
        await desk.turn().run()

    assert "taken for dead" in caplog.text
    assert not desk.scene.emulator.starts


async def test_campaigns_take_turns(desk: Desk, people: "People") -> None:
    """Target by target, those of a higher priority before all others."""
    other, urgent = people(9), people(2)
    await desk.scene.dialer.submit(other)
    await desk.scene.dialer.submit(urgent, priority=1)

    _, first = await desk.claims.claim(desk.worker, 6)
    ledgers = [each.ledger for each in first]
    assert ledgers[:2] == [urgent.name] * 2
    assert {*ledgers[2:4]} == {*ledgers[4:6]} == {desk.plan.name, other.name}


async def test_a_priority_is_that_of_the_last_submission(desk: Desk, people: "People") -> None:
    """What was submitted before goes by it, too."""
    other = people(3)
    await desk.scene.dialer.submit(other, priority=1)
    await desk.scene.dialer.submit(desk.plan, priority=2)

    _, first = await desk.claims.claim(desk.worker, 3)
    assert {each.ledger for each in first} == {desk.plan.name}


async def test_a_campaign_that_is_done_costs_no_look(desk: Desk) -> None:
    """It is taken up again when there is something to call."""
    await desk.do(
        "UPDATE conference_async_outcome SET state = 'refused' WHERE ledger = %s", desk.plan.name
    )
    assert not await desk.waits()
    busy = "SELECT busy FROM conference_async_campaign WHERE ledger = %s"
    assert not (await desk.do(busy, desk.plan.name))[0]["busy"]
    await desk.do(
        "UPDATE conference_async_outcome SET state = 'planned' WHERE ledger = %s", desk.plan.name
    )
    assert await desk.waits()
    assert (await desk.do(busy, desk.plan.name))[0]["busy"]


async def test_a_look_reads_no_more_of_a_large_campaign_than_of_a_small_one(
    own_postgres: Any, scene_on: "Callable[[str], Awaitable[Scene]]", people: "People"
) -> None:
    """Also for a campaign beside it of which nobody is left to call."""
    scene, large, done = await scene_on(own_postgres.where), people(3000), people(1)
    for plan in (done, large):
        await scene.dialer.submit(plan)
    run_sql(
        scene.dsn,
        f"UPDATE conference_async_outcome SET state = 'placed' WHERE ledger = '{done.name}';"
        "ANALYZE conference_async_outcome",
    )
    account_sid = scene.emulator.account_sid
    values = Recovery(Session(scene.dsn, greet=None), {account_sid: "q"}, stalled=30)._values
    async with await AsyncConnection.connect(scene.dsn) as database:
        assert await rows_in_vain(database, recovery._LOOK, values) < 10


async def test_who_is_in_doubt_is_called_again_if_told(desk: Desk) -> None:
    """By another submit that says so, with the label that would clash with a first call."""
    claim = await desk.called()
    await desk.ledger.swap(claim, claim.unknown("nobody knows", NOW))

    await desk.scene.dialer.submit(desk.plan)
    assert (await desk.outcome()).state is State.UNKNOWN
    await desk.scene.dialer.submit(desk.plan, redial_unknown=True)
    assert (await desk.outcome()).state is State.PLANNED
    assert (await desk.outcome()).label == claim.label


async def test_a_quorum_is_settled_when_nobody_is_being_called(desk: Desk) -> None:
    """A call that was being placed when the campaign ended is hung up too, once it rings."""
    claim = await desk.called()
    await desk.scene.dialer.submit(desk.plan, quorum=Quorum(joined=1, deadline=0.001))
    client = desk.client

    async def quorum() -> int | None:
        cursor = await desk.session.run(
            lambda connection: connection.execute(
                "SELECT quorum FROM conference_async_campaign WHERE ledger = %s", (desk.plan.name,)
            )
        )
        left: int | None = (await cursor.fetchone() or {})["quorum"]
        return left

    await attend(client, desk.session, {})
    assert await quorum() == 1
    desk.scene.emulator.script("+15558670000", Script(after=3600))
    ringing = await client.conferences("standup").participants.create(
        from_="+15017122661", to="+15558670000"
    )
    await desk.ledger.swap(claim, claim.placed(ringing, NOW))
    await attend(client, desk.session, {})
    assert await quorum() is None
    assert (await desk.outcome()).reason == "taken down while it rang"
    assert desk.scene.emulator.participants("standup") == []


async def attended(desk: Desk, meanwhile: Callable[[], Awaitable[object]]) -> dict[str, Any]:
    """Let quorums be looked after, and something else happen while it asks who is there."""
    awaited = False

    async def first(*_: object) -> None:
        nonlocal awaited
        if not awaited:
            awaited = True
            await meanwhile()

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(first)
    emulator = desk.scene.emulator
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as session,
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token),
            base_url=emulator.base_url,
            session=session,
        ) as client,
    ):
        await attend(client, desk.session, {})
    assert awaited
    query = (
        "SELECT quorum, ends_at > clock_timestamp() AS goes_on, reason"
        " FROM conference_async_campaign WHERE ledger = %s"
    )
    return (await desk.do(query, desk.plan.name))[0]


async def joined(desk: Desk) -> None:
    """Let the first target be in the conference."""
    claim = await desk.called()
    there = await desk.client.conferences("standup").participants.create(
        from_="+15017122661", to="+15558670000"
    )
    await desk.ledger.swap(claim, claim.placed(there, NOW))
    await desk.scene.until(
        lambda: (
            [each.status for each in desk.scene.emulator.participants("standup")] == ["connected"]
        )
    )


@pytest.mark.parametrize("quorum", [Quorum(joined=1), Quorum(joined=1, deadline=0.001)])
async def test_a_quorum_that_is_submitted_meanwhile_is_waited_for(
    desk: Desk, quorum: Quorum
) -> None:
    """Whether that before is just being reached, or the end that it made is being settled."""
    await joined(desk)
    await desk.scene.dialer.submit(desk.plan, quorum=quorum)

    async def submit() -> None:
        await desk.scene.dialer.submit(desk.plan, quorum=Quorum(joined=2))

    left = await attended(desk, submit)

    assert left == {"quorum": 2, "goes_on": True, "reason": None}


async def test_what_has_ended_goes_on_without_its_quorum(desk: Desk) -> None:
    """Also where workers have not settled yet what was under way."""
    await joined(desk)
    await desk.called(1)
    await desk.scene.dialer.submit(desk.plan, quorum=Quorum(joined=1))
    await attend(desk.client, desk.session, {})
    async with SharedCampaign(f"{desk.scene.dsn}#{desk.plan.name}") as campaign:
        assert (await campaign.standing() or ("",))[0] is Standing.ENDED
        await campaign.resume()
        await attend(desk.client, desk.session, {})
        assert await campaign.standing() == (Standing.RUNNING, None)


async def test_what_cannot_be_looked_up_is_looked_up_later(desk: Desk) -> None:
    """A service that is away says nothing about the call."""
    await desk.called()
    await desk.do("UPDATE conference_async_outcome SET request = NULL WHERE state = 'planned'")
    await desk.long_ago()
    desk.scene.emulator.faults.add(Fault.FAIL_500, times=None, on=None)
    turn = desk.turn()
    running = asyncio.create_task(turn.run())
    while not (await desk.rows())[0]["failures"]:  # noqa: ASYNC110 -- in a database
        await asyncio.sleep(0.05)
    turn.stop()
    await running

    (first, *_) = await desk.rows()
    assert (first["state"], first["worker"]) == ("sending", None)


async def test_a_target_that_comes_back_to_a_cancelled_campaign_is_skipped(desk: Desk) -> None:
    """It was under way when the campaign was given up, and was not sent after all."""
    claim = await desk.called()
    async with SharedCampaign(f"{desk.scene.dsn}#{desk.plan.name}") as campaign:
        assert await campaign.cancel() == 1
    await desk.ledger.swap(claim, claim.not_sent("too late"))
    await desk.turn().run()

    assert (await desk.outcome()).reason == "the campaign was cancelled"
    assert (await desk.ledger.counts())[State.SKIPPED] == 3
    assert len([each async for each in desk.ledger.outcomes(State.SKIPPED)]) == 3
    assert not desk.scene.emulator.starts


async def test_an_account_that_is_refused_pauses_once_what_is_running(
    desk: Desk, people: "People", caplog: pytest.LogCaptureFixture
) -> None:
    """However many calls are refused; a campaign that was given up meanwhile stays so."""
    given_up = people(2)
    await desk.scene.dialer.submit(given_up)
    _, found = await desk.claims.claim(desk.worker, 10)
    async with SharedCampaign(f"{desk.scene.dsn}#{given_up.name}") as campaign:
        await campaign.cancel()
        for each in found:
            await desk.turn()._pause(each.ledger, NotAuthorized("wrong credentials", status=401))
        assert await campaign.standing() == (Standing.CANCELLED, None)
    async with SharedCampaign(f"{desk.scene.dsn}#{desk.plan.name}") as campaign:
        assert await campaign.standing() == (Standing.PAUSED, "wrong credentials")
    assert len(found) == 5
    assert len(caplog.messages) == 1


async def test_a_pause_reaches_those_in_line(desk: Desk) -> None:
    """Their slot comes, and they are not called."""
    _, found = await desk.claims.claim(desk.worker, 3)
    async with SharedCampaign(f"{desk.scene.dsn}#{desk.plan.name}") as campaign:
        assert await campaign.pause() == 0
        turn = desk.turn()
        await turn._work(found[0])
        await turn._give_back()
        assert not desk.scene.emulator.starts
        assert await desk.claims.claim(desk.worker, 3) == (True, [])
        await campaign.resume()
    assert [row["worker"] for row in await desk.rows()] == [None, desk.worker, desk.worker]


async def test_a_pause_waits_for_a_claim_that_is_being_written(desk: Desk) -> None:
    """So what it says is true: whoever saw the campaign running is counted."""
    before = await desk.outcome()
    claim = before.claimed("t", "p", NOW)
    written = asyncio.Event()

    async def slowly(connection: Any) -> None:
        async with connection.transaction():
            held = PostgresLedger.on(HeldSession(connection), desk.plan.name)  # type: ignore[arg-type]  # one that commits late
            assert await held.swap(before, claim)
            written.set()
            await asyncio.sleep(0.5)

    claiming = asyncio.create_task(desk.session.run(slowly))
    await written.wait()
    async with SharedCampaign(f"{desk.scene.dsn}#{desk.plan.name}") as campaign:
        assert await campaign.pause() == 1
    await claiming


async def test_the_hour_may_pass_in_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may no longer be called when the slot comes is not, be it that the machine slept."""
    late = datetime.combine(NOW, time(19, 59, 50), tzinfo=UTC)
    monkeypatch.setattr(turns, "elapsed", partial(next, count(step=11)))

    def at_the_last_moment(row: dict[str, Any]) -> Assignment:
        rules, zones = ContactRules(hours=CallingHours(time(9), time(20))), (ZoneInfo("UTC"),)
        return attrs.evolve(assignment_of(row), now=late, rules=rules, zones=zones)

    monkeypatch.setattr(claims, "assignment_of", at_the_last_moment)
    exported = exported_by()
    desk.client = desk.client.with_options(telemetry=exported.telemetry)
    await desk.turn().run()

    assert {row["state"] for row in await desk.rows()} == {"planned"}
    put_off = {"conference_async.operation": "target", "conference_async.outcome": "put_off"}
    assert {span.status.status_code.name for span in exported.named("call target")} == {"UNSET"}
    assert put_off in [dict(span.attributes or {}) for span in exported.named("call target")]
    assert all(13 * 3600 - 60 < row["pause"] <= 13 * 3600 for row in await desk.rows())
    assert not desk.scene.emulator.starts


async def test_a_client_that_cannot_call_leaves_it_to_others(desk: Desk) -> None:
    """Nothing is said of the targets, which are called later."""
    await desk.client.aclose()
    await desk.turn().run()

    assert {row["state"] for row in await desk.rows()} == {"planned"}
    assert all(50 < row["pause"] <= 60 for row in await desk.rows())


async def test_a_fault_of_ours_does_not_end_the_turn(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The target is put off, and the fault is told without a number."""

    async def fail(self: Turn, found: Assignment) -> Outcome:
        raise RuntimeError(f"no idea what to do with {found.outcome.to}")

    monkeypatch.setattr(Turn, "_done", fail)
    await desk.turn().run()

    assert all(50 < row["pause"] <= 60 for row in await desk.rows())
    assert "no idea what to do with ***0000" in caplog.text


async def test_a_worker_at_its_turn_hands_another_on(desk: Desk) -> None:
    """A little later, for another worker; and at once when it stops."""
    caller = desk.caller()
    await desk.do("DELETE FROM procrastinate_jobs WHERE status = 'todo'")
    running = asyncio.create_task(caller.turn(desk.client.account_sid, desk.worker))
    waiting = (
        "SELECT args, scheduled_at > now() + interval '2 seconds' AS later"
        " FROM procrastinate_jobs WHERE status = 'todo' AND task_name ~ ':turn/'"
    )
    while not await desk.do(waiting):  # noqa: ASYNC110 -- in a database
        await asyncio.sleep(0.02)
    await desk.do("DELETE FROM procrastinate_jobs WHERE status = 'todo'")
    await caller.turn(desk.client.account_sid, desk.worker, 3)
    assert await desk.do(waiting) == [{"args": {"handed_on": 4}, "later": True}]

    await desk.do("DELETE FROM procrastinate_jobs WHERE status = 'todo'")
    caller.stop()
    await running
    assert await desk.do(waiting) == [{"args": {"handed_on": 0}, "later": None}]


async def test_a_turn_that_waits_is_not_made_again(desk: Desk) -> None:
    """Nor tried in vain, which would be an error in the server's log each time."""
    tried = "SELECT last_value FROM procrastinate_jobs_id_seq"
    await jobs.wake(desk.session, desk.client.account_sid)
    before = await desk.do(tried)
    await jobs.wake(desk.session, desk.client.account_sid)
    await jobs.wake(desk.session, desk.client.account_sid, handed_on=2)

    assert await desk.do(tried) == before


async def test_jobs_of_dead_workers_are_cleared_up(desk: Desk) -> None:
    """Ours are made again where there is something to do; another's on our queue is done again."""
    app = QueueConnections().app_on(desk.scene.dsn)
    caller = desk.caller()
    async with app.open_async():
        await app.configure_task("another's", queue=caller.queues[0]).defer_async()
        manager = app.job_manager
        while await manager.fetch_job(queues=caller.queues, worker_id=desk.worker):
            pass
        await desk.do("DELETE FROM procrastinate_workers WHERE id = %s", desk.worker)
        await asyncio.gather(caller.look(app), caller.look(app))
        found = await desk.do(
            "SELECT task_name, status::text FROM procrastinate_jobs WHERE queue_name = %s"
            " ORDER BY 1",
            caller.queues[0],
        )
    ours = f"conference_async:turn/{desk.client.account_sid}"
    assert [tuple(row.values()) for row in found] == [("another's", "todo"), (ours, "todo")]


async def test_dead_workers_are_forgotten_after_a_minute(desk: Desk) -> None:
    """Though no worker starts, when the queue would do so by itself."""
    silent = (
        "INSERT INTO procrastinate_workers (last_heartbeat)"
        " VALUES (now() - make_interval(secs => %s)) RETURNING id"
    )
    known, forgotten = [(await desk.do(silent, each))[0]["id"] for each in (50, 70)]
    app = QueueConnections().app_on(desk.scene.dsn)
    async with app.open_async():
        await desk.caller().look(app)
    workers = {row["id"] for row in await desk.do("SELECT id FROM procrastinate_workers")}
    await desk.do("DELETE FROM procrastinate_workers WHERE id = %s", known)

    assert {known, desk.worker} <= workers
    assert forgotten not in workers


def test_a_failure_of_the_queue_says_what_failed(caplog: pytest.LogCaptureFixture) -> None:
    """Its own errors say no more than that it is the database's, on three lines."""

    def look() -> None:
        raise ConnectorException from OperationalError("the server only reads\nLINE 1: it does")

    with jobs._logged("what is waiting"):
        look()
    assert caplog.messages == ["what is waiting could not be looked up: the server only reads"]


def test_a_failure_to_look_waits_for_the_next_time(caplog: pytest.LogCaptureFixture) -> None:
    """In one line, numbers masked."""

    def look() -> None:
        raise LedgerError("the server is gone, +15558675310")

    with caplog.at_level(logging.WARNING), jobs._logged("who has joined"):
        look()
    assert caplog.messages == ["who has joined could not be looked up: the server is gone, ***5310"]


def test_a_target_is_decided_about_by_the_servers_clock() -> None:
    """And by how long ago that was read; nobody waits for a campaign that is over by then."""
    outcome = Outcome(target="t", to="+15558675310", conference="standup")
    found = Assignment(
        number=1,
        ledger="l",
        outcome=outcome,
        now=NOW,
        request={},
        rules=ContactRules(hours=CallingHours(time(9), time(10))),
        zones=(ZoneInfo("UTC"),),
    )
    reason = "outside calling hours until 01 Feb 09:00 UTC"
    assert found.decision() == Wait(20.5 * 3600, reason)
    assert found.decision(passed=1800) == Wait(20 * 3600, reason)
    assert found.decision(passed=20.6 * 3600) == Call(outcome)
    tomorrow = attrs.evolve(found, ends_at=NOW + timedelta(hours=20))
    assert tomorrow.decision() == Skip(outcome.skipped(reason, NOW))


async def test_a_target_that_a_worker_calls_begins_a_trace(desk: Desk) -> None:
    """With its create below it; a turn may last for days, and draws nothing."""
    exported = exported_by()
    desk.client = desk.client.with_options(telemetry=exported.telemetry)
    turn = desk.turn()
    running = await desk.one_started(turn)
    turn.stop()
    await running

    (target,) = [
        span
        for span in exported.named("call target")
        if (span.attributes or {})["conference_async.outcome"] == "placed"
    ]
    assert target.parent is None
    assert [each.name for each in exported.children(target)] == ["create participant"]


async def test_what_a_worker_has_in_hand_is_measured(desk: Desk) -> None:
    """Of each account, as long as it works."""
    exported, account_sid = exported_by(), desk.client.account_sid
    desk.client = desk.client.with_options(telemetry=exported.telemetry)
    caller = desk.caller()
    with caller.observed():
        running = asyncio.create_task(caller.turn(account_sid, desk.worker))
        while (await desk.ledger.counts())[State.PLACED] < 1:  # noqa: ASYNC110 -- in a database
            await asyncio.sleep(0.02)
        await desk.scene.until(lambda: caller.in_hand() == 2)  # they wait for their slots
        whose = {"conference_async.account_sid": account_sid}
        assert exported.points("conference_async.targets.in_hand") == [(whose, 2)]
        caller.stop()
        await running
    assert exported.points("conference_async.targets.in_hand") == []
