"""The shared limit on a store in memory, in virtual time: every instant is exact."""

import asyncio
import itertools
import logging
import math
from typing import Any

import pytest

from conference_async.errors import ConfigurationError
from conference_async.pace.contract import Limit
from conference_async.pace.line import Priority, next_ticket
from conference_async.pace.shared import SharedLimit
from conference_async.pace.slots import Pace, Queuing, Reservation

pytestmark = pytest.mark.looptime


class Store:
    """A store that answers after `latency` seconds, and may be gone or forget."""

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self.row: Pace | None = None
        self.error: Exception | None = None
        self.errors: list[Exception] = []
        self.calls: list[str] = []
        self.asked: list[float] = []
        self.closed = 0
        self.refused = 0
        self.clock_error = 0.0
        self.frozen = asyncio.Event()
        self.frozen.set()

    async def _question(self, name: str) -> int:
        """Arrive with a question; return the server's time in microseconds."""
        self.calls.append(name)
        self.asked.append(clock())
        await asyncio.sleep(self.latency / 2)
        await self.frozen.wait()
        if self.error is not None:
            raise self.error
        if self.errors:
            raise self.errors.pop()
        return round((asyncio.get_running_loop().time() + 1000 + self.clock_error) * 1_000_000)

    async def _answer(self) -> None:
        """Be on the way back."""
        await asyncio.sleep(self.latency / 2)

    async def open(self) -> None:
        """Have nothing to open."""

    async def reserve(self, *, cps: float, floor: float) -> Reservation:
        """Take the next slot."""
        return await self.reserve_queued(cps=cps, floor=floor, queuing=None)

    async def reserve_queued(
        self, *, cps: float, floor: float, queuing: Queuing | None
    ) -> Reservation:
        """Take the next slot if it is near."""
        now = await self._question("reserve")
        self.row, reservation = Pace.reserve(
            self.row, now=now, cps=cps, floor=floor, queuing=queuing
        )
        await self._answer()
        self.refused += not reservation.taken
        return reservation

    async def give_back(self, reservation: Reservation) -> bool:
        """Free a slot."""
        await self._question("give_back")
        freed = self.row and self.row.give_back(reservation)
        self.row = freed or self.row
        await self._answer()
        return freed is not None

    async def report(self, *, factor: float, queue_time: int) -> None:
        """Share a slow-down."""
        now = await self._question("report")
        if self.row is not None:
            self.row = self.row.report(now=now, factor=factor, queue_time=queue_time)
        await self._answer()

    async def aclose(self) -> None:
        """Count."""
        self.closed += 1

    def __repr__(self) -> str:
        """Return a short name."""
        return "memory"


def clock() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


def instant(expected: Any) -> Any:
    """Return an instant as exact as the store's clock, which counts microseconds."""
    return pytest.approx(expected, abs=1e-5)


async def start(limit: Limit, priority: Priority = Priority.INTERACTIVE) -> float:
    """Take one slot and use it; return when it really started."""
    while True:
        async with limit.turn(priority, next_ticket()) as turn:
            await turn.slot()
        if await turn.start():
            return clock()


async def starts(limits: list[SharedLimit], each: int) -> list[float]:
    """Let every limit start so many creates; return the instants in order."""
    found = await asyncio.gather(*(start(limit) for limit in limits for _ in range(each)))
    return sorted(found)


