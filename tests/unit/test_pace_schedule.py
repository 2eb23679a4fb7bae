"""The arithmetic of pace."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conference_async.pace.schedule import Schedule, Slowdown

CPS = st.one_of(st.sampled_from([0.1, 0.5, 1.0, 2.5, 5.0, 29.0, 29.7, 30.0]), st.floats(0.05, 30.0))


def starts_of(cps: float, delays: list[tuple[float, float]]) -> list[float]:
    """Return the starts of creates that come after a pause each, and wake up late each."""
    schedule, now, starts = Schedule(cps), 100.0, []
    for pause, late in delays:
        now += pause
        due = schedule.next
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
@example(10.0, [(0.0, 0.0)] * 11)
@example(10.0, [(0.0, 0.0), (0.0, 0.05), *[(0.0, 0.0)] * 10])
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


def test_whoever_comes_at_the_instant_of_a_slot_has_it() -> None:
    """That a sum of intervals is a little more than the instant it means makes nobody wait."""
    schedule = Schedule(10.0)
    for tenths in range(3):
        schedule.take(tenths / 10, waited=True)

    assert schedule.next <= 0.3 < 0.2 + 1 / 10


def test_a_long_stall_is_not_made_up_by_a_burst() -> None:
    """After five seconds asleep the next starts are as far apart as before."""
    schedule = Schedule(10.0)
    schedule.take(0.0, waited=False)
    schedule.take(5.1, waited=True)

    assert schedule.next == pytest.approx(5.1 + 0.05)


def test_a_slot_that_was_not_used_is_given_back_once() -> None:
    """Undoing the last start frees its slot; an older one cannot be freed any more."""
    schedule = Schedule(2.0)
    schedule.take(0.0, waited=False)
    schedule.take(0.5, waited=True)

    assert not schedule.undo(0.0)
    assert schedule.undo(0.5)
    assert schedule.next == pytest.approx(0.5)
    assert schedule.undo(0.0)
    assert schedule.next == -math.inf
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


@pytest.mark.parametrize(("cps", "tolerated"), [(1.0, 1000), (2.0, 500), (10.0, 250), (30.0, 250)])
def test_a_queue_counts_from_a_slot_or_a_quarter_of_a_second_on(cps: float, tolerated: int) -> None:
    """That long a wait is jitter; a millisecond more is a queue, and is shown as it was said."""
    slowdown = Slowdown(cps)
    assert slowdown.queue_time == 0

    slowdown.observe(tolerated, now=0.0)
    assert (slowdown.factor, slowdown.queue_time) == (1.0, tolerated)
    slowdown.observe(tolerated + 1, now=0.0001)
    assert (slowdown.factor, slowdown.queue_time) == (0.5, tolerated + 1)


def test_the_rate_is_halved_again_only_when_the_queue_had_the_time_to_drain() -> None:
    """That is its length, to the millisecond."""
    slowdown = Slowdown(10.0)
    slowdown.observe(4000, now=0.0)

    for now in (3.998, 4.0):
        slowdown.observe(4000, now=now)
        assert slowdown.factor == 0.5
    slowdown.observe(4000, now=4.001)
    assert slowdown.factor == 0.25


def test_the_rate_is_won_back_once_a_second() -> None:
    """A drained queue is said by every reply, and each second counts one of them."""
    slowdown = Slowdown(10.0)
    slowdown.observe(4000, now=0.0)

    slowdown.observe(0, now=0.999)
    assert slowdown.factor == 0.5
    slowdown.observe(0, now=1.0)
    assert slowdown.factor == 0.55


def test_what_another_process_made_of_its_queue_is_taken_over() -> None:
    """Factor, queue time, and when it was: that is what the next step counts from."""
    slowdown = Slowdown(10.0)

    slowdown.adopt(factor=0.25, queue_time=2000, changed=7.0)

    assert (slowdown.factor, slowdown.queue_time) == (0.25, 2000)
    slowdown.observe(2000, now=8.5)
    assert slowdown.factor == 0.25
    slowdown.observe(2000, now=9.5)
    assert slowdown.factor == 0.125


def test_slots_are_further_apart_while_a_queue_drains() -> None:
    """At half the rate the interval is twice as long, and lateness is made up just the same."""
    schedule = Schedule(10.0)
    schedule.slow(0.5)
    schedule.take(0.0, waited=False)

    assert schedule.next == pytest.approx(0.2)
    schedule.take(0.22, waited=True)
    assert schedule.next == pytest.approx(0.4)


def test_nobody_who_did_not_wait_is_late() -> None:
    """After an idle time the slot begins with the start, and the next is a whole interval away."""
    schedule = Schedule(2.0)
    schedule.take(0.0, waited=False)
    schedule.take(10.0, waited=False)

    assert schedule.next == pytest.approx(10.5)


def test_after_a_stall_half_an_interval_is_made_up_and_no_more() -> None:
    """The starts that follow are at the rate again, as if the stall had been the beginning."""
    schedule, starts = Schedule(10.0), [5.1]
    schedule.take(0.0, waited=False)
    schedule.take(5.1, waited=True)
    for _ in range(3):
        starts.append(schedule.next)
        schedule.take(starts[-1], waited=True)

    assert starts == pytest.approx([5.1, 5.15, 5.25, 5.35])


def test_a_new_rate_makes_up_no_lateness_of_the_old_one() -> None:
    """Half a slot of the old rate is many of the new one, which would all start at once."""
    schedule = Schedule(0.2)
    schedule.take(0.0, waited=False)
    schedule.take(8.0, waited=True)

    faster = schedule.at_another_rate(30.0)

    assert faster.next == pytest.approx(8.0 + 0.5 / 30)


@pytest.mark.parametrize("cps", [0.5, 1.0, 5.0, 30.0])
def test_so_many_slots_can_be_put_back_as_a_second_has(cps: float) -> None:
    """The starts before them still count, and the memory of starts does not grow."""
    schedule, window = Schedule(cps), math.ceil(cps)
    for number in range(10 * window):
        schedule.take(number / cps, waited=True)
    last = (10 * window - 1) / cps

    for back in range(window):
        assert schedule.next >= last + (1 - back) / cps - 1e-6
        assert schedule.undo(schedule.last)

    assert schedule.next == pytest.approx(max(schedule.last + 1 / cps, last + (1 - window) / cps))
    assert len(schedule._taken) <= 2 * window
