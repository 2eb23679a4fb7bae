"""The time that attempts may take, by one timer for all of them, in virtual time."""

import asyncio
import math

import pytest

from conference_async.sending.patience import Bound, Patience


def bound(patience: Patience, seconds: float) -> Bound:
    """Return the time of an attempt that may take so long from now."""
    return patience.bound(asyncio.get_running_loop().time() + seconds)


async def ended_at(patience: Patience, seconds: float, work: float = 100.0) -> float:
    """Return when an attempt of so much work was over."""
    try:
        with bound(patience, seconds):
            await asyncio.sleep(work)
    except TimeoutError:
        pass
    return asyncio.get_running_loop().time()


@pytest.mark.looptime
async def test_each_attempt_ends_at_its_own_instant() -> None:
    """Whatever order they began in, and however many share the timer."""
    patience = Patience()

    ended = await asyncio.gather(
        ended_at(patience, 3),
        ended_at(patience, 1),
        ended_at(patience, 2, work=0.5),
        ended_at(patience, math.inf, work=50),
        ended_at(patience, 1),
        ended_at(patience, 0),
    )

    assert [*ended] == [3, 1, 0.5, 50, 1, 0]


@pytest.mark.looptime
async def test_the_clock_stands_still_while_it_is_paused() -> None:
    """What an attempt waits for in a line is no matter of its connection."""
    patience, loop = Patience(), asyncio.get_running_loop()

    async def attempt() -> float:
        try:
            with bound(patience, 2) as each:
                await asyncio.sleep(0.5)
                left = each.pause(loop.time())
                await asyncio.sleep(10)
                each.resume(left, loop.time())
                await asyncio.sleep(100)
        except TimeoutError:
            pass
        return loop.time()

    ended = await asyncio.gather(attempt(), ended_at(patience, 3), attempt())
    assert [*ended] == [12, 3, 12]


@pytest.mark.looptime
async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    """Before the time is over, and at the very instant at which it is."""
    patience, loop = Patience(), asyncio.get_running_loop()
    for instant in (1, 2):
        task = asyncio.create_task(ended_at(patience, 2))
        loop.call_later(instant, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.looptime
async def test_nothing_is_left_of_an_attempt_that_ended() -> None:
    """Its timer rings for nobody, or not at all, and to resume it later does nothing."""
    patience = Patience()
    with bound(patience, 5) as each:
        left = each.pause(asyncio.get_running_loop().time())
    each.resume(left, asyncio.get_running_loop().time())

    assert await ended_at(patience, 1, work=0.5) == 0.5
    await asyncio.sleep(10)
    assert patience._timer is None

    assert await ended_at(patience, 1, work=0.5) == 11
    patience.rest()
    assert patience._timer is None


@pytest.mark.looptime
async def test_one_timer_does_for_attempts_one_after_the_other() -> None:
    """It is set for the first of them, and not again before it rings."""
    patience, loop = Patience(), asyncio.get_running_loop()
    timers = set()
    for _ in range(3):
        await ended_at(patience, 2, work=0.5)
        timers.add(patience._timer)

    assert len(timers) == 1
    assert await ended_at(patience, 2) == loop.time() == 3.5


def test_it_goes_on_under_another_loop() -> None:
    """Attempts that a loop left behind keep no timer from those of the next."""
    patience = Patience()
    loop = asyncio.new_event_loop()
    abandoned = loop.create_task(ended_at(patience, 1000))
    loop.run_until_complete(asyncio.sleep(0))
    assert not abandoned.done()

    async def attempt() -> None:
        with bound(patience, 0.01):
            await asyncio.sleep(100)

    with pytest.raises(TimeoutError):
        asyncio.run(attempt())

    abandoned.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(abandoned)
    loop.close()
