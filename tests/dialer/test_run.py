"""Running a campaign against the emulator: mostly in virtual time, always over real sockets."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from conference_async import (
    CallingHours,
    ConferenceClient,
    CreateLimit,
    Credentials,
    Dialer,
    Ledger,
    Outcome,
    Plan,
    RetryPolicy,
    State,
    Unpaced,
)
from conference_async.dialer import Campaign
from conference_async.dialer.calling import execution
from conference_async.dialer.local.run import window
from conference_async.emulator import Emulator, Fault, Script
from conference_async.errors import (
    ConfigurationError,
    InvalidParameter,
    LedgerError,
    NotAuthorized,
    NotSent,
)
from conference_async.models import NewParticipant
from conference_async.pace.line import Priority

OURS = "+15017122661"


def person(number: int, label: str | None = None) -> NewParticipant:
    """Return a request for a made-up number."""
    return NewParticipant(from_=OURS, to=f"+1555{number:07d}", label=label)


def standup(participants: int | Iterable[NewParticipant]) -> Plan:
    """Return a plan that calls people into rooms of the stand-up."""
    if isinstance(participants, int):
        participants = [person(number) for number in range(participants)]
    return Plan.from_participants(participants, conference="standup", room_size=200)


async def outcomes(dialer: Dialer, plan: Plan) -> list[Outcome]:
    """Run a plan to its end."""
    return [outcome async for outcome in dialer.run(plan)]


def states(found: Iterable[Outcome]) -> list[State]:
    """Return in which states targets ended, in the order of their numbers."""
    return [outcome.state for outcome in sorted(found, key=lambda outcome: outcome.to)]


async def in_ledger(ledger: Ledger) -> list[State]:
    """Return in which states the ledger has its targets."""
    async with ledger:
        return states([outcome async for outcome in ledger.outcomes()])


@pytest.mark.looptime
@pytest.mark.parametrize("durable", [False, True])
async def test_90_targets_at_30_cps_take_89_thirtieths(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path, *, durable: bool
) -> None:
    """Every slot of the account is used, also with a write to the disk before each call."""
    ledger = Ledger(tmp_path / "campaign.db" if durable else None)

    found = await outcomes(Dialer(client, ledger=ledger), standup(90))

    assert emulator.starts[-1] - emulator.starts[0] == pytest.approx(89 / 30, abs=1e-3)
    assert {outcome.state for outcome in found} == {State.PLACED}
    assert set(emulator.ring_counts.values()) == {1}
    assert len(found) == len(emulator.ring_counts) == 90


@pytest.mark.soak  # a busy machine may stall this process
async def test_the_rate_holds_on_the_wall_clock(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path
) -> None:
    """Five seconds at 30 CPS, and not much more than what the machine stalls."""
    loop, late = asyncio.get_running_loop(), 0.0

    async def watch() -> None:
        """Measure for how long it stalls."""
        nonlocal late
        while True:
            due = loop.time() + 0.01
            await asyncio.sleep(0.01)
            late += loop.time() - due

    watching, began = asyncio.create_task(watch()), loop.time()
    await outcomes(Dialer(client, ledger=Ledger(tmp_path / "campaign.db")), standup(151))
    watching.cancel()

    # From before the first start, which may be noted late.
    assert 4.9 <= emulator.starts[-1] - began < 6 + 2 * late


@pytest.mark.looptime
async def test_running_again_calls_nobody_again(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path
) -> None:
    """With the same ledger, whoever runs it; and new targets are called."""
    path = tmp_path / "campaign.db"
    first = await outcomes(Dialer(client, ledger=Ledger(path)), standup(3))

    second = await outcomes(Dialer(client, ledger=Ledger(path)), standup(5))

    assert [len(first), len(second)] == [3, 2]
    assert set(emulator.ring_counts.values()) == {1}
    assert len(emulator.ring_counts) == 5


@pytest.mark.looptime
async def test_a_dialler_without_a_ledger_remembers_its_runs(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """It calls nobody twice either, for as long as it lives."""
    dialer = Dialer(client)
    await outcomes(dialer, standup(3))

    assert await outcomes(dialer, standup(3)) == []
    assert repr(dialer) == "<Dialer idle on <Ledger the temporary ledger>>"


@pytest.mark.looptime
async def test_an_outcome_tells_the_call(emulator: Emulator, client: ConferenceClient) -> None:
    """Its SIDs, its label and its times are those of the service and of the clock given."""
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    dialer = Dialer(client, clock=lambda: now)

    (outcome,) = await outcomes(dialer, standup([person(1)]))

    call = emulator.call(outcome.call_sid or "")
    assert (call.room.sid, call.label) == (outcome.conference_sid, outcome.label)
    assert call.room.friendly_name == outcome.conference == "standup-1"
    assert (outcome.attempts, outcome.sent_at, outcome.ended_at) == (1, now, now)
    assert outcome.target == "standup/15550000001"


@pytest.mark.looptime
async def test_labels_of_the_caller_are_kept(emulator: Emulator, client: ConferenceClient) -> None:
    """And a clash with somebody else's is a refusal, not a find."""
    await client.conferences("standup-1").participants.create(person(9, "bob"))

    found = await outcomes(Dialer(client), standup([person(1, "alice"), person(2, "bob")]))

    assert states(found) == [State.PLACED, State.REFUSED]
    assert sorted(outcome.label or "" for outcome in found) == ["alice", "bob"]


