"""Bulk creates of many processes hold no interactive one up: in virtual time, to the exact slot."""

import asyncio
import itertools
import math
import random
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from conference_async.pace.contract import SECOND
from conference_async.pace.line import Priority, next_ticket
from conference_async.pace.lines import LineStore, LineWish
from conference_async.pace.postgres import PostgresLimit
from conference_async.pace.queue import Queue
from conference_async.pace.redis import RedisLimit
from conference_async.pace.shared import SharedLimit
from conference_async.pace.slots import Pace, Queuing, Reservation
from conference_async.pace.sqlite import SQLiteLimit
from tests.pace.test_shared import Store, cancel, clock, instant, most_in_a_second, start

LIMITS: dict[str, Callable[..., SharedLimit]] = {
    "sqlite": SQLiteLimit,
    "redis": RedisLimit,
    "postgres": PostgresLimit,
}


class Campaigns:
    """Processes that dial in bulk, each with some creates in line at all times."""

    def __init__(self, limits: list[SharedLimit], *, waiting: int = 3) -> None:
        self.started: list[float] = []
        self.shares: list[int] = [0] * len(limits)
        self._tasks = [
            [asyncio.create_task(self._dial(number, limit)) for _ in range(waiting)]
            for number, limit in enumerate(limits)
        ]

    async def _dial(self, number: int, limit: SharedLimit) -> float:
        while True:
            self.started.append(await start(limit, Priority.BULK))
            self.shares[number] += 1

    async def end(self, processes: slice = slice(None)) -> None:
        """Cancel all that some of them dial."""
        await cancel([task for tasks in self._tasks[processes] for task in tasks])


@pytest.mark.looptime
@pytest.mark.parametrize("processes", [1, 2, 4, 8])
async def test_an_interactive_create_has_the_slot_after_the_one_under_way(processes: int) -> None:
    """At one call per second it waits one second and a half at most; no slot is lost by it."""
    store = Store()
    campaigns = Campaigns([SharedLimit(store, 1) for _ in range(processes)])
    bot, interactive = SharedLimit(store, 1), list[float]()
    await asyncio.sleep(2 * processes)
    for number in range(40):
        await asyncio.sleep(5 + number / 40)
        asked = clock()
        interactive.append(await start(bot))
        # Half a second before it begins a slot goes to the bulk create whose turn it is.
        assert interactive[-1] == instant(math.floor(asked + 0.5) + 1)
    await campaigns.end()

    found = sorted(campaigns.started + interactive)
    assert found == instant(list(range(len(found))))
    # Each asks once for its slot, and once more if an interactive one went before it.
    assert store.calls.count("reserve") <= len(found) + len(interactive) + 2 * processes


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("cps", "slots"),
    [(0.5, 1.5), (2, 1.5), (4, 2.5), (10, 4), (30, 9)],
    ids=lambda value: f"{value}",
)
@pytest.mark.parametrize("processes", [8, 50])
async def test_at_any_rate_it_waits_for_few_slots_and_none_is_lost(
    processes: int, cps: float, slots: float
) -> None:
    """One and a half, or what fits in a quarter of a second and one and a half besides."""
    chance, store = random.Random(1), Store(0.005)
    campaigns = Campaigns([SharedLimit(store, cps) for _ in range(processes)])
    bot, interactive = SharedLimit(store, cps), list[float]()
    await asyncio.sleep(1 + 2 * processes / cps)
    begun, asked = clock(), store.calls.count("reserve")
    for _ in range(20):
        await asyncio.sleep(chance.uniform(3, 9) / cps)
        before = clock()
        interactive.append(await start(bot))
        assert (interactive[-1] - before) * cps <= slots + 0.2
    took = clock() - begun
    await campaigns.end()

    found = [each for each in campaigns.started + interactive if each > begun]
    assert len(found) == pytest.approx(took * cps, abs=1.5)
    assert most_in_a_second(sorted(found)) <= math.ceil(cps) + 1
    assert store.calls.count("reserve") - asked <= len(found) + len(interactive) + processes


