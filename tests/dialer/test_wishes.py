"""The wishes of a run: redials, the end at a quorum, and calling hours."""

import asyncio
import itertools
import math
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from conference_async import (
    CallingHours,
    ConferenceClient,
    Credentials,
    Dialer,
    Ledger,
    Outcome,
    Plan,
    Quorum,
    Redial,
    State,
)
from conference_async.dialer.rules.contact_rules import ContactRules, Verdict
from conference_async.dialer.rules.hours import Calendar
from conference_async.emulator import Emulator, Fault, Script
from conference_async.errors import ConfigurationError
from conference_async.models import NewParticipant, Participant

OURS = "+15017122661"
CLIENT = ConferenceClient(Credentials(f"AC{'0' * 32}", "token"))


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

    def __init__(self, *ends: str | BaseException | None) -> None:
        self.ends = ends
        self.calls: list[str | None] = []

    async def __call__(self, participant: Participant) -> str | None:
        """Return the next end."""
        self.calls.append(participant.call_sid)
        end = self.ends[len(self.calls) - 1]
        if isinstance(end, BaseException):
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
    """A target that is still busy at the last attempt was placed, and the reason says busy."""
    emulator.script("+15550000000", Script(outcome="busy", after=0))
    redial = Redial(watch=Watch("busy", "busy"), attempts=2, pause=1)
    dialer = Dialer(client, redial=redial)

    (outcome,) = await outcomes(dialer, standup(1))

    assert (outcome.attempts, outcome.reason) == (2, "busy")
    assert await outcomes(dialer, standup(1)) == []


