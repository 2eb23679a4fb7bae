"""The in-process limit, in virtual time."""

import asyncio
import math
import time
from typing import Any

import pytest

from conference_async.accounts import AccountLimits
from conference_async.errors import ConfigurationError
from conference_async.limits import CreateLimit, Limit, Unpaced
from conference_async.line import Priority, next_ticket


async def start(limit: Limit, priority: Priority = Priority.INTERACTIVE) -> float:
    """Take one slot and use it."""
    async with limit.turn(priority, next_ticket()) as turn:
        return await turn.slot()


@pytest.mark.looptime
@pytest.mark.parametrize("cps", [0.5, 1, 2.5, 5, 29, 30])
async def test_creates_are_evenly_spaced(cps: float) -> None:
    """N creates take (N-1)/CPS, and no window of one second holds more than ceil(CPS)."""
    limit = CreateLimit(cps)

    starts = await asyncio.gather(*(start(limit) for _ in range(300)))

    assert starts[0] == 0
    assert starts[-1] == pytest.approx(299 / cps, abs=1e-5)
    windows = [sum(1 for each in starts if first <= each < first + 1) for first in starts]
    assert max(windows) <= math.ceil(cps)


@pytest.mark.looptime
async def test_idle_time_is_not_saved_up() -> None:
    """After a pause the first create starts at once and the second one interval later."""
    limit = CreateLimit(2)
    await start(limit)
    await asyncio.sleep(10)

    assert [await start(limit), await start(limit)] == [10, 10.5]


@pytest.mark.looptime
async def test_a_cancelled_waiter_costs_no_slot() -> None:
    """Who is cancelled in line or at its front leaves the slot to the next."""
    limit = CreateLimit(1)
    await start(limit)
    tasks = [asyncio.create_task(start(limit)) for _ in range(10)]
    await asyncio.sleep(0.5)
    for task in tasks[:9]:
        task.cancel()

    assert await tasks[9] == 1


@pytest.mark.looptime
async def test_a_slot_that_was_not_used_goes_to_the_next() -> None:
    """Given back at once, the same instant serves somebody else."""
    limit = CreateLimit(1)
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()
    turn.give_back()
    turn.give_back()

    assert [await start(limit), await start(limit)] == [0, 1]


@pytest.mark.looptime
async def test_a_slot_that_comes_back_late_is_gone() -> None:
    """Once a later one was taken, the pace counts from there."""
    limit = CreateLimit(1)
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()
    later = await start(limit)
    turn.give_back()

    assert [later, await start(limit)] == [1, 2]


@pytest.mark.looptime
async def test_an_interactive_create_behind_ten_thousand_bulk_ones_is_next() -> None:
    """A bot never waits longer than one slot for a campaign."""
    limit = CreateLimit(10)
    bulk = [asyncio.create_task(start(limit, Priority.BULK)) for _ in range(10_000)]
    await asyncio.sleep(0.05)

    assert await start(limit) == pytest.approx(0.2)
    for task in bulk:
        task.cancel()
    await asyncio.gather(*bulk, return_exceptions=True)


@pytest.mark.looptime
async def test_the_estimate_is_the_earliest_free_slot() -> None:
    """It counts those ahead, those of lower priority left out."""
    limit = CreateLimit(2)

    assert limit.estimate(Priority.INTERACTIVE) == 0
    await start(limit)
    assert limit.estimate(Priority.INTERACTIVE) == pytest.approx(0.5)
    tasks = [asyncio.create_task(start(limit, Priority.BULK)) for _ in range(4)]
    await asyncio.sleep(0)
    assert limit.estimate(Priority.INTERACTIVE) == pytest.approx(1.0)
    assert limit.estimate(Priority.BULK) == pytest.approx(2.5)
    assert limit.snapshot().waiting == 3
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.looptime
async def test_a_queue_at_the_service_slows_the_limit_and_a_drained_one_frees_it() -> None:
    """The closed loop halves the pace, says so, and comes back to the CPS but not above."""
    limit = CreateLimit(10)
    limit.observe(5000)

    starts = [await start(limit) for _ in range(3)]

    assert starts == pytest.approx([0, 0.2, 0.4])
    assert limit.snapshot().effective_cps == 5
    assert limit.snapshot().queue_time == 5000
    for _ in range(30):
        await asyncio.sleep(1)
        limit.observe(0)
    assert limit.snapshot().effective_cps == 10


@pytest.mark.flaky(reruns=2)  # a busy machine may stall this process
async def test_on_the_wall_clock_the_rate_is_kept() -> None:
    """Late wake-ups do not add up, and still no second holds more than the CPS."""
    limit = CreateLimit(30)
    begun = time.monotonic()

    starts = await asyncio.gather(*(start(limit) for _ in range(61)))

    assert time.monotonic() - begun < 4
    windows = [sum(1 for each in starts if first <= each < first + 1) for first in starts]
    assert max(windows) <= 30


@pytest.mark.parametrize("cps", [0, -1, 30.5, math.nan, math.inf, "5", None])
def test_a_rate_that_no_account_has_is_refused(cps: Any) -> None:
    """The bounds are more than 0 and at most 30."""
    with pytest.raises(ConfigurationError, match="cps must be more than 0 and at most 30"):
        CreateLimit(cps)


def test_a_limit_outlives_its_event_loop() -> None:
    """A second asyncio.run goes on at the pace of the first."""
    limit = CreateLimit(20)
    first = asyncio.run(start(limit))

    assert asyncio.run(start(limit)) >= first + 0.05


def test_a_loop_with_another_clock_starts_afresh() -> None:
    """Instants of one clock mean nothing on another; nobody waits for them to come."""

    class Earlier(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return super().time() - 1e6

    limit = CreateLimit(1)
    asyncio.run(start(limit))
    begun = time.monotonic()

    with asyncio.Runner(loop_factory=Earlier) as runner:
        runner.run(start(limit))

    assert time.monotonic() - begun < 30


async def test_a_limit_is_not_shared_by_two_running_loops() -> None:
    """Two loops in two threads need a limit made for that, and are told which."""
    limit = CreateLimit(20)
    await start(limit)

    with pytest.raises(ConfigurationError, match="SQLiteLimit"):
        await asyncio.to_thread(asyncio.run, start(limit))


@pytest.mark.looptime
async def test_a_new_rate_holds_from_the_last_start_on() -> None:
    """Changing the CPS does not forget when the last create started."""
    limit = CreateLimit(1)
    await start(limit)
    limit.cps = 4

    assert await start(limit) == 0.25
    assert repr(limit) == "<CreateLimit cps=4 waiting=0>"


async def test_unpaced_never_waits() -> None:
    """It is there for emulators and benchmarks."""
    limit = Unpaced()

    await start(limit)
    limit.observe(1000)
    limit.give_back()

    assert limit.estimate(Priority.BULK) == 0
    assert limit.snapshot().effective_cps == math.inf


def test_clients_of_one_account_share_one_limit() -> None:
    """The lowest rate of those that are open holds, and only until they are gone."""
    limits, account = AccountLimits(), ("AC1", "https://api.twilio.com")
    slow, fast = CreateLimit(), CreateLimit()

    limit = limits.claim(account, 5, slow)

    assert limits.claim(account, 30, fast) is limit
    assert limit.cps == 5
    limits.release(account, slow)
    assert limit.cps == 30
    limits.release(account, fast)
    limits.release(("AC2", "https://api.twilio.com"), fast)
    assert limits.claim(account, 2, slow) is limit
    assert limit.cps == 2
    assert limits.claim(("AC1", "http://127.0.0.1:1"), 2, slow) is not limit