@pytest.mark.looptime
async def test_an_interactive_create_of_a_process_that_dials_in_bulk_waits_no_longer() -> None:
    """The process asks for it at once, and the bulk create at the front steps aside."""
    store = Store()
    limits = [SharedLimit(store, 1) for _ in range(8)]
    campaigns, interactive = Campaigns(limits), list[float]()
    await asyncio.sleep(20)
    for number in range(20):
        await asyncio.sleep(7 + number / 20)
        asked = clock()
        assert limits[0].estimate(Priority.INTERACTIVE) < 1.51
        interactive.append(await start(limits[0]))
        assert interactive[-1] - asked < 2.01
    await campaigns.end()

    found = sorted(campaigns.started + interactive)
    assert found == instant(list(range(len(found))))


@pytest.mark.looptime
async def test_many_interactive_creates_in_a_row_pass_one_after_the_other() -> None:
    """Ten of one process take ten slots, and not as many as all processes in bulk have between."""
    store = Store()
    campaigns = Campaigns([SharedLimit(store, 1) for _ in range(8)])
    await asyncio.sleep(20.1)
    bot = SharedLimit(store, 1)

    found = await asyncio.gather(*(start(bot) for _ in range(10)))
    await campaigns.end()

    assert sorted(found) == instant([float(second) for second in range(21, 31)])


@pytest.mark.looptime
async def test_interactive_creates_without_end_leave_bulk_its_slots() -> None:
    """One slot after about nine, as in the line of one process."""
    store = Store()
    campaigns = Campaigns([SharedLimit(store, 1)])
    await asyncio.sleep(5.1)
    bot = SharedLimit(store, 1)
    tasks = [asyncio.create_task(start(bot)) for _ in range(200)]
    before = len(campaigns.started)
    await asyncio.sleep(100)
    bulk = len(campaigns.started) - before
    await cancel(tasks)
    await campaigns.end()

    assert 9 <= bulk <= 12


@pytest.mark.looptime
async def test_the_processes_take_turns() -> None:
    """However few creates one of them has in line: who was told of a slot has it before them."""
    store = Store(0.005)
    limits = [SharedLimit(store, 2) for _ in range(8)]
    few, many = Campaigns(limits[:4], waiting=1), Campaigns(limits[4:], waiting=9)
    await asyncio.sleep(80)
    await few.end()
    await many.end()

    assert max(few.shares + many.shares) - min(few.shares + many.shares) <= 2
    assert sum(few.shares + many.shares) >= 158


@pytest.mark.looptime
async def test_who_leaves_the_queue_takes_one_slot_with_it_at_most() -> None:
    """Seven of eight stop at once: what is left goes on, and soon at the full rate."""
    store = Store()
    campaigns = Campaigns([SharedLimit(store, 1) for _ in range(8)])
    await asyncio.sleep(20.1)
    before = len(campaigns.started)

    await campaigns.end(slice(1, None))
    await asyncio.sleep(8)
    meanwhile = len(campaigns.started) - before
    await asyncio.sleep(20)
    await campaigns.end()

    assert meanwhile >= 1
    assert len(campaigns.started) - before - meanwhile >= 19


@pytest.mark.looptime
async def test_a_store_that_keeps_no_queue_is_asked_as_ever() -> None:
    """A store of somebody's own needs no more than it had."""

    class Simple(Store):
        reserve_queued: Any = None

        async def reserve(self, *, cps: float, floor: float) -> Reservation:
            now = await self._question("reserve")
            self.row, reservation = Pace.reserve(self.row, now=now, cps=cps, floor=floor)
            await self._answer()
            return reservation

    store = Simple()
    campaigns = Campaigns([SharedLimit(store, 1) for _ in range(4)])
    await asyncio.sleep(20.5)
    await campaigns.end()

    assert sorted(campaigns.started) == instant(list(range(21)))


@pytest.mark.looptime
async def test_a_store_that_was_lost_is_told_of_the_slots_of_those_in_the_queue() -> None:
    """Whoever asks first is the next in the queue, and those before it have their slots."""
    store = Store()
    campaigns = Campaigns([SharedLimit(store, 1) for _ in range(8)])
    for second in range(5):
        await asyncio.sleep(9 + second / 5)
        store.row = None
    await asyncio.sleep(10)
    await campaigns.end()

    found = sorted(campaigns.started)
    assert min(later - one for one, later in itertools.pairwise(found)) > 0.9999
    assert len(found) >= 50