async def cancel(tasks: "list[asyncio.Task[float]]") -> None:
    """Cancel tasks and wait until they and what they left behind have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.mark.parametrize("processes", [1, 4, 16])
@pytest.mark.parametrize("cps", [1, 10, 20])
async def test_all_processes_together_keep_the_rate(processes: int, cps: float) -> None:
    """N creates take (N-1)/CPS however many processes share them, evenly spaced."""
    store = Store()
    limits = [SharedLimit(store, cps) for _ in range(processes)]

    found = await starts(limits, 64 // processes)

    assert found == pytest.approx([number / cps for number in range(64)], abs=1e-5)
    assert store.calls.count("reserve") <= 64 + processes


async def test_whoever_waits_sets_out_as_soon_as_the_store_is_known_to_be_there() -> None:
    """The first answers are so slow that their slots have passed; the way goes on meanwhile."""
    limit = SharedLimit(Store(latency=0.08), 30)

    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()

    assert clock() == instant(0.08)
    turn.give_back()
    await limit.aclose()


@pytest.mark.parametrize("latency", [0.001, 0.01, 0.05])
async def test_the_round_trip_costs_no_rate(latency: float) -> None:
    """The next slot is asked for before the last one is used."""
    limit = SharedLimit(Store(latency), 10)
    for _ in range(20):  # what is usual has to be learnt
        await start(limit)
        await asyncio.sleep(1)
    begun = clock() + latency

    found = await starts([limit], 20)

    assert found == pytest.approx([begun + number / 10 for number in range(20)], abs=1e-3)


async def test_the_next_slot_is_asked_for_one_interval_before_the_one_in_hand() -> None:
    """Sooner, no other process could have it meanwhile; later, the round trip would cost rate."""
    store = Store()
    others = [asyncio.create_task(start(SharedLimit(store, 1))) for _ in range(4)]
    await asyncio.sleep(0)
    limit = SharedLimit(store, 1)

    assert await starts([limit], 3) == instant([4, 5, 6])

    assert store.asked == instant([0] * 5 + [3, 4])
    assert store.asked[5] > 3  # a loop's timer may be early by a tick, and there it would be again
    await asyncio.gather(*others)


async def test_a_slot_is_asked_for_by_the_time_somebody_can_be_at_the_wire() -> None:
    """Who is known to take as long for the way finds the slot there, and waits no round trip."""
    limit = SharedLimit(Store(0.1), 1)
    found: list[float] = []

    for _ in range(2):
        async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
            await turn.slot()
        await asyncio.sleep(0.6)
        assert await turn.start()
        found.append(clock())

    assert found == instant([0.7, 1.4])


async def test_one_process_of_many_gets_its_share() -> None:
    """A process with many in line gets no more than one with enough."""
    store = Store(0.005)
    limits = [SharedLimit(store, 10) for _ in range(4)]
    counts = [0] * 4

    async def dial(number: int) -> None:
        while True:
            await start(limits[number])
            counts[number] += 1

    tasks = [asyncio.create_task(dial(number)) for number in (0, 1, 1, 2, 2, 2, *[3] * 50)]
    await asyncio.sleep(20)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert sum(counts) == pytest.approx(200, abs=2)
    assert max(counts) <= 1.5 * min(counts)


async def test_a_cancelled_waiter_leaves_its_slot_to_the_next() -> None:
    """Nothing is reserved anew for who takes the place of somebody who gave up."""
    store = Store()
    limit = SharedLimit(store, 1)
    await start(limit)
    tasks = [asyncio.create_task(start(limit)) for _ in range(10)]
    await asyncio.sleep(0.5)
    for task in tasks[:9]:
        task.cancel()

    assert await tasks[9] == instant(1)
    assert store.calls.count("reserve") <= 3


async def test_what_nobody_waits_for_is_given_back() -> None:
    """When the last in line is gone, other processes can have the slots."""
    store = Store()
    one, other = SharedLimit(store, 1), SharedLimit(store, 1)
    await start(one)
    await cancel([asyncio.create_task(start(one)) for _ in range(3)])
    tasks = [asyncio.create_task(start(one)) for _ in range(3)]
    await asyncio.sleep(0.5)
    await cancel(tasks)

    assert await start(other) == instant(1)


async def test_a_slot_that_cannot_be_given_back_is_kept_for_a_newcomer() -> None:
    """Somebody reserved after it, so the store declines, once; who comes in time uses it."""
    store = Store()
    one, other = SharedLimit(store, 1), SharedLimit(store, 1)
    await start(one)
    task = asyncio.create_task(start(one))
    await asyncio.sleep(0.1)
    behind = asyncio.create_task(start(other))
    await asyncio.sleep(0.1)
    await cancel([task])
    await cancel([asyncio.create_task(start(one))])

    assert await start(one) == instant(1)
    assert await behind == instant(2)
    assert store.calls.count("give_back") == 1


async def test_a_kept_slot_that_is_too_late_is_not_used() -> None:
    """A create that comes an interval after a kept slot's time waits for another."""
    store = Store()
    one, other = SharedLimit(store, 1), SharedLimit(store, 1)
    await start(one)
    task = asyncio.create_task(start(one))
    await asyncio.sleep(0.1)
    behind = asyncio.create_task(start(other))
    await asyncio.sleep(0.1)
    await cancel([task])
    await asyncio.sleep(1.9)

    assert await start(one) == instant(3)
    assert await behind == instant(2)


