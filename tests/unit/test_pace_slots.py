"""The arithmetic of the row that a shared store keeps, to the microsecond."""

import math
from typing import Any, get_type_hints

import pytest

from conference_async import pace
from conference_async.errors import ConfigurationError
from conference_async.pace.contract import SECOND
from conference_async.pace.slots import (
    LOWEST_HOLDS,
    STEP_BACK,
    Pace,
    Queuing,
    Reservation,
    check_account,
)

NOW = 5_000 * SECOND
OF_A_STORE: list[Any] = [
    pace.Queuing,
    pace.LineWish,
    pace.LineCount,
    pace.LineNews,
    pace.LineStore.reserve_with_line,
    pace.QueueStore.reserve_queued,
]


@pytest.mark.parametrize("told", OF_A_STORE, ids=lambda told: told.__name__)
def test_what_a_store_is_told_names_types_that_can_be_read(told: Any) -> None:
    """A store of one's own may put it into words by its types, as cattrs does."""
    assert get_type_hints(told)


def row(**changes: float) -> Pace:
    """Return a row as the first create at 4 CPS leaves it, but for some changes."""
    usual: dict[str, float] = {
        "after": NOW + 250_000,
        "seen": NOW,
        "cps": 4.0,
        "held_until": NOW + LOWEST_HOLDS,
    }
    return Pace(**(usual | changes))  # type: ignore[arg-type]  # a test's shorthand


def test_the_first_slot_begins_at_once() -> None:
    """A store that holds nothing gives out now, and the next slot one interval later."""
    kept, slot = Pace.reserve(None, now=NOW, cps=4.0, floor=0.0)

    assert kept == row()
    assert slot == Reservation(
        wait=0.0, slot=NOW, after=NOW + 250_000, cps=4.0, unchanged=NOW / SECOND
    )


def test_slots_follow_one_another_whenever_they_are_asked_for() -> None:
    """Each begins an interval after the last one, rounded up, or now if that is past."""
    kept, second = Pace.reserve(row(), now=NOW + 10, cps=4.0, floor=0.0)
    assert (second.slot, second.after, second.wait) == (NOW + 250_000, NOW + 500_000, 0.24999)
    assert (kept.after, kept.seen) == (NOW + 500_000, NOW + 10)
    assert kept.held_until == NOW + 250_000 + LOWEST_HOLDS

    _, late = Pace.reserve(row(), now=NOW + SECOND, cps=3.0, floor=0.0)
    assert (late.slot, late.after, late.wait) == (NOW + SECOND, NOW + SECOND + 333_334, 0.0)


def test_a_store_that_lost_its_state_begins_after_the_slots_that_are_out() -> None:
    """It is given the time for which others may still hold some, and rounds it up."""
    kept, slot = Pace.reserve(None, now=NOW, cps=4.0, floor=1.5000001)

    assert (slot.slot, slot.wait) == (NOW + 1_500_001, 1.500001)
    assert kept.after == NOW + 1_750_001
    assert kept.held_until == NOW + 1_500_001 + LOWEST_HOLDS


@pytest.mark.parametrize("back", [STEP_BACK, STEP_BACK + 1])
def test_a_clock_that_went_back_is_believed_from_a_second_on(back: int) -> None:
    """Up to that the row holds; beyond it the clock was set, and everything begins again."""
    kept, slot = Pace.reserve(
        row(factor=0.5, queue_time=7, changed=NOW - SECOND), now=NOW - back, cps=4.0, floor=0.25
    )

    if back == STEP_BACK:
        assert (slot.slot, slot.factor, slot.queue_time) == (NOW + 250_000, 0.5, 7)
        assert slot.unchanged == 0.0
    else:
        assert slot.slot == NOW - back + 250_000 + STEP_BACK
        assert (kept.factor, kept.queue_time, kept.changed) == (1.0, 0, 0)
        assert kept.held_until == slot.slot + LOWEST_HOLDS