@pytest.mark.looptime
async def test_a_create_with_a_long_way_is_at_the_wire_when_its_slot_begins() -> None:
    """It sets out before that is reserved: that it was told of it is enough."""
    store, started = Store(), list[float]()

    async def dial(limit: SharedLimit) -> None:
        while True:
            async with limit.turn(Priority.BULK, next_ticket()) as turn:
                await turn.slot()
            await asyncio.sleep(0.8)
            assert await turn.start()
            started.append(clock())

    limits = [SharedLimit(store, 1) for _ in range(4)]
    tasks = [asyncio.create_task(dial(limit)) for limit in limits for _ in range(3)]
    await asyncio.sleep(60)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    found = [each for each in sorted(started) if each > 20]
    assert found == instant([found[0] + number for number in range(len(found))])
    assert found[0] == instant(round(found[0]))


@pytest.mark.looptime
async def test_a_slot_of_which_nobody_made_use_is_not_asked_for_later() -> None:
    """Whoever comes back later than that is told anew."""
    queue = Queue()
    queue.hears(reservation(taken=True, expected=3 * SECOND), 0.0)

    assert queue.asks(3.9, 1.0, more=False).told
    assert not queue.asks(4.1, 1.0, more=False).told
    assert not queue.waits


def reservation(*, taken: bool, expected: int | None) -> Reservation:
    """Return what a store may say."""
    return Reservation(wait=0.0, slot=0, taken=taken, expected=expected, cps=1.0)


def test_who_was_told_of_a_slot_has_it_before_whoever_comes() -> None:
    """And when none is taken any more nobody is left who could come for the one it was told of."""
    asks = Queuing(within=0.75, more=True)
    row, first = Pace.reserve(None, now=0, cps=1.0, floor=0.0, queuing=asks)
    assert (first.slot, first.taken, first.expected) == (0, True, SECOND)

    row, newcomer = Pace.reserve(row, now=SECOND // 2, cps=1.0, floor=0.0, queuing=asks)
    assert (newcomer.slot, newcomer.taken, newcomer.expected) == (2 * SECOND, False, 2 * SECOND)
    assert newcomer.wait == 1.5

    told = Queuing(within=0.75, told=True, more=True)
    _, second = Pace.reserve(row, now=SECOND // 2, cps=1.0, floor=0.0, queuing=told)
    assert (second.slot, second.taken, second.expected) == (SECOND, True, 3 * SECOND)

    _, late = Pace.reserve(row, now=SECOND, cps=1.0, floor=0.0, queuing=asks)
    assert (late.slot, late.taken, late.expected) == (SECOND, True, 2 * SECOND)


async def test_sixteen_processes_in_bulk_hold_nobody_up(place: tuple[str, str]) -> None:
    """On each of the stores, and by its own clock."""
    account = uuid.uuid4().hex
    limits = [LIMITS[place[0]](place[1], 10, account=account) for _ in range(17)]
    bot = limits.pop()
    campaigns, before = Campaigns(limits), list[int]()
    try:
        await asyncio.sleep(1)
        for number in range(5):
            await asyncio.sleep(0.3 + number / 50)
            count = len(campaigns.started)
            await start(bot)
            before.append(len(campaigns.started) - count)
    finally:
        await campaigns.end()
        for limit in (bot, *limits):
            await limit.aclose()

    # A quarter of a second and one and a half slots; the most while others wait would be 17.
    assert max(before) <= 6


async def test_a_line_is_kept_while_the_slot_is_not_near(place: tuple[str, str]) -> None:
    """It is taken with the first question, and the slot comes with a later one."""
    limit = LIMITS[place[0]](place[1], 0.1, account=uuid.uuid4().hex, max_live=5)
    store = limit._store
    assert isinstance(store, LineStore)
    wish = LineWish(name="a", max_live=5, queuing=Queuing(within=0.2))
    async with limit:
        await store.open()
        await store.reserve(cps=0.1, floor=0)
        count, early = await store.reserve_with_line(cps=0.1, floor=0, wish=wish)
        assert (count.live, count.taken) == (1, True)
        assert early is not None
        assert not early.taken
        assert early.expected == early.slot

        wish = LineWish(name="a", max_live=5, queuing=Queuing(within=60, told=True))
        count, late = await store.reserve_with_line(cps=0.1, floor=0, wish=wish)

    assert (count.live, count.taken) == (1, True)
    assert late is not None
    assert late.taken
    assert late.slot >= early.slot