async def test_an_unused_slot_goes_to_the_next_in_line() -> None:
    """A create that failed before it was sent costs no slot."""
    limit = SharedLimit(Store(), 1)
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()
        behind = asyncio.create_task(start(limit))
        await asyncio.sleep(0)
        turn.give_back()
        turn.give_back()

    assert await behind == 0


async def test_a_slot_that_is_put_back_after_the_start_serves_the_next() -> None:
    """A connection that closed in that very instant costs nobody a slot."""
    limit = SharedLimit(Store(), 1)
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()
    assert await turn.start()
    turn.give_back()

    assert await start(limit) == 0
    assert await start(limit) == instant(1)


async def test_a_slot_whose_time_is_over_is_given_back_for_another() -> None:
    """A create whose way took longer than an interval takes a new slot, and wastes none."""
    store = Store()
    limit = SharedLimit(store, 1)
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()
    await asyncio.sleep(1.5)

    assert await turn.start()
    assert clock() == instant(1.5)
    assert sorted(store.calls) == ["give_back", "reserve", "reserve"]


async def test_a_late_start_does_not_delay_the_next() -> None:
    """Slots are counted by the store, not from when they were used."""
    limit = SharedLimit(Store(), 10)
    await start(limit)
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()
    await asyncio.sleep(0.18 - clock())
    assert await turn.start()
    assert clock() == instant(0.18)

    assert await start(limit) == instant(0.2)


async def test_each_slot_that_nobody_waits_for_is_given_back() -> None:
    """Once and again, also after a store that did not answer was given up."""
    store = Store()
    limit = SharedLimit(store, 1)
    await start(limit)
    for count in (1, 2):
        task = asyncio.create_task(start(limit))
        await asyncio.sleep(0.1)
        await cancel([task])
        assert store.calls.count("give_back") == count

    task = asyncio.create_task(start(limit))
    await asyncio.sleep(0.1)
    store.frozen.clear()
    await cancel([task])
    await asyncio.sleep(2.5)
    store.frozen = asyncio.Event()  # what was asked before is never answered
    store.frozen.set()
    task = asyncio.create_task(start(limit))
    await asyncio.sleep(0.1)
    assert task.done()
    task = asyncio.create_task(start(limit))
    await asyncio.sleep(0.1)
    await cancel([task])
    assert store.calls.count("give_back") > 3


async def test_a_slot_that_others_reserved_behind_is_not_offered() -> None:
    """The store would decline, and it would cost a round trip each time."""
    store = Store()
    others = [SharedLimit(store, 10) for _ in range(4)]
    limit = SharedLimit(store, 10)
    waiting = [asyncio.create_task(start(other)) for other in others for _ in range(2)]
    await asyncio.sleep(0.001)

    task = asyncio.create_task(start(limit))
    await asyncio.sleep(0.001)
    await cancel([task])

    assert store.calls.count("give_back") == 0
    await asyncio.gather(*waiting)


