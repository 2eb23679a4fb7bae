"""The next step for a target: one decision, for the local run and for workers."""

import sys
from datetime import UTC, datetime, time, timedelta
from types import FrameType
from zoneinfo import ZoneInfo

import attrs
import pytest

from conference_async import CallingHours, Outcome, State
from conference_async.dialer.calling.decide import (
    Call,
    Leave,
    Skip,
    Wait,
    after_call,
    after_failure,
    after_no_room,
    decide,
    instant_after,
)
from conference_async.dialer.rules.wishes import ON_THE_LIST, RETRIES, Wishes, addresses

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)
NO_WISHES = Wishes()
TO = "+15558675310"
PLANNED = Outcome(target="t", to=TO, conference="standup", label="p")
UNKNOWN = attrs.evolve(PLANNED, state=State.UNKNOWN, token="t", attempts=1)
LONDON = (ZoneInfo("Europe/London"),)
OFFICE = Wishes(hours=CallingHours(time(9), time(17)))
EARLY = "outside calling hours until 31 Jan 09:00 UTC"
AN_HOUR = timedelta(hours=1)


@pytest.mark.parametrize("state", [State.SENDING, State.PLACED, State.REFUSED, State.UNKNOWN])
def test_what_was_called_or_may_have_been_is_left(state: State) -> None:
    """No wish makes a run call again after a call, or after one that is in doubt."""
    outcome = attrs.evolve(PLANNED, state=state)
    for wishes in (Wishes(), OFFICE, Wishes(do_not_call=addresses([TO]))):
        assert decide(outcome, wishes, NOW, LONDON, None) == Leave()


@pytest.mark.parametrize("state", [State.PLANNED, State.SKIPPED])
def test_what_is_planned_or_was_skipped_is_called(state: State) -> None:
    """As the ledger has it, at any hour if none are given, also where the run has no time left."""
    outcome = attrs.evolve(PLANNED, state=state)
    assert decide(outcome, Wishes(), NOW, (), NOW) == Call(outcome)
    assert decide(outcome, OFFICE, NOW + AN_HOUR, LONDON, NOW) == Call(outcome)


def test_a_target_without_rules_is_decided_about_without_asking_any() -> None:
    """A campaign has as many as it has targets: what rules cost is for those who have some."""
    called: list[str] = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            called.append(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        decide(PLANNED, NO_WISHES, NOW, (), None)
    finally:
        sys.setprofile(before)
    assert [name for name in called if name != "__init__"] == ["decide", "verdict"]


def test_what_is_unknown_is_called_again_only_on_demand() -> None:
    """With the label of the first call, which the service then refuses if that is still there."""
    decision = decide(UNKNOWN, Wishes(redial_unknown=True), NOW, (), None)

    assert decision == Call(UNKNOWN.again("to be called again, as asked for"))
    assert isinstance(decision, Call)
    assert (decision.outcome.state, decision.outcome.label) == (State.PLANNED, "p")


def test_who_is_on_the_list_is_skipped() -> None:
    """At any hour; and what may have rung stays unknown, as it was called."""
    listed = attrs.evolve(OFFICE, do_not_call=addresses([TO]), redial_unknown=True)

    for ends_at in (None, NOW + AN_HOUR):
        assert decide(PLANNED, listed, NOW, LONDON, ends_at) == Skip(
            PLANNED.skipped(ON_THE_LIST, NOW)
        )
        assert decide(UNKNOWN, listed, NOW, LONDON, ends_at) == Leave()


@pytest.mark.parametrize("ends_at", [None, NOW + timedelta(hours=1, microseconds=1)])
def test_who_sleeps_is_waited_for(ends_at: datetime | None) -> None:
    """As long as their time comes before the end, in doubt or not."""
    wishes = attrs.evolve(OFFICE, redial_unknown=True)
    for outcome in (PLANNED, UNKNOWN):
        assert decide(outcome, wishes, NOW, LONDON, ends_at) == Wait(3600, EARLY)


@pytest.mark.parametrize("left", [timedelta(), AN_HOUR])
def test_nobody_is_waited_for_until_the_end_or_after_it(left: timedelta) -> None:
    """They are skipped by this run, with the reason; what may have rung stays unknown."""
    wishes = attrs.evolve(OFFICE, redial_unknown=True)
    assert decide(PLANNED, wishes, NOW, LONDON, NOW + left) == Skip(PLANNED.skipped(EARLY, NOW))
    assert decide(UNKNOWN, wishes, NOW, LONDON, NOW + left) == Leave()


def test_a_time_that_never_comes_is_not_waited_for() -> None:
    """Nor is that of somebody whose time zone nobody knows."""
    reason = "its time zone is not known: give it in a time_zone column"
    assert decide(PLANNED, OFFICE, NOW, (), None) == Skip(PLANNED.skipped(reason, NOW))


@pytest.mark.parametrize(
    ("failures", "pause"), [(1, 1), (2, 2), (3, 4), (7, 60), (1100, 60), (10**6, 60)]
)
def test_the_pauses_double_up_to_a_minute(failures: int, pause: float) -> None:
    """However often it failed."""
    assert after_failure(failures, Wishes(retries=10**9)) == Wait(pause, "it could not be sent")


@pytest.mark.parametrize(("times", "pause"), [(1, 1), (2, 2), (4, 8), (5, 10), (500, 10)])
def test_room_is_asked_for_again_after_ten_seconds_at_most(times: int, pause: float) -> None:
    """However often there was none, as long as others were placed not too long ago."""
    assert after_no_room(times, 900.0) == Wait(pause, "there was no room for it")
    assert after_no_room(times, 900.5) == Leave()


def test_after_so_many_failures_it_is_left() -> None:
    """Eight, if nothing is said; none, if none are wished for."""
    assert isinstance(after_failure(RETRIES, Wishes()), Wait)
    assert after_failure(RETRIES + 1, Wishes()) == Leave()
    assert after_failure(1, Wishes(retries=0)) == Leave()
    assert RETRIES == 8


def test_whom_a_call_did_not_reach_is_planned_again() -> None:
    """With a label of its own, so often at most; else it is noted how the call ended."""
    placed = attrs.evolve(PLANNED, state=State.PLACED, token="t", attempts=2)

    assert after_call(placed, "busy", attempts=3, on={"busy"}) == placed.again(
        "busy, to be called again"
    )
    assert after_call(placed, "busy", attempts=2, on={"busy"}) == placed.noted("busy")
    assert after_call(placed, "completed", attempts=3, on={"busy"}) == placed.noted("completed")


def test_an_end_beyond_all_calendars_is_the_last_instant() -> None:
    """A deadline of a million years is none."""
    assert instant_after(NOW, 3600) == NOW + AN_HOUR
    assert instant_after(NOW, 1e15) == datetime.max.replace(tzinfo=UTC)