@pytest.mark.looptime
async def test_what_the_service_refuses_is_refused(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Once and for all: the next run does not call it either, and the rest is placed."""
    emulator.faults.add(Fault.LABEL_CLASH, to="+15550000001")
    emulator.faults.add(Fault.FAIL_503, on="fetch", times=None)
    plan = Plan.from_participants([person(0), person(1, "bob")], conference="standup")
    dialer = Dialer(client)

    found = await outcomes(dialer, plan)

    assert states(found) == [State.PLACED, State.REFUSED]
    assert "16026" in (max(found, key=lambda outcome: outcome.to).reason or "")
    assert await outcomes(dialer, plan) == []


@pytest.mark.looptime
async def test_what_was_placed_without_an_answer_is_found(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """By its label, and said so."""
    emulator.faults.add(Fault.RESET_AFTER)

    (outcome,) = await outcomes(Dialer(client), standup(1))

    assert (outcome.state, outcome.reason) == (State.PLACED, "found by its label")


@pytest.mark.looptime
async def test_what_stays_unknown_is_listed_and_not_called_again(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Only a person may decide to; then it carries the same label, so both cannot be there."""
    emulator.faults.add(Fault.RESET_BEFORE)
    plan, ledger = standup(1), Ledger()

    (unknown,) = await outcomes(Dialer(client, ledger=ledger), plan)
    again = await outcomes(Dialer(client, ledger=ledger), plan)
    (told,) = await outcomes(Dialer(client, ledger=ledger, redial_unknown=True), plan)

    assert (unknown.state, again) == (State.UNKNOWN, [])
    assert (told.state, told.attempts, told.label) == (State.PLACED, 2, unknown.label)
    assert emulator.rings("+15550000000") == 1


@pytest.mark.looptime
async def test_calling_again_finds_who_was_there_all_along(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """The service refuses the second call by its label, and the first one is taken for it."""
    emulator.faults.add(Fault.RESET_AFTER)
    emulator.faults.add(Fault.FAIL_503, on="conferences.list", times=10)
    emulator.faults.add(Fault.FAIL_503, on="calls.list", times=5)
    plan, ledger = standup(1), Ledger()
    hasty = client.with_options(retry=RetryPolicy(attempts=1))

    (unknown,) = await outcomes(Dialer(hasty, ledger=ledger), plan)
    (told,) = await outcomes(Dialer(client, ledger=ledger, redial_unknown=True), plan)

    assert unknown.state is State.UNKNOWN
    assert (told.state, told.reason) == (State.PLACED, "found by its label")
    assert emulator.rings("+15550000000") == 1


@pytest.mark.looptime
async def test_reconciling_asks_and_calls_nobody(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """An unknown call can be found later, as long as it lasts."""
    emulator.faults.add(Fault.RESET_AFTER)
    emulator.faults.add(Fault.FAIL_503, on="conferences.list", times=10)
    emulator.faults.add(Fault.FAIL_503, on="calls.list", times=5)
    ledger = Ledger()
    hasty = client.with_options(retry=RetryPolicy(attempts=1))
    (unknown,) = await outcomes(Dialer(hasty, ledger=ledger), standup(1))

    found = [outcome async for outcome in Dialer(client, ledger=ledger).reconcile()]

    assert unknown.state is State.UNKNOWN
    assert states(found) == [State.PLACED]
    assert emulator.count("create") == 1
    assert [outcome async for outcome in Dialer(client).reconcile()] == []


@pytest.mark.looptime
async def test_a_service_that_cannot_be_asked_decides_nothing(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path
) -> None:
    """A create that an earlier run left in flight stays so, for the next run to ask again."""
    ledger = Ledger(tmp_path / "campaign.db")
    await left_in_flight(ledger, client)
    emulator.faults.add(Fault.FAIL_503, on="conferences.list", times=5)

    (undecided,) = await outcomes(Dialer(client, ledger=ledger), standup(1))
    (unknown,) = await outcomes(Dialer(client, ledger=ledger), standup(1))

    assert undecided.state is State.SENDING
    assert "could not be looked up" in (undecided.reason or "")
    assert unknown.state is State.UNKNOWN
    assert emulator.count("create") == 0


async def left_in_flight(ledger: Ledger, client: ConferenceClient) -> Outcome:
    """Leave the first target of the stand-up as a killed run may: about to be sent."""
    async with ledger:
        await ledger.begin(Campaign(name="standup", account_sid=client.account_sid))
        target = Outcome(target="standup/15550000000", to="+15550000000", conference="standup-1")
        await ledger.enrol([target])
        sending = target.claimed("token", "label", datetime(2026, 1, 31, tzinfo=UTC))
        await ledger.swap(target, sending)
        await ledger.end()
    return sending


@pytest.mark.looptime
async def test_stop_is_heard_while_labels_are_looked_up(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """At once, and before anybody is called; the next run looks again."""
    ledger = Ledger()
    await left_in_flight(ledger, client)
    dialer = Dialer(client, ledger=ledger)
    emulator.latency = 5
    loop = asyncio.get_running_loop()
    loop.call_later(1, dialer.stop)

    assert await outcomes(dialer, standup(9)) == []

    assert loop.time() == pytest.approx(1, abs=0.1)
    assert emulator.count("create") == 0
    async with ledger:
        assert (await ledger.counts())[State.SENDING] == 1


@pytest.mark.looptime
async def test_what_the_service_was_too_busy_for_is_repeated(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """With the same label and the same claim: it is one attempt at calling somebody."""
    emulator.faults.add(Fault.TOO_MANY)

    (outcome,) = await outcomes(Dialer(client), standup(1))

    assert emulator.count("create") == 2
    assert (outcome.state, outcome.attempts) == (State.PLACED, 1)


@pytest.mark.looptime
@pytest.mark.parametrize("code", [10004, 16021])
async def test_a_full_account_is_waited_for(
    emulator: Emulator, client: ConferenceClient, code: int
) -> None:
    """An account that allows two calls: all ten targets are called, once, in the same run."""
    emulator.max_live, emulator.max_live_code = 2, code
    emulator.script("", Script(after=1, hang_up_after=20))

    found = await outcomes(Dialer(client, retries=0), standup(10))

    assert set(states(found)) == {State.PLACED}
    assert set(emulator.ring_counts.values()) == {1}
    assert len(emulator.ring_counts) == 10
    # 21 seconds each, five after one another, and ten seconds at most until that is noticed.
    assert 4 * 21 <= emulator.starts[-1] - emulator.starts[0] <= 4 * 31
    # Nobody storms the account: a few ask each time, and less and less often.
    assert emulator.count("create") - 10 <= 4 * 36


@pytest.mark.looptime
async def test_a_full_conference_delays_its_own_targets_only(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Those of another conference are called meanwhile, and the others when somebody has left."""
    emulator.script("5550000000", Script(hang_up_after=60))
    small = [attrs.evolve(person(number), max_participants=2) for number in range(4)]
    dialer = Dialer(client)
    plan = Plan.from_participants(small, conference="small")
    async with asyncio.TaskGroup() as group:
        run = group.create_task(outcomes(dialer, plan))
        await asyncio.sleep(40)
        assert len(emulator.ring_counts) == 2
        elsewhere = Plan.from_participants([person(7)], conference="other")
        await outcomes(Dialer(client), elsewhere)
        assert len(emulator.ring_counts) == 3
        await asyncio.sleep(40)
        emulator.hang_up("+15550000001")

    assert states(run.result()) == [State.PLACED] * 4
    assert set(emulator.ring_counts.values()) == {1}


@pytest.mark.looptime
async def test_no_room_is_waited_for_a_quarter_of_an_hour(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Then the run ends; what it leaves is planned, and the next run calls it."""
    emulator.max_live = 1
    dialer, loop = Dialer(client), asyncio.get_running_loop()
    began = loop.time()

    found = await outcomes(dialer, standup(3))

    assert states(found).count(State.PLANNED) == 2
    assert all("16021" in str(each.reason) for each in found if each.state is State.PLANNED)
    assert 900 < loop.time() - began < 930
    emulator.max_live = None
    assert states(await outcomes(dialer, standup(3))) == [State.PLACED] * 2


@pytest.mark.looptime
async def test_a_deadline_ends_the_wait_for_room(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Whoever is not called by then stays planned."""
    emulator.max_live = 1
    loop = asyncio.get_running_loop()
    began = loop.time()

    ledger = Ledger(None)

    found = await outcomes(Dialer(client, ledger=ledger, deadline=30), standup(3))

    assert states(found) == [State.PLACED]
    assert sorted(await in_ledger(ledger)) == [State.PLACED, State.PLANNED, State.PLANNED]
    assert loop.time() - began < 31


class BrokenLimit(Unpaced):
    """A shared limit whose store is gone, the first time."""

    def __init__(self, error: Exception) -> None:
        self.errors = [error]

    @asynccontextmanager
    async def turn(self, priority: Priority, ticket: int) -> AsyncGenerator[Unpaced, None]:  # noqa: ARG002 -- the protocol's signature
        """Fail once."""
        if self.errors:
            raise self.errors.pop()
        yield self


@pytest.mark.looptime
async def test_a_limit_that_cannot_be_asked_delays_a_call(emulator: Emulator) -> None:
    """Nothing was sent or written, so it is tried again; what cannot be mended ends the run."""
    credentials = Credentials(emulator.account_sid, emulator.auth_token)
    gone, broken = BrokenLimit(NotSent("no store")), BrokenLimit(ConfigurationError("no limit"))
    async with ConferenceClient(credentials, base_url=emulator.base_url, limit=gone) as client:
        (outcome,) = await outcomes(Dialer(client), standup(1))
    async with ConferenceClient(credentials, base_url=emulator.base_url, limit=broken) as client:
        with pytest.raises(ConfigurationError, match="no limit"):
            await outcomes(Dialer(client), standup(1))

    assert (outcome.state, outcome.attempts) == (State.PLACED, 1)
    assert emulator.count("create") == 1


@pytest.mark.looptime
async def test_what_could_not_be_sent_is_called_later_in_the_same_run(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """The service is gone for half a minute: nobody is lost, and nobody called twice."""
    dialer = Dialer(client.with_options(retry=RetryPolicy(attempts=1)))

    async with asyncio.TaskGroup() as group:
        run = group.create_task(outcomes(dialer, standup(100)))
        await asyncio.sleep(1)
        await emulator.restart(downtime=30)

    assert set(states(run.result())) <= {State.PLACED, State.UNKNOWN}
    assert len(run.result()) == 100
    assert states(run.result()).count(State.UNKNOWN) <= 1
    assert set(emulator.ring_counts.values()) == {1}


@pytest.mark.looptime
async def test_what_cannot_be_sent_at_all_stays_planned(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """After some tries the run ends, and the next one has it all to do."""
    await emulator.stop_listening()
    dialer = Dialer(client.with_options(retry=RetryPolicy(attempts=1)), retries=2)

    found = await outcomes(dialer, standup(2))

    assert states(found) == [State.PLANNED, State.PLANNED]
    assert all("nothing was sent" in (outcome.reason or "") for outcome in found)
    assert [outcome.attempts for outcome in found] == [0, 0]
    await emulator.start_listening()
    assert states(await outcomes(dialer, standup(2))) == [State.PLACED, State.PLACED]


@pytest.mark.looptime
async def test_credentials_that_do_not_work_end_the_run(emulator: Emulator) -> None:
    """Before they have refused everybody: all are still planned."""
    ledger = Ledger()
    async with ConferenceClient(
        Credentials(emulator.account_sid, "wrong"), base_url=emulator.base_url, limit=Unpaced()
    ) as client:
        with pytest.raises(NotAuthorized):
            await outcomes(Dialer(client, ledger=ledger), standup(100))

    assert set(await in_ledger(ledger)) == {State.PLANNED}


@pytest.mark.looptime
async def test_bad_plans_and_busy_ledgers_call_nobody(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path
) -> None:
    """One clear error each, before anything is sent."""
    path = tmp_path / "people.csv"
    write(path, "to\n5558675310\n")
    ledger = Ledger(tmp_path / "campaign.db")
    plan = Plan.from_csv(path, conference="standup", from_=OURS)

    with pytest.raises(InvalidParameter, match="row 2: to: the number has no"):
        await outcomes(Dialer(client, ledger=ledger), plan)
    await outcomes(Dialer(client, ledger=ledger), standup(1))
    retro = Plan.from_participants([person(2)], conference="retro")
    with pytest.raises(LedgerError, match="belongs to the campaign 'standup', not to 'retro'"):
        await outcomes(Dialer(client, ledger=ledger), retro)
    reader = Ledger(tmp_path / "campaign.db", read_only=True)
    with pytest.raises(LedgerError, match="for reading only"):
        await outcomes(Dialer(client, ledger=reader), standup(2))
    assert emulator.count("create") == 1


def write(path: Path, text: str) -> None:
    """Make a file."""
    path.write_text(text)


@pytest.mark.looptime
async def test_a_disk_that_fills_up_ends_the_run_before_the_next_call(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path
) -> None:
    """Nobody is called who is not written down, and nobody twice when there is room again."""
    ledger = Ledger(tmp_path / "campaign.db")
    people = [person(number, f"{'label' * 20}{number}") for number in range(150)]
    plan = Plan.from_participants(people, conference="standup")

    async def pages(number: int) -> None:
        await ledger._do(lambda each: each.execute(f"PRAGMA max_page_count = {number}"))

    async with ledger:
        await pages(14)
        with pytest.raises(LedgerError, match="database or disk is full; nothing more is dialled"):
            await outcomes(Dialer(client, ledger=ledger), plan)
        called = len(emulator.ring_counts)
        await pages(1000)
        await outcomes(Dialer(client, ledger=ledger), plan)

    assert 0 < called < 150
    assert set(emulator.ring_counts.values()) == {1}
    assert len(emulator.ring_counts) == 150


async def test_a_plan_that_breaks_off_ends_the_run_in_good_order(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """The targets read before the plan's error are called, and the error is raised."""

    async def queue() -> AsyncIterator[NewParticipant]:
        yield person(1)
        while not emulator.starts:  # noqa: ASYNC110 -- the emulator tells nobody
            await asyncio.sleep(0.01)
        raise ZeroDivisionError

    ledger = Ledger()
    with pytest.raises(ZeroDivisionError):
        await outcomes(Dialer(client, ledger=ledger), standup_queue(queue()))
    assert await in_ledger(ledger) == [State.PLACED]


def standup_queue(source: AsyncIterator[NewParticipant]) -> Plan:
    """Return a plan that is fed as it runs."""
    return Plan.from_participants(source, conference="standup")


@pytest.mark.looptime
async def test_a_queue_is_called_as_it_is_filled(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Nothing waits for a batch to fill up."""

    async def queue() -> AsyncIterator[NewParticipant]:
        for number in range(3):
            yield person(number)
            await asyncio.sleep(10)

    began = asyncio.get_running_loop().time()
    await outcomes(Dialer(client), standup_queue(queue()))

    assert [start - began for start in emulator.starts] == pytest.approx([0, 10, 20], abs=0.01)


@pytest.mark.looptime
async def test_a_slow_consumer_slows_the_run_down(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """No more are under way, or done and not taken, than the window holds."""
    async with aclosing(Dialer(client).run(standup(190))) as run:
        await anext(run)
        await asyncio.sleep(60)

        assert len(emulator.starts) == window(30) + 1 == 111
        rest = [outcome async for outcome in run]
    assert len(rest) == 189


@pytest.mark.looptime
async def test_leaving_the_loop_stops_the_run(emulator: Emulator, client: ConferenceClient) -> None:
    """Creates under way are finished and written down; the rest stays planned."""
    ledger = Ledger()
    emulator.latency = 1.0
    async with aclosing(Dialer(client, ledger=ledger).run(standup(150))) as run:
        async for _ in run:
            break

    counted = await in_ledger(ledger)
    assert counted.count(State.PLACED) == len(emulator.starts) < 150
    assert set(counted) == {State.PLACED, State.PLANNED}


@pytest.mark.looptime
async def test_stop_finishes_what_is_under_way(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """It starts nothing more, and the next run goes on from there."""
    emulator.latency = 0.5
    dialer = Dialer(client)
    loop = asyncio.get_running_loop()
    found = []
    loop.call_later(1 + 1 / 60, dialer.stop)
    began = loop.time()

    found = await outcomes(dialer, standup(60))

    assert states(found) == [State.PLACED] * 31
    assert max(emulator.starts) - began < 1 + 1 / 30
    assert len(found) + len(await outcomes(dialer, standup(60))) == 60
    assert set(emulator.ring_counts.values()) == {1}
    dialer.stop()


async def test_a_run_can_be_stopped_from_its_beginning(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path
) -> None:
    """Also while a long file is still being checked: nobody is called who was not meant to be."""
    people = tmp_path / "people.csv"
    people.write_text("to\n" + "".join(f"+1555867{number:04d}\n" for number in range(2000)))
    dialer = Dialer(client)
    plan = Plan.from_csv(people, conference="standup", from_="+15017122661", room_size=250)
    run = asyncio.create_task(outcomes(dialer, plan))
    await asyncio.sleep(0)
    dialer.stop()

    assert await run == []
    assert emulator.starts == []


@pytest.mark.looptime
async def test_pause_holds_and_resume_goes_on(emulator: Emulator, client: ConferenceClient) -> None:
    """Not one call starts meanwhile, and an interactive one is not kept waiting."""
    dialer = Dialer(client)
    loop = asyncio.get_running_loop()
    run = asyncio.create_task(outcomes(dialer, standup(60)))
    await asyncio.sleep(1.01)
    dialer.pause()
    await asyncio.sleep(0.2)
    paused = len(emulator.starts)
    await asyncio.sleep(9)

    assert len(emulator.starts) == paused
    assert repr(dialer).startswith("<Dialer paused")
    before = loop.time()
    await client.conferences("interactive").participants.create(person(999))
    assert loop.time() == pytest.approx(before, abs=0.01)
    dialer.resume()
    assert repr(dialer).startswith("<Dialer running")
    assert states(await run) == [State.PLACED] * 60
    assert set(emulator.ring_counts.values()) == {1}


@pytest.mark.looptime
async def test_a_campaign_lets_interactive_calls_pass(emulator: Emulator) -> None:
    """However long it runs, one call of it passes at most: the one whose turn it is."""
    credentials = Credentials(emulator.account_sid, emulator.auth_token)
    async with ConferenceClient(
        credentials, base_url=emulator.base_url, limit=CreateLimit(1)
    ) as client:
        loop = asyncio.get_running_loop()
        run = asyncio.create_task(outcomes(Dialer(client), standup(30)))
        await asyncio.sleep(10.5)
        began = loop.time()
        await client.conferences("interactive").participants.create(person(999))

        assert loop.time() - began <= 1.51
        assert len(await run) == 30


@pytest.mark.looptime
async def test_a_dialler_that_is_paused_waits_to_be_told(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Paused before it runs, it calls nobody; stopped, it ends."""
    dialer = Dialer(client)
    dialer.pause()
    run = asyncio.create_task(outcomes(dialer, standup(3)))
    await asyncio.sleep(10)
    with pytest.raises(ConfigurationError, match="running already"):
        await outcomes(dialer, standup(3))
    dialer.stop()

    assert await run == []
    assert len(emulator.starts) == 0


def test_a_dialler_serves_one_event_loop_after_the_other() -> None:
    """Paused in each of them, and waiting there."""
    dialer = Dialer(ConferenceClient(Credentials(f"AC{'0' * 32}", "token"), limit=Unpaced()))

    async def paused() -> list[Outcome]:
        dialer.pause()
        asyncio.get_running_loop().call_later(0.05, dialer.stop)
        return await outcomes(dialer, standup(3))

    assert asyncio.run(paused()) == asyncio.run(paused()) == []


@pytest.mark.looptime
async def test_a_deadline_leaves_the_rest_planned(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Exactly then the last call starts."""
    ledger = Ledger()

    found = await outcomes(Dialer(client, ledger=ledger, deadline=1.001), standup(60))

    assert states(found) == [State.PLACED] * 31
    assert (await in_ledger(ledger)).count(State.PLANNED) == 29


@pytest.mark.looptime
async def test_cancelling_writes_down_what_it_leaves(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path
) -> None:
    """A create in flight is unknown, and found by its label; every other target is planned."""
    emulator.latency = 5.0
    path = tmp_path / "campaign.db"
    run = asyncio.create_task(outcomes(Dialer(client, ledger=Ledger(path)), standup(60)))
    await asyncio.sleep(1.01)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    left = await in_ledger(Ledger(path))
    flying = len(emulator.starts)
    assert left == [State.UNKNOWN] * flying + [State.PLANNED] * (60 - flying)
    emulator.latency = 0.0
    dialer = Dialer(client, ledger=Ledger(path))
    assert states([each async for each in dialer.reconcile()]) == [State.PLACED] * flying
    assert len(await outcomes(dialer, standup(60))) == 60 - flying
    assert set(emulator.ring_counts.values()) == {1}


@pytest.mark.looptime
async def test_before_send_of_the_client_is_kept(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """The caller's own hook runs when the ledger has been written."""
    ledger, seen = Ledger(), list[tuple[str | None, int, State]]()

    async def look(label: str | None, number: int) -> None:
        (state,) = await in_ledger(ledger)
        seen.append((label, number, state))

    view = client.with_options(before_send=look)
    (outcome,) = await outcomes(Dialer(view, ledger=ledger), standup(1))

    assert seen == [(outcome.label, 1, State.SENDING)]


@pytest.mark.looptime
async def test_a_hook_that_fails_leaves_its_target_planned(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """And ends the run with its own error; nothing was sent."""
    ledger = Ledger()

    async def fail(_label: str | None, _number: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await outcomes(Dialer(client.with_options(before_send=fail), ledger=ledger), standup(1))
    assert await in_ledger(ledger) == [State.PLANNED]
    assert emulator.count("create") == 0


@pytest.mark.looptime
async def test_a_hook_that_is_cancelled_from_within_ends_the_run(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Or the run would wait for ever for what became of its target."""
    ledger = Ledger()

    async def give_up(_label: str | None, _number: int) -> None:
        raise asyncio.CancelledError

    dialer = Dialer(client.with_options(before_send=give_up), ledger=ledger)
    async with asyncio.timeout(60):
        with pytest.raises(RuntimeError, match="a callback was cancelled"):
            await outcomes(dialer, standup(3))
    assert set(await in_ledger(ledger)) == {State.PLANNED}
    assert emulator.count("create") == 0


async def test_a_ledger_that_changes_underneath_ends_the_run(
    emulator: Emulator, client: ConferenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target whose row somebody else has written to is not called."""
    ledger = Ledger()

    async def queue() -> AsyncIterator[NewParticipant]:
        yield person(0)

    async with ledger:

        async def interfere(before: Outcome, after: Outcome) -> bool:
            await swap(before, before.claimed("theirs", None, datetime.now(UTC)))
            return await swap(before, after)

        swap = ledger.swap
        monkeypatch.setattr(ledger, "swap", interfere)
        with pytest.raises(LedgerError, match="another program changed the ledger"):
            await outcomes(Dialer(client, ledger=ledger), standup_queue(queue()))
    assert emulator.count("create") == 0


@pytest.mark.looptime
async def test_who_must_not_be_called_is_skipped(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """However the list spells the number."""
    dialer = Dialer(client, do_not_call=["+1 (555) 000-0001", "client:bob"])

    found = await outcomes(dialer, standup(3))

    assert states(found) == [State.PLACED, State.SKIPPED, State.PLACED]
    assert emulator.rings("+15550000001") == 0
    assert next(each.reason for each in found if each.state is State.SKIPPED) == (
        "it is on the do-not-call list"
    )


@pytest.mark.parametrize("entry", ["5550000001", "15550000001", "Bob", "mailto:bob"])
async def test_a_do_not_call_entry_that_could_not_match_is_refused(
    client: ConferenceClient, entry: str
) -> None:
    """A national number would be called all the same."""
    with pytest.raises(ConfigurationError, match="do_not_call: entry 1: "):
        Dialer(client, do_not_call=[entry])


async def at_noon(
    client: ConferenceClient, tmp_path: Path, deadline: float | None
) -> tuple[list[Outcome], list[Outcome]]:
    """Run a campaign at noon in London, and again the next morning; return both runs."""
    path = tmp_path / "people.csv"
    write(
        path,
        "to,time_zone\n+442079460000,\n+442079460001,America/New_York\n"
        "+442079460002,Asia/Tokyo\n+15550000003,\n",
    )
    loop = asyncio.get_running_loop()
    noon, began = datetime(2026, 1, 31, 12, tzinfo=UTC), loop.time()
    plan = Plan.from_csv(path, conference="standup", from_=OURS)
    dialer = Dialer(
        client,
        hours=CallingHours(time(9), time(20)),
        deadline=deadline,
        clock=lambda: noon + timedelta(seconds=loop.time() - began),
    )
    first = await outcomes(dialer, plan)
    await asyncio.sleep(3600 * 21 - (loop.time() - began))
    return first, await outcomes(dialer, plan)


@pytest.mark.looptime
async def test_nobody_is_called_at_night(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path
) -> None:
    """It is the target's own night that counts; and whose night nobody knows is not called."""
    first, second = await at_noon(client, tmp_path, None)

    reasons = {outcome.to[-1]: outcome.reason for outcome in first}
    assert reasons == {
        "0": None,
        "1": "outside calling hours until 31 Jan 14:00 UTC",
        "2": "outside calling hours until 01 Feb 00:00 UTC",
        "3": "its time zone is not known: give it in a time_zone column",
    }
    assert [outcome.to[-1] for outcome in second if outcome.state is State.PLACED] == ["2"]
    assert len(second) == 3


@pytest.mark.looptime
async def test_calls_wait_for_the_morning_before_the_deadline(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path
) -> None:
    """At nine in New York, which is two hours on; Tokyo's morning is too late."""
    first, _ = await at_noon(client, tmp_path, deadline=3 * 3600)

    ended = [each.ended_at for each in first if each.state is State.PLACED]
    assert [(at.hour, at.minute) for at in ended if at] == [(12, 0), (14, 0)]


@pytest.mark.parametrize("cps", [0.5, 30])
def test_the_window_grows_with_the_rate(cps: float) -> None:
    """Never more than two seconds' worth, and fifty for those that are slow to be answered."""
    assert window(cps) == 50 + max(2, 2 * cps)
    assert window(float("inf")) == window(30)


async def test_a_limit_that_gives_no_slots_does_not_keep_stop_waiting(
    emulator: Emulator,
) -> None:
    """Targets in line are called back, however long the line is."""
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=CreateLimit(0.01),
    ) as client:
        dialer = Dialer(client)
        run = asyncio.create_task(outcomes(dialer, standup(9)))
        while not emulator.starts:  # noqa: ASYNC110 -- the emulator tells nobody
            await asyncio.sleep(0.01)
        dialer.stop()

        async with asyncio.timeout(60):
            assert states(await run) == [State.PLACED]


async def test_after_a_stop_the_counts_are_those_of_the_whole_plan(
    client: ConferenceClient,
) -> None:
    """What no run has come to yet is planned, and nothing is counted twice when it goes on."""
    plan, dialer = standup(1000), Dialer(client)
    async with aclosing(dialer.run(plan)) as run:
        async for _ in run:
            break
    async with dialer.ledger as ledger:
        counts = await ledger.counts()
        there = [outcome async for outcome in ledger.outcomes()]

    assert sum(counts.values()) == 1000
    assert counts[State.PLACED] < len(there) < 1000
    assert counts[State.PLANNED] == 1000 - counts[State.PLACED]
    assert [outcome.row for outcome in there] == list(range(1, len(there) + 1))


@pytest.mark.parametrize("plan", ["people.csv", Path("people.csv"), [], None])
async def test_a_plan_of_another_kind_is_refused(client: ConferenceClient, plan: Any) -> None:
    """By what it should have been, wherever one is taken."""
    dialer, words = Dialer(client), r"plan must be a Plan, as in Plan.from_csv\('people.csv', "
    for work in (
        dialer.preview(plan),
        dialer.explain(plan, "+15558675310"),
        anext(dialer.run(plan)),
    ):
        with pytest.raises(ConfigurationError, match=words):
            await work


@pytest.mark.parametrize("ledger", ["campaign.db", Path("campaign.db"), 5])
def test_a_ledger_of_another_kind_is_refused(client: ConferenceClient, ledger: Any) -> None:
    """When it is given, and not in the midst of a run."""
    with pytest.raises(ConfigurationError, match=r"ledger must be Ledger\('campaign.db'\)"):
        Dialer(client, ledger=ledger)
    with pytest.raises(ConfigurationError, match="dials with a ConferenceClient, not with"):
        Dialer(ledger)
    with pytest.raises(ConfigurationError, match="rules must be a ContactRules, not NoneType"):
        Dialer(client, rules=None)  # type: ignore[arg-type]  # the mistake


@pytest.mark.looptime
async def test_an_hour_that_passes_on_the_way_to_the_wire_skips_who_was_skipped_before(
    emulator: Emulator, client: ConferenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was claimed by then, so that the ledger has it as planned; the run goes on."""
    now, passed = datetime(2026, 1, 29, 23, tzinfo=UTC), 0.0
    monkeypatch.setattr(execution, "elapsed", lambda: passed)

    async def slow(_label: str | None, _number: int) -> None:
        nonlocal now, passed
        now, passed = now + timedelta(seconds=12), passed + 12

    ledger, plan = Ledger(), Plan.from_participants([new_yorker()], conference="standup")
    async with ledger:
        dialer = Dialer(
            client.with_options(before_send=slow),
            ledger=ledger,
            hours=CallingHours(time(9), time(17)),
            deadline=3600,
            clock=lambda: now,
        )
        assert states(await outcomes(dialer, plan)) == [State.SKIPPED]
        now = datetime(2026, 1, 30, 21, 59, 59, tzinfo=UTC)
        plan = Plan.from_participants([new_yorker()], conference="standup")

        assert states(await outcomes(dialer, plan)) == [State.SKIPPED]
        assert await in_ledger(ledger) == [State.SKIPPED]
    assert emulator.count("create") == 0


def new_yorker() -> NewParticipant:
    """Return a request for a made-up number of New York."""
    return NewParticipant(from_=OURS, to="+12125550100", label="alice")
