"""The in-process limit, in virtual time."""

import asyncio
import itertools
import math
import os
import time
import warnings
from typing import Any

import pytest

from conference_async import CreateLimit, Limit, Unpaced
from conference_async.errors import ConfigurationError
from conference_async.pace.line import Priority, next_ticket
from conference_async.pace.local import AccountLimits
from conference_async.pace.schedule import Schedule


async def start(limit: Limit, priority: Priority = Priority.INTERACTIVE) -> float:
    """Take one slot and use it."""
    async with limit.turn(priority, next_ticket()) as turn:
        await turn.slot()
    assert await turn.start()
    return asyncio.get_running_loop().time()


@pytest.mark.looptime
@pytest.mark.parametrize("cps", [0.5, 1, 2.5, 5, 29, 30])
async def test_creates_are_evenly_spaced(cps: float) -> None:
    """N creates take (N-1)/CPS, and no window of one second holds more than ceil(CPS)."""
    limit = CreateLimit(cps)

    starts = await asyncio.gather(*(start(limit) for _ in range(100)))

    assert starts[0] == 0
    assert starts[-1] == pytest.approx(99 / cps, abs=1e-4)
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
    """A waiter cancelled in line or at its front leaves the slot to the next."""
    limit = CreateLimit(1)
    await start(limit)
    tasks = [asyncio.create_task(start(limit)) for _ in range(10)]
    await asyncio.sleep(0.5)
    for task in tasks[:9]:
        task.cancel()

    assert await tasks[9] == 1


@pytest.mark.looptime
async def test_whoever_waits_goes_as_soon_as_the_rate_that_is_won_back_allows() -> None:
    """It had planned its start at the lower rate; nothing else happens meanwhile."""
    limit = CreateLimit(1)
    await start(limit)
    limit.observe(5000)
    waiting = asyncio.create_task(start(limit))
    await asyncio.sleep(1)
    limit.observe(0)

    assert await waiting == pytest.approx(1 / limit.snapshot().effective_cps)


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
    await turn.start()
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


@pytest.mark.soak  # a busy machine may stall this process
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
    limit, begun = CreateLimit(20), time.monotonic()
    asyncio.run(start(limit))

    assert asyncio.run(start(limit)) - begun >= 0.0499


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


def test_an_account_of_which_nothing_is_said_has_one_call_a_second() -> None:
    """It is what the service gives to new accounts."""
    assert CreateLimit().cps == 1


def test_clients_of_one_account_share_one_limit() -> None:
    """The lowest rate of those that are open holds, and only until they are gone."""
    limits, account = AccountLimits(), ("AC1", "https://api.twilio.com")
    slow, fast = CreateLimit(), CreateLimit()

    limit = limits.claim(account, 5, slow)

    assert limits.claim(account, 30, fast) is limit
    assert limit.cps == 5
    for _ in range(2):  # a client may be closed twice
        limits.release(account, slow)
        assert limit.cps == 30
    limits.release(account, fast)
    limits.release(("AC2", "https://api.twilio.com"), fast)
    assert limits.claim(account, 2, slow) is limit
    assert limit.cps == 2
    assert limits.claim(("AC1", "http://127.0.0.1:1"), 2, slow) is not limit


class Careless(Schedule):
    """A schedule with a mistake in it: any time is the right one."""

    def take(self, now: float, *, waited: bool) -> None:
        """Take the next slot, and have another at once."""
        super().take(now, waited=waited)
        self.next = -math.inf


