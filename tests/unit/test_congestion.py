"""Places, the shared back-off and the retry budget, in virtual time."""

import asyncio

import pytest

from conference_async.congestion import Congestion, RetryBudget
from conference_async.retry import RetryPolicy

pytestmark = pytest.mark.looptime

NO_DELAY = RetryPolicy(base=0)


async def hold(congestion: Congestion, seconds: float = 1.0) -> float:
    """Take a place, keep it for a while, and return when it was taken."""
    await congestion.enter()
    entered = asyncio.get_running_loop().time()
    try:
        await asyncio.sleep(seconds)
    finally:
        congestion.leave()
    return entered


async def test_no_more_requests_than_places_are_under_way() -> None:
    """The others wait for a place in the order they came."""
    congestion = Congestion(2, NO_DELAY)

    assert await asyncio.gather(*(hold(congestion) for _ in range(5))) == [0, 0, 1, 1, 2]
    assert congestion.busy == 0


async def test_a_waiter_that_is_cancelled_takes_no_place() -> None:
    """The next in line gets what would have been its place."""
    congestion = Congestion(1, NO_DELAY)
    tasks = [asyncio.create_task(hold(congestion)) for _ in range(3)]
    await asyncio.sleep(0.5)
    tasks[1].cancel()

    assert [await tasks[0], await tasks[2]] == [0, 1]
    assert tasks[1].cancelled()
    assert congestion.busy == 0


async def test_a_place_that_was_handed_over_is_not_lost_with_its_waiter() -> None:
    """Cancelled between being let in and waking up, it goes to the next."""
    congestion = Congestion(1, NO_DELAY)
    await congestion.enter()
    first, second = (asyncio.create_task(hold(congestion)) for _ in range(2))
    await asyncio.sleep(0)

    congestion.leave()
    first.cancel()

    assert await second == 0
    assert first.cancelled()
    assert congestion.busy == 0


async def test_a_429_halves_the_places_and_successes_win_them_back() -> None:
    """Fast down, slowly up, never above the most, never below one."""
    congestion = Congestion(8, NO_DELAY)

    congestion.failed()
    assert congestion.places == 4
    for _ in range(5):
        congestion.failed()
    assert congestion.places == 1
    for _ in range(100):
        congestion.succeeded()
    assert congestion.places == 8


async def test_everybody_waits_out_the_same_back_off() -> None:
    """What the service asks for is obeyed, and a longer wish extends it."""
    congestion = Congestion(16, NO_DELAY)
    congestion.failed(retry_after=5)
    waiting = asyncio.create_task(hold(congestion))
    await asyncio.sleep(1)
    assert congestion.pause() == 4

    congestion.failed(retry_after=7)

    assert await hold(congestion) == 8
    assert await waiting == 8
    assert congestion.pause() == 0


async def test_who_is_cancelled_in_the_back_off_gives_the_place_back() -> None:
    """Nothing is held by somebody who is gone."""
    congestion = Congestion(1, NO_DELAY)
    congestion.failed(retry_after=5)
    waiting = asyncio.create_task(hold(congestion))
    await asyncio.sleep(1)
    waiting.cancel()

    assert await hold(congestion) == 5
    assert congestion.busy == 0


async def test_requests_that_left_before_the_back_off_count_once() -> None:
    """Fifty answers of 429 to one burst are one piece of news."""
    congestion = Congestion(32, RetryPolicy(base=8, maximum=8))
    while congestion.pause() == 0:  # full jitter may draw a zero
        congestion.failed()
    places, pause = congestion.places, congestion.pause()

    for _ in range(50):
        congestion.failed()

    assert (congestion.places, congestion.pause()) == (places, pause)


async def test_back_offs_grow_until_something_succeeds() -> None:
    """Each failure after the last pause doubles the bound; a success starts over."""
    congestion = Congestion(4, RetryPolicy(base=1, maximum=64))
    longest = [0.0] * 7
    for _ in range(200):
        for failures in range(7):
            congestion.failed()
            longest[failures] = max(longest[failures], congestion.pause())
            await asyncio.sleep(congestion.pause() + 1e-6)
        congestion.succeeded()

    for failures, pause in enumerate(longest):
        assert 2**failures * 0.7 < pause <= 2**failures


async def test_who_wakes_a_tick_early_and_fails_at_once_backs_off_again() -> None:
    """Or an attempt refused in no time would be repeated in the same instant, to the last one."""
    for _ in range(400):
        congestion = Congestion(2**20, RetryPolicy(base=1))
        for failures in range(1, 11):
            congestion.failed()
            assert congestion.places == 2 ** (20 - failures)
            await hold(congestion, 0)


def test_retries_are_paid_for_by_successes() -> None:
    """Ten to start with, a tenth for each success, and no more than ten are saved up."""
    budget = RetryBudget()
    for _ in range(10):
        assert budget
        budget.spend()
    assert not budget

    for _ in range(11):  # ten tenths may sum to a little less than one
        budget.earn()
    assert budget
    budget.spend()
    assert not budget

    for _ in range(1000):
        budget.earn()
    for _ in range(10):
        assert budget
        budget.spend()
    assert not budget


async def test_a_back_off_shorter_than_a_tick_is_over() -> None:
    """A loop's clock may never come to its end, and would be asked without end."""
    congestion = Congestion(1, NO_DELAY)
    congestion.failed(retry_after=3e-7)

    assert congestion.pause() == 0
    assert await hold(congestion) == 0
