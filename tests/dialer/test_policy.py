"""Whom a run calls again, when it has called enough, and at what hours it may."""

import asyncio
import itertools
import math
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from conference_async import ConferenceClient
from conference_async.dialer import (
    CallingHours,
    Dialer,
    Ledger,
    Outcome,
    Plan,
    Quorum,
    Redial,
    State,
)
from conference_async.emulator import Emulator, Fault, Script
from conference_async.errors import ConfigurationError
from conference_async.models import NewParticipant, Participant

OURS = "+15017122661"


def standup(number: int) -> Plan:
    """Return a plan that calls so many people into the stand-up."""
    people = [NewParticipant(from_=OURS, to=f"+1555{each:07d}") for each in range(number)]
    return Plan.from_participants(people, conference="standup")


async def outcomes(dialer: Dialer, plan: Plan) -> list[Outcome]:
    """Run a plan to its end; return its outcomes in the order of the numbers."""
    return sorted([outcome async for outcome in dialer.run(plan)], key=lambda outcome: outcome.to)


async def in_ledger(ledger: Ledger) -> list[Outcome]:
    """Return all that a ledger holds."""
    async with ledger:
        return [outcome async for outcome in ledger.outcomes()]


class Watch:
    """Says how calls end: at once, by the attempts made so far."""

    def __init__(self, *ends: str | Exception | None) -> None:
        self.ends = ends
        self.calls: list[str | None] = []

    async def __call__(self, participant: Participant) -> str | None:
        """Return the next end."""
        self.calls.append(participant.call_sid)
        end = self.ends[len(self.calls) - 1]
        if isinstance(end, Exception):
            raise end
        return end