async def test_a_slow_rate_is_asked_for_no_more_than_a_fast_one() -> None:
    """One round trip for each create, however long it waits for its slot."""
    store = Store()
    limit = SharedLimit(store, 0.2)

    assert await starts([limit], 4) == instant([0, 5, 10, 15])

    assert store.calls.count("reserve") <= 5


async def test_an_unused_slot_wakes_who_waits_for_a_later_one() -> None:
    """The earlier of two slots is used, even by who was already asleep."""
    limit = SharedLimit(Store(), 1)
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()
    behind = asyncio.create_task(start(limit))
    await asyncio.sleep(0.1)
    turn.give_back()

    assert await behind == instant(0.1)
    assert await start(limit) == instant(1)


async def test_a_storm_of_cancellations_keeps_the_rate() -> None:
    """However many give up, at least 95 % of the slots are used."""
    store = Store(0.005)
    limits = [SharedLimit(store, 10) for _ in range(4)]
    found: list[float] = []

    async def dial(limit: SharedLimit, patience: float) -> None:
        while True:
            try:
                async with asyncio.timeout(patience):
                    found.append(await start(limit))
            except TimeoutError:
                await asyncio.sleep(0.003)

    tasks = [
        asyncio.create_task(dial(limit, 0.05 + number / 10))
        for limit in limits
        for number in range(8)
    ]
    await asyncio.sleep(12)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert len(found) >= 120 * 0.95
    assert most_in_a_second(found) <= 11


def most_in_a_second(found: list[float]) -> int:
    """Return the most instants in any half-open window of one second."""
    return max(sum(first <= each < first + 1 for each in found) for first in found)


async def test_interactive_creates_pass_before_bulk_ones() -> None:
    """A slot belongs to nobody until it begins, so a newcomer that somebody waits for has it."""
    limit = SharedLimit(Store(), 10)
    bulk = [asyncio.create_task(start(limit, Priority.BULK)) for _ in range(100)]
    await asyncio.sleep(0.05)

    assert await start(limit) == instant(0.2)
    await cancel(bulk)