def test_the_lowest_rate_holds_for_a_minute_after_its_last_slot() -> None:
    """A higher one is believed when that is over, and an equal one makes it last longer."""
    higher, slot = Pace.reserve(row(), now=NOW + LOWEST_HOLDS, cps=10.0, floor=0.0)
    assert (higher.cps, slot.cps, higher.held_until) == (4.0, 4.0, NOW + LOWEST_HOLDS)
    assert slot.after == slot.slot + 250_000

    believed, slot = Pace.reserve(row(), now=NOW + LOWEST_HOLDS + 1, cps=10.0, floor=0.0)
    assert (believed.cps, slot.cps) == (10.0, 10.0)
    assert believed.held_until == slot.slot + LOWEST_HOLDS
    assert slot.after == slot.slot + 100_000

    equal, slot = Pace.reserve(row(), now=NOW + SECOND, cps=4.0, floor=0.0)
    assert equal.held_until == slot.slot + LOWEST_HOLDS

    lower, slot = Pace.reserve(row(), now=NOW + SECOND, cps=2.0, floor=0.0)
    assert (lower.cps, slot.after) == (2.0, slot.slot + 500_000)


def test_a_slow_down_is_part_of_every_slot() -> None:
    """The interval is longer by it, and each process hears what it came from and when."""
    slowed = row().report(now=NOW + SECOND, factor=0.5, queue_time=1234)

    kept, slot = Pace.reserve(slowed, now=NOW + 3 * SECOND, cps=4.0, floor=0.0)

    assert (slot.factor, slot.queue_time, slot.unchanged) == (0.5, 1234, 2.0)
    assert slot.after == slot.slot + 500_000
    assert (kept.factor, kept.queue_time, kept.changed) == (0.5, 1234, NOW + SECOND)


def test_only_the_last_slot_can_be_given_back() -> None:
    """Then it is the next one again; a slot before it keeps its place."""
    one, first = Pace.reserve(row(), now=NOW, cps=4.0, floor=0.0)
    two, second = Pace.reserve(one, now=NOW, cps=4.0, floor=0.0)

    assert two.give_back(first) is None
    freed = two.give_back(second)
    assert freed is not None
    assert freed == row(after=second.slot, seen=two.seen, held_until=two.held_until, cps=two.cps)


def test_a_newcomer_has_the_slot_after_the_last_that_somebody_was_told_of() -> None:
    """And has it as far ahead as it may be, to the microsecond."""
    one, _ = Pace.reserve(None, now=NOW, cps=1.0, floor=0.0, queuing=Queuing(within=0.5, more=True))
    two, told = Pace.reserve(
        one, now=NOW + SECOND - 1, cps=1.0, floor=0.0, queuing=Queuing(within=0.5, told=True)
    )
    assert (told.slot, two.after, two.told) == (NOW + SECOND, NOW + 2 * SECOND, two.after)

    half = NOW + SECOND + SECOND // 2
    _, near = Pace.reserve(two, now=half, cps=1.0, floor=0.0, queuing=Queuing(within=0.5))
    _, far = Pace.reserve(two, now=half - 1, cps=1.0, floor=0.0, queuing=Queuing(within=0.5))

    assert (near.slot, near.taken, far.taken) == (two.after, True, False)
    assert two.answer(near.slot, asked=7.0).asked == 7.0


def test_a_reservation_says_by_itself_that_nothing_slows_it() -> None:
    """The fields that a store of one's own leaves out have the usual meaning."""
    plain = Reservation(wait=0.0, slot=NOW, cps=1.0)

    assert (plain.after, plain.factor, plain.queue_time) == (0, 1.0, 0)
    assert plain.unchanged == math.inf


@pytest.mark.parametrize("account", ["", "a\0b"])
def test_an_account_needs_a_name_that_every_store_can_keep(account: str) -> None:
    """PostgreSQL has no NUL, and no name would be everybody's."""
    assert check_account("AC1") == "AC1"
    with pytest.raises(ConfigurationError, match="whose pace it is"):
        check_account(account)
