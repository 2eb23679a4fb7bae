"""Departures keep the pace, whatever lies between a slot and the wire; in virtual time."""

import asyncio
import itertools
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from conference_async.pace.contract import Limit
from conference_async.pace.line import Priority, next_ticket
from conference_async.pace.local import CreateLimit
from conference_async.pace.shared import SharedLimit
from conference_async.pace.slots import Pace, Reservation

pytestmark = pytest.mark.looptime

PLACES = 50
"""How many may be under way at once, as with a client's defaults."""


class Memory:
    """A store in this process, which answers after `latency` seconds."""

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self.row: Pace | None = None
        self.trips = 0
        self.gone = asyncio.Event()

    async def _answer(self) -> int:
        self.trips += 1
        await asyncio.sleep(self.latency)
        if self.gone.is_set():
            raise ConnectionError("gone")
        return round((clock() + 1000) * 1_000_000)

    async def open(self) -> None:
        """Have nothing to open."""

    async def reserve(self, *, cps: float, floor: float) -> Reservation:
        """Take the next slot."""
        now = await self._answer()
        self.row, reservation = Pace.reserve(self.row, now=now, cps=cps, floor=floor)
        return reservation

    async def give_back(self, reservation: Reservation) -> bool:
        """Free a slot."""
        await self._answer()
        freed = self.row and self.row.give_back(reservation)
        self.row = freed or self.row
        return freed is not None

    async def report(self, *, factor: float, queue_time: int) -> None:
        """Have nobody to tell."""

    async def aclose(self) -> None:
        """Have nothing to close."""


def clock() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


def limits_of(kind: str, cps: float) -> list[Limit]:
    """Return the limits of all processes: one with its own, one of a store, or four of one."""
    if kind == "local":
        return [CreateLimit(cps)]
    store = Memory(0.02 if kind == "far away" else 0.0)
    return [SharedLimit(store, cps) for _ in range(4 if kind == "four" else 1)]


KINDS = ["local", "shared", "far away", "four"]


class Process:
    """Creates of one process: each takes a place, sets out, and leaves."""

    def __init__(self, limit: Limit, left: list[float]) -> None:
        self.limit = limit
        self.left = left
        self.places = asyncio.Semaphore(PLACES)

    async def create(
        self,
        way: Callable[[], Awaitable[object]],
        priority: Priority = Priority.INTERACTIVE,
    ) -> float:
        """Go the way to the wire, and leave; return when."""
        ticket = next_ticket()
        while True:
            async with self.limit.turn(priority, ticket) as turn:
                await self.places.acquire()
                await turn.slot()
            started = False
            try:
                await way()
                started = await turn.start()
            finally:
                self.places.release()
                if not started:
                    turn.give_back()
            if started:
                self.left.append(clock())
                return clock()


def most_in_a_second(left: list[float]) -> int:
    """Return the most instants in any half-open window of one second."""
    return max(sum(first <= each < first + 1 for each in left) for first in left)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("cps", [0.01, 0.2, 2.5, 30])
async def test_a_way_of_any_length_costs_no_pace(kind: str, way: float, cps: float) -> None:
    """The rate is the lower of the CPS and of what the places allow, and no second sees more."""
    limits = limits_of(kind, cps)
    left: list[float] = []
    processes = [Process(limit, left) for limit in limits]
    count = min(90, 4 * max(2, int(cps * 2)))

    await asyncio.gather(
        *(processes[n % len(limits)].create(lambda: asyncio.sleep(way)) for n in range(count))
    )

    rate = min(cps, PLACES * len(limits) / way if way else cps)
    # Where slots come from others, what the way is has to be learnt: that costs the way, once.
    learning = 0.0 if kind == "local" else way + 0.05
    assert left[-1] <= way + (count - 1) / rate + learning + 0.01
    assert most_in_a_second(left) <= math.ceil(cps) + (kind != "local")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cps", [0.2, 2.5, 30])
async def test_uneven_ways_cost_pace_once(kind: str, cps: float) -> None:
    """Starts are evenly spaced although each way takes another time, up to two seconds."""
    limits, dice = limits_of(kind, cps), random.Random(1)
    left: list[float] = []
    processes = [Process(limit, left) for limit in limits]
    count = min(90, 4 * max(2, int(cps * 2)))

    def way() -> Awaitable[None]:
        return asyncio.sleep(dice.uniform(0, 2))

    await asyncio.gather(*(processes[n % len(limits)].create(way) for n in range(count)))

    assert left[-1] <= 2 + (count - 1) / cps + 0.5
    assert most_in_a_second(left) <= math.ceil(cps) + (kind != "local")
    if kind == "local":
        gaps = [later - earlier for earlier, later in itertools.pairwise(left)]
        assert min(gaps) >= 0.5 / cps - 1e-5


