"""The arithmetic of pace."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference_async.pace import Schedule, Slowdown

CPS = st.one_of(st.sampled_from([0.1, 0.5, 1.0, 2.5, 5.0, 29.0, 29.7, 30.0]), st.floats(0.05, 30.0))


def starts_of(cps: float, delays: list[tuple[float, float]]) -> list[float]:
    """Return the starts of creates that come after a pause each, and wake up late each."""
    schedule, now, starts = Schedule(cps), 100.0, []
    for pause, late in delays:
        now += pause
        due = schedule.due()
        waited = due > now
        if waited:
            now = due + late
        schedule.take(now, waited=waited)
        starts.append(now)
    return starts


def most_in_a_second(starts: list[float]) -> int:
    """Return the most starts in any half-open window of one second."""
    return max(sum(1 for start in starts if first <= start < first + 1) for first in starts)


@given(
    CPS,
    st.lists(
        st.tuples(
            st.one_of(st.just(0.0), st.floats(0, 3)), st.one_of(st.just(0.0), st.floats(0, 0.5))
        ),
        min_size=1,
        max_size=90,
    ),
)
def test_no_second_sees_more_than_the_cps(cps: float, delays: list[tuple[float, float]]) -> None:
    """However late the wake-ups and however long the pauses, no window holds too many starts."""
    assert most_in_a_second(starts_of(cps, delays)) <= math.ceil(cps)


@given(CPS, st.integers(2, 100))
def test_an_unbroken_run_takes_exactly_its_time(cps: float, count: int) -> None:
    """N creates in a row take (N-1)/CPS seconds, evenly spaced."""
    starts = starts_of(cps, [(0.0, 0.0)] * count)

    assert starts[-1] - starts[0] == pytest.approx((count - 1) / cps)


def test_late_wake_ups_do_not_lower_the_rate() -> None:
    """A millisecond of lateness on every wake-up costs less than half a percent of the rate."""
    starts = starts_of(30.0, [(0.0, 0.001)] * 3001)

    assert 3000 / (starts[-1] - starts[0]) >= 30 * 0.995


def test_a_long_stall_is_not_made_up_by_a_burst() -> None:
    """After five seconds asleep the next starts are as far apart as before."""
    schedule = Schedule(10.0)
    schedule.take(0.0, waited=False)
    late = schedule.take(5.1, waited=True)

    assert late == pytest.approx(0.05)
    assert schedule.due() >= 5.1 + 0.05


def test_a_slot_that_was_not_used_is_given_back_once() -> None:
    """Undoing the last start frees its slot; an older one cannot be freed any more."""
    schedule = Schedule(2.0)
    schedule.take(0.0, waited=False)
    schedule.take(0.5, waited=True)

    assert not schedule.undo(0.0)
    assert schedule.undo(0.5)
    assert schedule.due() == pytest.approx(0.5)
    assert schedule.undo(0.0)
    assert schedule.due() == -math.inf
    assert not schedule.undo(0.0)


def test_a_growing_queue_halves_the_rate_once_per_queue() -> None:
    """Every create that reports the same long queue must not halve the rate again."""
    slowdown = Slowdown(10.0)

    slowdown.observe(4000, now=0.0)
    slowdown.observe(4000, now=0.1)

    assert slowdown.factor == 0.5
    slowdown.observe(4000, now=4.2)
    assert slowdown.factor == 0.25
    assert slowdown.queue_time == 4000


def test_the_rate_never_falls_to_nothing_and_comes_back_slowly() -> None:
    """The floor is a tenth of the CPS; recovery takes a twentieth a second, up to the CPS."""
    slowdown = Slowdown(10.0)
    now = 0.0
    for _ in range(10):
        slowdown.observe(2000, now=now)
        now += 3

    assert slowdown.factor == Slowdown.FLOOR
    slowdown.observe(0, now=now)
    slowdown.observe(0, now=now + 0.5)
    assert slowdown.factor == Slowdown.FLOOR + Slowdown.STEP
    for second in range(1, 40):
        slowdown.observe(0, now=now + second)
    assert slowdown.factor == 1.0


def test_the_jitter_of_one_slot_is_no_queue() -> None:
    """A queue time of about one slot is two hosts' clocks, not somebody else's calls."""
    slowdown = Slowdown(1.0)

    slowdown.observe(1000, now=0.0)

    assert slowdown.factor == 1.0