@pytest.mark.looptime
async def test_a_call_that_was_over_when_it_was_found_is_called_again(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """The call log says how it ended, so nobody has to watch it."""
    emulator.script("+15550000000", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.PLACE_THEN_500)
    watch = Watch("completed")

    (outcome,) = await outcomes(Dialer(client, redial=Redial(watch=watch)), standup(1))

    assert (outcome.attempts, outcome.reason) == (2, "completed")
    assert len(watch.calls) == 1


@pytest.mark.looptime
@pytest.mark.parametrize("end", [None, "canceled", ZeroDivisionError(), asyncio.CancelledError()])
async def test_only_what_is_known_to_have_failed_is_called_again(
    emulator: Emulator, client: ConferenceClient, end: str | BaseException | None
) -> None:
    """Nothing known, another end, or a mistake in the watch: one call."""
    (outcome,) = await outcomes(Dialer(client, redial=Redial(watch=Watch(end))), standup(1))

    assert (outcome.state, outcome.attempts) == (State.PLACED, 1)
    assert outcome.reason == (end if isinstance(end, str) else None)


@pytest.mark.looptime
async def test_stop_does_not_wait_for_calls_to_end(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """A call that is still watched at the stop is reported as placed."""
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
async def test_a_quorum_of_people_is_not_ended_by_machines(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """A voicemail joins at once; a person counts once detection has heard them."""
    emulator.script("+15550000000", Script(after=0.1, answered_by="machine_start"))
    emulator.script("+15550000001", Script(after=3))
    emulator.script("+15550000002", Script(after=9))
    emulator.script("+15550000003", Script(outcome="no_answer"))
    people = [
        NewParticipant(from_=OURS, to=f"+1555{each:07d}", machine_detection="Enable")
        for each in range(4)
    ]
    ledger = Ledger()
    dialer = Dialer(client, ledger=ledger, quorum=Quorum(humans=2, poll=0.5))

    await outcomes(dialer, Plan.from_participants(people, conference="standup"))

    assert 9 <= asyncio.get_running_loop().time() <= 11
    assert len(emulator.participants("standup")) == 3
    reasons = [outcome.reason for outcome in await in_ledger(ledger)]
    assert reasons.count("taken down while it rang") == 1


@pytest.mark.looptime
async def test_without_detection_whoever_joins_counts_as_a_person(
    emulator: Emulator, client: ConferenceClient
) -> None:
    """Nobody can tell; and who counts must be said, one way or the other."""
    emulator.script("+15550000001", Script(outcome="no_answer"))

    await outcomes(Dialer(client, quorum=Quorum(humans=1, poll=0.5)), standup(2))

    assert asyncio.get_running_loop().time() < 5
    for count in (None, 1):
        with pytest.raises(ConfigurationError, match="so many joined= or so many humans="):
            Quorum(joined=count, humans=count)


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
    ("what", "settings", "error"),
    [
        (Quorum, {"joined": 0}, "joined must be 1 or more, not 0"),
        (Quorum, {"joined": 2.5}, "joined must be 1 or more, not 2.5"),
        (Quorum, {"joined": 1, "deadline": 0}, "deadline must be more than 0 seconds, not 0"),
        (Quorum, {"joined": 1, "poll": math.inf}, "poll must be more than 0 seconds"),
        (Quorum, {"joined": 1, "count": 5}, "count must be an async function"),
        (Redial, {"watch": Watch(), "attempts": 0}, "attempts must be 1 or more"),
        (Redial, {"watch": Watch(), "pause": -1}, "pause must be more than 0 seconds"),
        (Redial, {"watch": "busy"}, "watch must be an async function"),
        (Redial, {"watch": Watch(), "on": [1]}, "on must be a set of statuses"),
        (CallingHours, {"start": time(20), "end": time(9)}, "must start before they end"),
        (CallingHours, {"start": "9", "end": "20"}, "a time such as time.9., not '9'"),
        (CallingHours, {"start": time(9), "end": time(20, tzinfo=UTC)}, "that of each target"),
        (CLIENT, {"retries": -1}, "retries must be 0 or more, not -1"),
        (CLIENT, {"retries": "x"}, "retries must be 0 or more, not 'x'"),
        (CLIENT, {"retries": 2.5}, "retries must be 0 or more, not 2.5"),
        (CLIENT, {"deadline": -1}, "deadline must be more than 0 seconds, not -1"),
        (CLIENT, {"deadline": "soon"}, "deadline must be more than 0 seconds, not 'soon'"),
        (CLIENT, {"redial_unknown": "no"}, "redial_unknown must be a bool, not str"),
        (CLIENT, {"do_not_call": None}, "do_not_call must be addresses, not NoneType"),
        (CLIENT, {"do_not_call": "+15558675310"}, "do_not_call must be addresses, not str"),
        (CLIENT, {"do_not_call": [15558675310]}, "entry 1 is no text but int"),
        (CLIENT, {"redial": 3}, "redial must be a Redial, not int"),
        (CLIENT, {"hours": (9, 20)}, "hours must be a CallingHours, not tuple"),
        (CLIENT, {"quorum": 2}, "quorum must be a Quorum, not int"),
        (CLIENT, {"clock": Watch()}, "clock calls its function and does not await it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_have_bounds(what: Any, settings: dict[str, Any], error: str) -> None:
    """A mistake is said when it is made, also one in the settings of a dialler."""
    with pytest.raises(ConfigurationError, match=error):
        Dialer(CLIENT, **settings) if what is CLIENT else what(**settings)


def test_one_status_may_stand_for_a_set() -> None:
    """It is a word, not a set of letters."""
    assert Redial(watch=Watch(), on="busy").on == {"busy"}


@pytest.mark.parametrize("now", [datetime(2026, 1, 31), 0, None])  # noqa: DTZ001 -- the mistake
async def test_a_clock_that_knows_no_zone_is_refused(
    client: ConferenceClient, now: datetime
) -> None:
    """Before anybody is called at night."""
    with pytest.raises(ConfigurationError, match="clock must return an aware datetime"):
        await outcomes(Dialer(client, clock=lambda: now), standup(1))


class Mistake:
    """A function of a caller's that does everything but what it is for."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def __call__(self, *_: object) -> object:
        """Return, raise, or return what does so when it is awaited."""
        if isinstance(self.answer, ZeroDivisionError):
            raise self.answer
        return self.answer if self.answer is True else self.later()

    async def later(self) -> object:
        """Do it when awaited."""
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


MISTAKES = [
    *(True, "5", 5.5, ["busy"]),
    *(ZeroDivisionError("+15558675310"), RuntimeError("+15558675310"), asyncio.CancelledError()),
]


@pytest.mark.looptime
@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_watch_that_fails_hurts_nobody(
    emulator: Emulator, client: ConferenceClient, caplog: pytest.LogCaptureFixture, mistake: object
) -> None:
    """The call was placed, and is not repeated; no number is logged."""
    redial = Redial(watch=Mistake(mistake), on=["busy"])  # type: ignore[arg-type]  # the mistake

    found = await outcomes(Dialer(client, redial=redial), standup(3))

    assert [(outcome.state, outcome.attempts) for outcome in found] == [(State.PLACED, 1)] * 3
    assert "8675310" not in caplog.text


@pytest.mark.looptime
@pytest.mark.parametrize("mistake", [*MISTAKES[:2], *MISTAKES[4:]])
async def test_a_count_that_fails_leaves_the_counting_to_the_service(
    emulator: Emulator, client: ConferenceClient, caplog: pytest.LogCaptureFixture, mistake: object
) -> None:
    """The quorum is reached as if no count had been given."""
    count = Mistake("many" if mistake is True else mistake)
    quorum = Quorum(joined=2, deadline=60, count=count)  # type: ignore[arg-type]  # the mistake
    began = asyncio.get_running_loop().time()

    found = await outcomes(Dialer(client, quorum=quorum), standup(2))

    assert [outcome.state for outcome in found] == [State.PLACED] * 2
    assert asyncio.get_running_loop().time() - began < 10
    assert "8675310" not in caplog.text


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
    hours = Calendar((CallingHours(time(9), time(20)),))
    at = datetime(2026, 1, 31, *now, tzinfo=UTC)

    found = hours.opening(at, [ZoneInfo(zone) for zone in zones])

    assert (found and (found.day, found.hour, found.minute)) == opening


def test_hours_that_never_open_say_so() -> None:
    """A number that may be anywhere is called nowhere."""
    rules = ContactRules(hours=CallingHours(time(9), time(10)))
    zones = [ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/London")]

    assert rules.verdict(datetime(2026, 1, 31, tzinfo=UTC), zones) == Verdict(
        opening=None, why="its time zones have no calling hours in common"
    )


def test_a_morning_that_is_skipped_by_the_clock_still_comes() -> None:
    """Clocks go from 2 to 3 in Berlin on 29 March 2026: hours from 2:30 open at 3."""
    hours = Calendar((CallingHours(time(2, 30), time(20)),))

    opening = hours.opening(datetime(2026, 3, 29, tzinfo=UTC), [ZoneInfo("Europe/Berlin")])

    assert opening == datetime(2026, 3, 29, 1, tzinfo=UTC)