@pytest.mark.looptime
@pytest.mark.parametrize("cps", [0.5, 1, 5, 30])
async def test_the_bucket_refuses_a_start_too_many_by_itself(
    cps: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate is kept also by a careless schedule, with half a slot to make up lateness."""
    monkeypatch.setattr("conference_async.pace.local.Schedule", Careless)
    limit = CreateLimit(cps)
    found: list[float] = []

    async def rush() -> None:
        async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
            await asyncio.sleep(0)  # no slot is waited for: straight to the wire
        assert await turn.start()
        found.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(rush() for _ in range(100)))

    assert found[-1] >= (100 - 1.5) / cps - 0.01
    gaps = [later - earlier for earlier, later in itertools.pairwise(found)]
    assert min(gaps) >= 0.5 / cps - 1e-3
    assert (
        max(sum(first <= each < first + 1 for each in found) for first in found)
        <= math.ceil(cps) + 1
    )


@pytest.mark.looptime
@pytest.mark.parametrize(("slow", "fast"), [(0.2, 30), (0.01, 1)])
async def test_a_raised_rate_is_felt_at_once_by_who_waits(slow: float, fast: float) -> None:
    """Neither the front of the line nor whoever stands at the wire sleeps on for the old slot."""
    limit = CreateLimit(slow)
    await start(limit)
    in_line = asyncio.create_task(start(limit))
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        pass
    at_the_wire = asyncio.create_task(turn.start())
    await asyncio.sleep(3)
    limit.cps = fast
    await asyncio.wait([in_line, at_the_wire])

    # The first has waited for longer than its slot takes now, which makes up half of the next.
    assert asyncio.get_running_loop().time() == pytest.approx(3 + 0.75 / fast, abs=0.26 / fast)


@pytest.mark.looptime
async def test_a_lowered_rate_counts_the_starts_of_the_last_second() -> None:
    """No second sees more than the new rate allows, starts at the old one included."""
    limit = CreateLimit(10)
    before = [await start(limit) for _ in range(3)]
    limit.cps = 2
    after = [await start(limit) for _ in range(3)]

    assert before == pytest.approx([0, 0.1, 0.2])
    assert after == pytest.approx([1.1, 1.6, 2.1], abs=1e-4)


@pytest.mark.looptime
async def test_a_slot_that_is_put_back_after_the_start_serves_the_next() -> None:
    """A connection that closed in that very instant costs nobody a slot."""
    limit = CreateLimit(0.5)
    await start(limit)
    for _ in range(3):
        async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
            await turn.slot()
        assert await turn.start()
        turn.give_back()

    assert await start(limit) == 2
    assert await start(limit) == 4


def test_a_limit_can_be_looked_at_where_no_loop_runs() -> None:
    """Before the first loop, and after the last one, a page that shows it gets an answer."""
    limit = CreateLimit(0.05)
    assert limit.snapshot().next_start == 0
    limit.observe(0)
    limit.cps = 0.1

    asyncio.run(start(limit))

    assert 9 < limit.snapshot().next_start <= 10
    assert limit.estimate(Priority.BULK) > 9
    limit.observe(20_000)
    assert limit.snapshot().effective_cps == 0.05


def test_a_loop_that_is_stopped_and_run_again_keeps_the_pace() -> None:
    """As in a notebook, or between two calls of a frozen container."""
    limit = CreateLimit(20)
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(start(limit))
    begun = loop.time()  # an instant may be noted late, but this one is before both
    first = loop.run_until_complete(start(limit))
    time.sleep(0.02)
    second = loop.run_until_complete(waiting)
    loop.close()

    assert max(first, second) - begun >= 0.0499


def test_a_limit_that_was_left_behind_by_a_closed_loop_takes_a_new_rate() -> None:
    """Sleepers of a loop that is gone are not woken."""
    limit = CreateLimit(0.01)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(start(limit))
    left_behind = loop.create_task(start(limit))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    limit.cps = 30

    assert asyncio.run(start(limit)) > 0
    left_behind._log_destroy_pending = False  # type: ignore[attr-defined]  # that is what is tested


@pytest.mark.usefixtures("nothing_left_over")
def test_a_child_process_paces_by_itself_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Forked while a loop ran, as by multiprocessing: the limit is no longer anybody else's."""
    limit = CreateLimit(30)

    async def in_the_parent() -> int:
        await start(limit)
        waiting = asyncio.create_task(start(limit))
        pid = os.fork()
        if pid:
            await waiting
            return pid
        try:  # the child, which must never come back from here
            asyncio.run(start(limit))
            [message] = caplog.messages
            said = message == (
                "this limit was used before the process forked; from here on each process dials "
                "at 30 CPS by itself: share the pace with a SQLiteLimit"
            )
            os._exit(0 if said and limit.snapshot().waiting == 0 else 2)
        finally:
            os._exit(3)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forks with threads
        pid = asyncio.run(in_the_parent())

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not caplog.records


def test_a_process_that_serves_many_accounts_does_not_grow_with_them() -> None:
    """Only what still matters to the pace is remembered: a recent start, a queue, a client."""
    limits, owner = AccountLimits(), CreateLimit()
    recent, slowed, held = (limits.claim((name, ""), 0.1, owner) for name in ("AC1", "AC2", "AC3"))
    asyncio.run(start(recent))
    slowed.observe(60_000)
    for name in ("AC1", "AC2"):
        limits.release((name, ""), owner)

    for number in range(1000):
        client = CreateLimit()
        limits.claim((f"AC{number + 10}", ""), 1, client)
        if number % 2:
            limits.release((f"AC{number + 10}", ""), client)

    assert len(limits._limits) < 150
    assert len(limits._claims) == len(limits._limits)
    assert limits.claim(("AC1", ""), 0.1, owner) is recent
    assert limits.claim(("AC2", ""), 0.1, owner) is slowed
    assert limits.claim(("AC3", ""), 0.1, owner) is held


async def at_the_wire(limit: CreateLimit) -> float:
    """Start without having set out to a slot; return when."""
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        pass
    assert await turn.start()
    return asyncio.get_running_loop().time()


@pytest.mark.looptime
async def test_lateness_at_the_wire_does_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wake-up there is three milliseconds late, and the rate is kept all the same."""
    monkeypatch.setattr(
        "conference_async.pace.local.instant",
        lambda: asyncio.get_running_loop().time() + 0.003,
    )
    limit = CreateLimit(30)

    found = await asyncio.gather(*(at_the_wire(limit) for _ in range(90)))

    assert max(found) - min(found) == pytest.approx(89 / 30, abs=0.01)


@pytest.mark.usefixtures("nothing_left_over")
@pytest.mark.looptime
async def test_a_slow_down_holds_at_the_wire_too(caplog: pytest.LogCaptureFixture) -> None:
    """A create at the wire without a slot keeps the rate of now, and the log says why once."""
    limit = CreateLimit(10)
    limit.observe(100)
    assert not caplog.records
    limit.observe(5000)
    limit.observe(5000)

    found = sorted(await asyncio.gather(*(at_the_wire(limit) for _ in range(4))))

    assert found == pytest.approx([0, 0.2, 0.4, 0.6], abs=1e-4)
    assert limit.snapshot().cps == 10
    [said] = caplog.messages
    assert said == (
        "the service queues this account's calls for 5000 ms: slowing to 5 of 10 CPS until it "
        "drains; other software may be dialling for the account"
    )


@pytest.mark.usefixtures("nothing_left_over")
def test_different_rates_for_one_account_are_said(caplog: pytest.LogCaptureFixture) -> None:
    """By the account's name, with the rate that holds; equal ones are nobody's mistake."""
    limits, one, other = AccountLimits(), CreateLimit(), CreateLimit()
    limits.claim(("AC1", "https://api.twilio.com"), 5, one)
    limits.claim(("AC1", "https://api.twilio.com"), 5, other)
    assert not caplog.records

    limits.claim(("AC1", "https://api.twilio.com"), 2, other)

    assert caplog.messages == [
        "clients of account AC1 were given different rates; the lowest, 2 CPS, holds"
    ]


def test_snapshots_of_the_same_are_equal() -> None:
    """They are values: an application may keep one and see whether anything has changed."""
    assert CreateLimit(5).snapshot() == CreateLimit(5).snapshot() != CreateLimit(6).snapshot()