async def test_while_the_store_is_gone_creates_wait(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing starts but what was reserved, and when it is back the full rate is, in a second."""
    store = Store(0.001)
    limit = SharedLimit(store, 10)
    tasks = [asyncio.create_task(start(limit)) for _ in range(40)]
    await asyncio.sleep(1.05)
    store.error = ConnectionError("redis://user:secret@host is gone, said +15558675310")
    await asyncio.sleep(5)
    store.error, store.row = None, None

    found = sorted(await asyncio.gather(*tasks))

    before = [each for each in found if each <= 1.05]
    during = [each for each in found if 1.05 < each <= 6.05]
    after = [each for each in found if each > 6.05]
    assert len(before) == 11
    assert len(during) <= 2
    assert after[0] < 6.05 + 0.6
    assert after == pytest.approx([after[0] + number / 10 for number in range(len(after))])
    warnings = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "secret" not in caplog.text
    assert "8675310" not in caplog.text


async def test_a_deadline_ends_the_wait_for_a_store_that_is_gone() -> None:
    """It can be cancelled at any time, and asks no more when nobody waits."""
    store = Store()
    store.error = OSError("gone")
    limit = SharedLimit(store, 10)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await start(limit)
    await asyncio.sleep(1)
    asked = len(store.calls)
    await asyncio.sleep(10)

    assert clock() == instant(14)
    assert len(store.calls) == asked


async def test_a_store_that_does_not_answer_counts_as_gone() -> None:
    """A question is given up after two seconds and asked again."""
    store = Store()
    limit = SharedLimit(store, 10)
    store.frozen.clear()
    task = asyncio.create_task(start(limit))
    await asyncio.sleep(5)
    assert store.asked == instant([0, 2, 4.05])
    store.frozen.set()

    assert await task == pytest.approx(5, abs=0.1)


@pytest.mark.usefixtures("nothing_left_over")
async def test_a_connection_that_was_closed_while_idle_is_not_an_outage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first failure is retried at once and without a word."""
    store = Store()
    limit = SharedLimit(store, 10)

    for begun in (0, 60):
        await asyncio.sleep(begun - clock())
        store.errors = [ConnectionResetError("idle for too long")]
        assert await start(limit) == begun
    assert not caplog.records


@pytest.mark.parametrize(
    ("fallback_cps", "meanwhile"),
    [(None, "creates wait for it"), (2, "this process paces by itself, at 2 CPS")],
)
async def test_a_store_that_is_gone_is_asked_again_and_again(
    fallback_cps: float | None, meanwhile: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At pauses that grow to half a second, and the log says once what happens meanwhile."""
    caplog.set_level("INFO", "conference_async.pace")
    store = Store()
    store.error = OSError("gone")
    limit = SharedLimit(store, 10, fallback_cps=fallback_cps)
    tasks = [asyncio.create_task(start(limit)) for _ in range(20)]
    await asyncio.sleep(0.01)
    assert len(caplog.messages) == 1
    await asyncio.sleep(1.99)

    assert store.asked == instant([0, 0, 0.05, 0.15, 0.35, 0.75, 1.25, 1.75])
    store.error = None
    await asyncio.sleep(0.5)
    assert caplog.messages == [
        f"the store of the shared pace cannot be reached (OSError: gone): {meanwhile}",
        "the store of the shared pace is back",
    ]
    await cancel(tasks)


async def test_a_fallback_is_for_a_store_that_is_gone_only() -> None:
    """Processes that may pace by themselves share the pace all the same while they can."""
    store = Store(0.01)
    limits = [SharedLimit(store, 10, fallback_cps=30) for _ in range(4)]

    found = await starts(limits, 8)

    assert most_in_a_second(found) <= 11
    assert found[-1] >= 31 / 10 - 0.01


async def test_the_estimate_of_a_process_that_paces_by_itself_goes_by_its_own_rate() -> None:
    """A deadline is judged by what will happen."""
    store = Store()
    store.error = OSError("gone")
    limit = SharedLimit(store, 10, fallback_cps=2)
    await start(limit)

    assert limit.estimate(Priority.INTERACTIVE) == instant(0.5)


async def test_a_slot_of_our_own_that_is_put_back_is_nobody_elses() -> None:
    """It was never the store's: the next one keeps its distance, and nothing is told."""
    store = Store()
    store.error = OSError("gone")
    limit = SharedLimit(store, 10, fallback_cps=2)
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()
    assert await turn.start()
    turn.give_back()

    assert await start(limit) == instant(0.5)
    assert "give_back" not in store.calls


async def test_a_fallback_paces_this_process_while_the_store_is_gone() -> None:
    """It keeps to its own rate, and goes over to the store's without two starts at once."""
    store = Store()
    limit = SharedLimit(store, 10, fallback_cps=2)
    store.error = OSError("gone")
    tasks = [asyncio.create_task(start(limit)) for _ in range(20)]
    await asyncio.sleep(3.2)
    store.error = None

    found = sorted(await asyncio.gather(*tasks))

    alone = [each for each in found if each <= 3.2]
    assert alone == pytest.approx([number / 2 for number in range(7)], abs=0.11)
    assert min(b - a for a, b in itertools.pairwise(found)) >= 0.0999
    assert found[7] < 3.8


async def test_the_first_slot_after_an_outage_keeps_its_distance() -> None:
    """It counts from the last start of our own, of which a store that is back knows nothing."""
    store = Store()
    limit = SharedLimit(store, 1, fallback_cps=1)
    store.error = OSError("gone")

    async def at_the_wire() -> float:
        async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
            pass
        while not await turn.start():  # noqa: ASYNC110 -- the store is asked meanwhile
            await asyncio.sleep(0.01)
        return clock()

    tasks = [asyncio.create_task(at_the_wire()) for _ in range(6)]
    await asyncio.sleep(3.2)  # the last start was just now, and the store is asked twice a second
    store.error = None

    found = sorted(await asyncio.gather(*tasks))

    assert found[:5] == instant([0, 1, 2, 3, 4])


async def test_a_store_that_lost_its_state_is_told_how_far_slots_were_given_out() -> None:
    """Slots that others still hold are not given out twice, so no second sees a burst."""
    store = Store(0.002)
    limits = [SharedLimit(store, 10) for _ in range(8)]
    task = asyncio.create_task(starts(limits, 8))
    await asyncio.sleep(3.01)
    store.row = None

    found = await task

    assert most_in_a_second(found) <= 11
    assert found[-1] < 63 / 10 + 2


async def test_an_answer_that_took_too_long_is_not_used() -> None:
    """An answer to a process that was stopped meanwhile may be old, so it is given back."""
    store = Store()
    limit = SharedLimit(store, 10)
    await start(limit)
    store.latency = 1.5
    task = asyncio.create_task(start(limit))
    await asyncio.sleep(1.4)
    store.latency = 0

    assert await task == instant(1.5)
    assert store.calls == ["reserve", "reserve", "give_back", "reserve"]


async def test_a_first_answer_that_took_too_long_is_not_used_either() -> None:
    """What a round trip takes is believed to be short until answers say otherwise."""
    store = Store(1.5)
    limit = SharedLimit(store, 10)
    task = asyncio.create_task(start(limit))
    await asyncio.sleep(1.4)
    store.latency = 0

    assert await task == instant(1.5)
    assert store.calls == ["reserve", "give_back", "reserve"]


async def test_a_store_that_lost_its_state_is_told_of_the_last_slot() -> None:
    """The next one is an interval after it, no sooner and no later."""
    store = Store()
    limit = SharedLimit(store, 10)
    await start(limit)
    store.row = None

    assert await start(limit) == instant(0.1)


async def test_a_slot_of_a_slowed_pace_is_good_for_as_long_as_its_interval() -> None:
    """While a queue drains slots are further apart, and a create may be later for its own."""
    store = Store()
    limit = SharedLimit(store, 10)
    await start(limit)
    limit.observe(5000)  # five slots a second from here on
    await asyncio.sleep(2)
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()
    await asyncio.sleep(0.15)

    assert await turn.start()
    assert store.calls.count("reserve") == 2


async def test_a_store_far_away_is_got_used_to() -> None:
    """A round trip of a second does not make every slot look late for ever."""
    limit = SharedLimit(Store(0.8), 5)

    found = await starts([limit], 5)

    assert found[-1] < 20


async def test_the_clock_of_the_store_may_be_set_back() -> None:
    """Creates go on after a second at most."""
    store = Store()
    limit = SharedLimit(store, 10)
    await starts([limit], 5)
    store.clock_error = -3600.0
    before = clock()

    assert await start(limit) <= before + 1.3


async def test_the_lowest_rate_of_the_last_minute_holds(caplog: pytest.LogCaptureFixture) -> None:
    """The faster process slows down and warns once, until the slower has been gone a minute."""
    store = Store()
    slow, fast = SharedLimit(store, 2), SharedLimit(store, 10)
    await start(slow)
    found = await starts([fast], 4)

    assert found == instant([0.5, 1, 1.5, 2])
    assert fast.snapshot().effective_cps == 2
    assert fast.cps == 10
    assert [each.name for each in caplog.records] == ["conference_async.pace"]
    assert "2 CPS, this one for 10" in caplog.text
    await asyncio.sleep(60)
    again = await starts([fast], 3)
    assert again[2] - again[1] == instant(0.1)
    assert fast.snapshot().effective_cps == 10


async def test_a_queue_at_the_service_slows_all_processes(caplog: pytest.LogCaptureFixture) -> None:
    """A queue time that one process hears slows all, and they recover together."""
    store = Store()
    one, other = SharedLimit(store, 10), SharedLimit(store, 10)
    await start(one)
    await start(other)
    one.observe(5000)
    await asyncio.sleep(0.5)

    found = await starts([other], 4)

    assert [b - a for a, b in itertools.pairwise(found)] == instant([0.2] * 3)
    assert other.snapshot().effective_cps == 5
    assert other.snapshot().queue_time == 5000
    assert "all its processes slow to 5 of 10 CPS" in caplog.text
    other.observe(5000)
    await asyncio.sleep(0)
    assert store.calls.count("report") == 1  # it is the same queue, seen twice
    for _ in range(30):
        await asyncio.sleep(1)
        other.observe(0)
        await start(other)
    assert other.snapshot().effective_cps == 10
    await start(one)
    assert one.snapshot().effective_cps == 10


async def test_reports_are_at_most_one_a_second() -> None:
    """A factor that changes again meanwhile is written with the next."""
    store = Store()
    limit = SharedLimit(store, 10)
    await start(limit)
    for queue_time in (300, 300, 300, 5000):
        limit.observe(queue_time)
        await asyncio.sleep(0.35)
    await asyncio.sleep(2)

    assert store.calls.count("report") <= 3
    assert store.row is not None
    assert store.row.factor == limit._slowdown.factor


async def test_a_factor_that_changed_meanwhile_is_written_a_second_after_the_last() -> None:
    """The others hear of it as soon as the store may be written to again."""
    store = Store()
    limit = SharedLimit(store, 10)
    await start(limit)
    limit.observe(300)
    await asyncio.sleep(0.4)
    limit.observe(5000)
    assert limit.snapshot().effective_cps == 2.5
    await asyncio.sleep(0.59)
    assert store.calls.count("report") == 1

    await asyncio.sleep(0.02)

    assert store.calls.count("report") == 2


async def test_a_report_that_is_never_answered_does_not_stand_in_the_way_of_the_next() -> None:
    """The store is given up after two seconds, and told of the next change."""
    store = Store()
    limit = SharedLimit(store, 10)
    await start(limit)
    store.frozen.clear()
    limit.observe(300)
    await asyncio.sleep(2.1)
    store.frozen.set()

    limit.observe(300)
    await asyncio.sleep(0.1)

    assert store.row is not None
    assert store.row.factor == limit.snapshot().effective_cps / 10 == 0.25


@pytest.mark.usefixtures("nothing_left_over")
async def test_a_queue_that_is_none_is_nothing_to_warn_of(caplog: pytest.LogCaptureFixture) -> None:
    """Most replies report it, and the log would be full of it."""
    limit = SharedLimit(Store(), 10)

    limit.observe(0)

    assert not caplog.records


async def test_a_slow_down_that_cannot_be_shared_holds_no_create_up() -> None:
    """The store's trouble is not the caller's."""
    store = Store()
    limit = SharedLimit(store, 10)
    await start(limit)
    store.error = OSError("gone")
    limit.observe(5000)
    await asyncio.sleep(0.1)
    store.error = None

    assert await start(limit) == instant(0.1)


async def test_a_slot_that_cannot_be_given_back_for_want_of_a_store_is_kept() -> None:
    """The newcomer has it, as if the store had declined."""
    store = Store()
    limit = SharedLimit(store, 1)
    await start(limit)
    task = asyncio.create_task(start(limit))
    await asyncio.sleep(0.5)
    store.error = OSError("gone")
    await cancel([task])

    assert await start(limit) == instant(1)


async def test_a_slot_of_our_own_needs_no_giving_back() -> None:
    """While the store is gone nobody else could have it."""
    store = Store()
    store.error = OSError("gone")
    limit = SharedLimit(store, 10, fallback_cps=1)
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()
    turn.give_back()

    assert store.calls == ["reserve"] * 2


async def test_the_estimate_is_what_is_known_here() -> None:
    """Held slots are known, those after them at least one interval apart."""
    limit = SharedLimit(Store(), 2)

    assert limit.estimate(Priority.INTERACTIVE) == 0
    assert (limit.snapshot().cps, limit.snapshot().waiting) == (2, 0)
    assert repr(limit) == "<SharedLimit memory cps=2 waiting=0>"
    await start(limit)
    assert limit.estimate(Priority.INTERACTIVE) == instant(0.5)
    tasks = [asyncio.create_task(start(limit, Priority.BULK)) for _ in range(4)]
    await asyncio.sleep(0.1)
    assert limit.estimate(Priority.INTERACTIVE) == instant(0.9)
    assert limit.estimate(Priority.BULK) == instant(2.4)
    assert limit.snapshot().waiting == 3
    assert limit.snapshot().next_start == instant(0.9)
    assert repr(limit) == "<SharedLimit memory cps=2 waiting=3>"
    await cancel(tasks)


async def test_a_store_that_is_set_up_wrongly_tells_the_caller() -> None:
    """Waiting would not help: it is raised, to each who asks."""
    store = Store()
    store.error = ConfigurationError("no such directory")
    limit = SharedLimit(store, 10)

    for _ in range(2):
        with pytest.raises(ConfigurationError, match="no such directory"):
            await start(limit)


async def test_closing_frees_what_is_held() -> None:
    """Another process has the slot at once; a later use opens the store again."""
    store = Store()
    other = SharedLimit(store, 1)
    async with SharedLimit(store, 1) as limit:
        await start(limit)
        task = asyncio.create_task(start(limit))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        limit.observe(5000)

    assert store.closed == 1
    assert await start(other) == instant(1)
    await limit.aclose()
    assert store.closed == 2
    assert await start(limit) == instant(2)


async def test_closing_ends_a_question_under_way() -> None:
    """A store that does not answer does not hold up the end."""
    store = Store()
    store.frozen.clear()
    limit = SharedLimit(store, 1)
    task = asyncio.create_task(start(limit))
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await limit.aclose()

    assert clock() == instant(0.5)


@pytest.mark.parametrize("cps", [0, -1, 30.5, math.nan])
async def test_a_rate_that_no_account_has_is_refused(cps: float) -> None:
    """That goes for the fallback too."""
    with pytest.raises(ConfigurationError, match="cps must be"):
        SharedLimit(Store(), cps)
    with pytest.raises(ConfigurationError, match="cps must be"):
        SharedLimit(Store(), 1, fallback_cps=cps)


async def test_a_limit_is_not_shared_by_two_running_loops() -> None:
    """Each loop makes its own: they meet in the store."""
    limit = SharedLimit(Store(), 20)
    await start(limit)

    with pytest.raises(ConfigurationError, match="one for each loop"):
        await asyncio.to_thread(asyncio.run, start(limit))


@pytest.mark.parametrize("processes", [1, 3, 5])
async def test_bulk_elsewhere_takes_one_slot_of_each_process_before_an_interactive_create(
    processes: int,
) -> None:
    """Each process that dials in bulk has reserved one, and one of them the one after it."""
    store = Store()
    limits = [SharedLimit(store, 10) for _ in range(processes)]
    started: list[float] = []

    async def campaign(limit: SharedLimit) -> float:
        while True:
            started.append(await start(limit, Priority.BULK))

    running = [asyncio.create_task(campaign(limit)) for limit in limits for _ in range(20)]
    await asyncio.sleep(2)
    before = list[int]()
    bot = SharedLimit(store, 10)
    for number in range(20):
        await asyncio.sleep(0.1 + 0.013 * number)
        asked, begun = clock(), await start(bot)
        before.append(sum(asked <= each < begun for each in started))
    await cancel(running)

    assert max(before) <= processes + 1