@asynccontextmanager
async def a_closed_gate(seconds: float) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Yield a way that nobody can go before so many seconds have passed."""
    gate = asyncio.Event()
    opening = asyncio.create_task(asyncio.sleep(seconds))
    opening.add_done_callback(lambda _: gate.set())
    yield gate.wait
    await opening


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cps", [0.2, 1, 5, 30])
async def test_what_was_held_up_does_not_leave_at_once(kind: str, cps: float) -> None:
    """After four seconds without a name or a connection the creates leave one by one."""
    limits = limits_of(kind, cps)
    left: list[float] = []
    processes = [Process(limit, left) for limit in limits]
    count = min(90, 4 * max(2, int(cps * 2)))

    async with a_closed_gate(4) as way:
        await asyncio.gather(*(processes[n % len(limits)].create(way) for n in range(count)))

    assert left[0] == pytest.approx(4, abs=0.1)
    assert left[-1] <= 4 + (count - 1) / cps + (kind != "local") * (1 / cps + 0.1) + 0.01
    assert most_in_a_second(left) <= math.ceil(cps) + (kind != "local")
    if kind == "local":
        gaps = [later - earlier for earlier, later in itertools.pairwise(left)]
        assert min(gaps) >= 0.5 / cps - 1e-5


@pytest.mark.parametrize("kind", KINDS)
async def test_what_never_left_is_in_no_record(kind: str) -> None:
    """Five creates that are cancelled on their way cost the next ten neither time nor evenness."""
    [limit, *_] = limits_of(kind, 5)
    process = Process(limit, [])
    for _ in range(5):
        stuck = asyncio.create_task(process.create(asyncio.Event().wait))
        await asyncio.sleep(0.1)
        stuck.cancel()
        await asyncio.wait([stuck])
    begun = clock()

    await asyncio.gather(*(process.create(lambda: asyncio.sleep(0)) for _ in range(10)))

    first = process.left[0]
    assert first <= begun + 0.2 + 0.05
    assert process.left == pytest.approx([first + number / 5 for number in range(10)], abs=0.02)


async def test_one_that_is_stuck_holds_nobody_up() -> None:
    """A connection that hangs delays its own create, and the pace of the others is kept."""
    process = Process(CreateLimit(5), [])
    stuck = asyncio.create_task(process.create(asyncio.Event().wait))
    await asyncio.sleep(0)

    await asyncio.gather(*(process.create(lambda: asyncio.sleep(0.01)) for _ in range(20)))

    assert process.left[-1] - process.left[0] == pytest.approx(19 / 5, abs=0.02)
    assert len(process.places._waiters or ()) == 0
    stuck.cancel()
    await asyncio.wait([stuck])


async def test_after_a_stall_somebody_who_waits_is_next() -> None:
    """An interactive create passes the bulk ones also where they stand at the wire."""
    process = Process(CreateLimit(5), [])
    async with a_closed_gate(4) as way:
        bulk = [asyncio.create_task(process.create(way, Priority.BULK)) for _ in range(40)]
        await asyncio.sleep(4.05)

        left = await process.create(lambda: asyncio.sleep(0))

    assert left <= 4.05 + 2 / 5
    for task in bulk:
        task.cancel()
    await asyncio.wait(bulk)


async def test_a_store_that_is_gone_sends_whoever_stands_at_the_wire_back() -> None:
    """Nobody holds a connection for as long as an outage lasts, and all leave when it is over."""
    store = Memory()
    limit = SharedLimit(store, 2)
    process, at_the_wire = Process(limit, []), []

    async def way() -> None:
        at_the_wire.append(clock())
        await asyncio.sleep(0.3)

    await process.create(way)
    tasks = [asyncio.create_task(process.create(way)) for _ in range(3)]
    await asyncio.sleep(0.1)
    store.gone.set()
    await asyncio.sleep(10)
    set_out = len(at_the_wire)
    await asyncio.sleep(50)

    assert len(at_the_wire) == set_out
    assert process.places._value == PLACES - 1  # the one at the front of the line
    store.gone.clear()
    await asyncio.gather(*tasks)
    assert process.left[-1] <= 61 + 3


async def test_a_slot_that_comes_too_late_is_offered_to_the_others() -> None:
    """A slot that a process could not use in time costs one round trip, and is not lost."""
    store = Memory()
    one, other = Process(SharedLimit(store, 5), []), Process(SharedLimit(store, 5), [])
    slow = asyncio.create_task(one.create(lambda: asyncio.sleep(0.7)))
    await asyncio.sleep(0)

    await asyncio.gather(*(other.create(lambda: asyncio.sleep(0)) for _ in range(10)), slow)

    assert max(*one.left, *other.left) <= 11 / 5 + 0.05


@pytest.mark.parametrize("places", [1, 2])
async def test_few_places_hold_nobody_up_for_ever(places: int) -> None:
    """A bulk create that makes room keeps its place only until it has left."""
    process = Process(CreateLimit(2), [])
    process.places = asyncio.Semaphore(places)
    kinds = [Priority.BULK, Priority.INTERACTIVE] * 10

    await asyncio.gather(*(process.create(lambda: asyncio.sleep(0.1), kind) for kind in kinds))

    assert process.left[-1] <= 0.1 + 19 * (0.5 if places > 1 else 0.6)