@pytest.mark.looptime
async def test_whom_a_call_did_not_reach_is_called_again(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """After the pause, with a new label, until somebody answers."""
    emulator.script("+15550000000", Script(outcome="busy", after=0))
    watch = Watch("busy", "no-answer", "completed")

    (outcome,) = await outcomes(Dialer(client, redial=Redial(watch=watch, pause=60)), standup(1))

    gaps = [after - before for before, after in itertools.pairwise(emulator.starts)]
    assert gaps == pytest.approx([60, 60], abs=0.05)
    assert (outcome.state, outcome.attempts, outcome.reason) == (State.PLACED, 3, "completed")
    assert outcome.call_sid == watch.calls[-1]
    labels = {emulator.call(sid or "").label for sid in watch.calls}
    assert len(labels) == 3


@pytest.mark.looptime
async def test_attempts_are_bounded(emulator: Emulator, client: ConferenceClient) -> None:
    """Whoever is still busy then was placed, and the reason says how it ended."""
    emulator.script("+15550000000", Script(outcome="busy", after=0))
    redial = Redial(watch=Watch("busy", "busy"), attempts=2, pause=1)
    dialer = Dialer(client, redial=redial)

    (outcome,) = await outcomes(dialer, standup(1))

    assert (outcome.attempts, outcome.reason) == (2, "busy")
    assert await outcomes(dialer, standup(1)) == []


@pytest.mark.looptime
@pytest.mark.parametrize("end", [None, "canceled", ZeroDivisionError()])
async def test_only_what_is_known_to_have_failed_is_called_again(
    emulator: Emulator, client: ConferenceClient, end: str | Exception | None
) -> None:
    """Nothing known, another end, or a mistake in the watch: one call."""
    (outcome,) = await outcomes(Dialer(client, redial=Redial(watch=Watch(end))), standup(1))

    assert (outcome.state, outcome.attempts) == (State.PLACED, 1)
    assert outcome.reason == (end if isinstance(end, str) else None)


@pytest.mark.looptime
async def test_stop_does_not_wait_for_calls_to_end(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Who is watched was placed, and that is told."""
    dialer = Dialer(client, redial=Redial(watch=lambda _: asyncio.sleep(3600, "busy")))
    asyncio.get_running_loop().call_later(5, dialer.stop)

    found = await outcomes(dialer, standup(3))

    assert [outcome.state for outcome in found] == [State.PLACED] * 3
    assert asyncio.get_running_loop().time() < 10


@pytest.mark.looptime
async def test_a_call_that_ends_after_stop_is_not_planned_again(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """It was busy as the run ended: the ledger says so, and the next run leaves it."""

    async def busy(_participant: Participant) -> str:
        dialer.stop()
        return "busy"

    dialer = Dialer(client, redial=Redial(watch=busy))

    (outcome,) = await outcomes(dialer, standup(1))

    assert outcome.state is State.PLACED


@pytest.mark.looptime
async def test_a_quorum_ends_the_calls_and_takes_down_who_still_rings(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Two have joined, one rings, nobody else is called; and running again calls nobody."""
    emulator.answer_after = None
    emulator.script("+15550000000", Script(after=1))
    emulator.script("+15550000001", Script(after=2))
    emulator.script("+15550000002", Script(outcome="busy", after=1))
    ledger = Ledger()
    dialer = Dialer(client, ledger=ledger, quorum=Quorum(joined=2, poll=0.5))

    await outcomes(dialer, standup(200))

    called = len(emulator.starts)
    assert 60 <= called <= 90
    assert len(emulator.participants("standup")) == 2
    reasons = [outcome.reason for outcome in await in_ledger(ledger)]
    assert reasons.count("taken down while it rang") == called - 3
    assert await outcomes(dialer, standup(200)) == []
    assert len(emulator.starts) == called


@pytest.mark.looptime
async def test_a_quorum_counts_in_conferences_that_open_meanwhile(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """While one is asked who is there, others get their first participant."""
    emulator.latency = 0.2
    people = [NewParticipant(from_=OURS, to=f"+1555{each:07d}") for each in range(40)]
    plan = Plan.from_participants(people, conference="standup", room_size=1)
    dialer = Dialer(client, quorum=Quorum(joined=40, poll=0.1))

    assert len(await outcomes(dialer, plan)) == 40


@pytest.mark.looptime
async def test_a_quorum_is_waited_for_when_all_are_called(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Until its deadline, and then the phones stop ringing."""
    emulator.answer_after = None
    began = asyncio.get_running_loop().time()

    found = await outcomes(Dialer(client, quorum=Quorum(joined=1, deadline=20)), standup(3))

    assert [outcome.state for outcome in found] == [State.PLACED] * 3
    assert asyncio.get_running_loop().time() - began == pytest.approx(20, abs=0.5)
    assert emulator.participants("standup") == []


@pytest.mark.looptime
async def test_a_quorum_that_cannot_be_reached_is_not_waited_for(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Everybody was called, and nobody's phone rings any more."""
    emulator.answer_after = 0
    began = asyncio.get_running_loop().time()

    await outcomes(Dialer(client, quorum=Quorum(joined=3, deadline=600)), standup(2))

    assert asyncio.get_running_loop().time() - began < 10
    assert len(emulator.participants("standup")) == 2


@pytest.mark.looptime
async def test_a_stopped_run_hangs_up_on_nobody(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Only the quorum does; a person who stops a run may want to go on."""
    emulator.answer_after = None
    dialer = Dialer(client, quorum=Quorum(joined=3))
    asyncio.get_running_loop().call_later(5, dialer.stop)

    await outcomes(dialer, standup(2))

    assert len(emulator.participants("standup")) == 2


@pytest.mark.looptime
async def test_a_quorum_may_be_counted_by_callbacks(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Then nobody needs to be connected by the service's own list."""
    emulator.answer_after = None

    async def count() -> int:
        return len(emulator.starts)

    quorum = Quorum(joined=5, poll=0.01, count=count)

    await outcomes(Dialer(client, quorum=quorum), standup(60))

    assert 5 <= len(emulator.starts) < 15
    assert emulator.participants("standup") == []


@pytest.mark.looptime
async def test_a_service_that_fails_delays_the_quorum_only(
    emulator: Emulator, client: ConferenceClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A list that fails is asked for again; who cannot be taken down is logged."""
    emulator.answer_after = None
    emulator.script("+15550000000", Script(after=1))
    emulator.faults.add(Fault.FAIL_500, on="list", times=4)
    emulator.faults.add(Fault.FAIL_500, on="delete", times=4)
    ledger = Ledger()

    await outcomes(Dialer(client, ledger=ledger, quorum=Quorum(joined=1)), standup(2))

    assert "could not be taken down" in caplog.text
    assert [outcome.reason for outcome in await in_ledger(ledger)] == [None, None]


@pytest.mark.looptime
async def test_who_hung_up_meanwhile_need_not_be_taken_down(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Between the look and the hanging up, a phone may have stopped ringing by itself."""
    emulator.answer_after = None
    ledger, looks = Ledger(), list[int]()

    async def hang_up() -> int:
        if looks and looks[-1]:  # the last look, when the quorum was reached
            for call in emulator.participants("standup"):
                emulator.hang_up(call.sid)
        looks.append(len(emulator.starts))
        return looks[-1]

    await outcomes(
        Dialer(client, ledger=ledger, quorum=Quorum(joined=1, count=hang_up)), standup(1)
    )

    assert [outcome.reason for outcome in await in_ledger(ledger)] == [None]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Quorum(joined=0), "joined must be 1 or more"),
        (lambda: Quorum(joined=1, deadline=0), "deadline must be more than 0 seconds"),
        (lambda: Quorum(joined=1, poll=math.inf), "poll must be more than 0 seconds"),
        (lambda: Redial(watch=Watch(), attempts=0), "attempts must be 1 or more"),
        (lambda: Redial(watch=Watch(), pause=-1), "pause must be more than 0 seconds"),
        (lambda: CallingHours(time(20), time(9)), "must start before they end"),
    ],
)
def test_settings_have_bounds(make: object, error: str) -> None:
    """A mistake is told when it is made."""
    with pytest.raises(ConfigurationError, match=error):
        make()  # type: ignore[operator]  # a function


@pytest.mark.parametrize(
    ("now", "zones", "opening"),
    [
        ((12, 0), ["Europe/London"], (31, 12, 0)),
        ((8, 59), ["Europe/London"], (31, 9, 0)),
        ((20, 0), ["Europe/London"], (1, 9, 0)),
        ((12, 0), ["America/New_York"], (31, 14, 0)),
        ((12, 0), ["America/New_York", "America/Los_Angeles"], (31, 17, 0)),
        ((12, 0), ["Asia/Tokyo", "America/New_York"], (1, 0, 0)),
        ((12, 0), ["Asia/Tokyo", "Europe/London"], (1, 9, 0)),
        ((12, 0), ["Pacific/Auckland", "Europe/London", "America/Los_Angeles"], None),
    ],
)
def test_hours_open_in_every_zone_at_once(
    now: tuple[int, int], zones: list[str], opening: tuple[int, int, int] | None
) -> None:
    """The first instant that is within hours wherever the target may be."""
    hours = CallingHours(time(9), time(20))
    at = datetime(2026, 1, 31, *now, tzinfo=UTC)

    found = hours.opening(at, [ZoneInfo(zone) for zone in zones])

    assert (found and (found.day, found.hour, found.minute)) == opening


def test_hours_that_never_open_say_so() -> None:
    """A number that may be anywhere is called nowhere."""
    hours = CallingHours(time(9), time(10))
    zones = [ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/London")]

    assert hours.wait(datetime(2026, 1, 31, tzinfo=UTC), zones) == (
        math.inf,
        "its time zones have no calling hours in common",
    )


def test_a_morning_that_is_skipped_by_the_clock_still_comes() -> None:
    """Clocks go from 2 to 3 in Berlin on 29 March 2026: hours from 2:30 open at 3:30."""
    hours = CallingHours(time(2, 30), time(20))

    opening = hours.opening(datetime(2026, 3, 29, tzinfo=UTC), [ZoneInfo("Europe/Berlin")])

    assert opening == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
