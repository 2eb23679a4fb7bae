"""Creates under way to the wire, creates at the wire, and the wait of those behind."""

import asyncio
import math

import pytest

from conference_async.pace.alarm import Alarm
from conference_async.pace.departures import Departure, Departures, Slot, line_of
from conference_async.pace.line import Priority, next_ticket
from conference_async.pace.unpaced import Unpaced

pytestmark = pytest.mark.looptime


class LateAlarm(Alarm):
    """An alarm that wakes everybody late."""

    late = 0.0

    async def sleep(self, until: float = math.inf) -> None:
        """Sleep for longer than was asked for."""
        await super().sleep(until + self.late)


class Slots:
    """Slots that come at a rate of one a second, or another, each when a test lets it."""

    def __init__(self) -> None:
        self.rate = 1.0
        self.late_alarm = LateAlarm()
        self.alarm: Alarm = self.late_alarm
        self.gone = False
        self.free = asyncio.Semaphore(0)
        self.rested = 0
        self.put_back: list[str] = []
        self.lines: dict[Priority, int] | None = None
        self.asked_for_a_line = 0

    def due(self, priority: Priority, ahead: int, now: float) -> float:  # noqa: ARG002 -- the protocol's signature
        """Return the instant of the slot of that number, or that one is due."""
        return ahead / self.rate if ahead else -math.inf

    def prepare(self) -> bool:
        """Return that slots can come."""
        return True

    def line_free(self, priority: Priority, let_go: int) -> bool:
        """Return whether one of so many lines is free; nobody has to ask often."""
        self.asked_for_a_line += 1
        assert self.asked_for_a_line < 100
        return self.lines is None or self.lines[priority] > let_go

    def free_lines(self, count: int) -> None:
        """Let there be so many lines, for everybody."""
        self.lines = dict.fromkeys(Priority, count)
        self.alarm.ring()

    async def take(self, priority: Priority, *, waited: bool) -> Slot | None:  # noqa: ARG002 -- the protocol's signature
        """Wait for the test."""
        if self.gone:
            return None
        await self.free.acquire()
        return Slot(lambda: self.put_back.append("late" if waited else "fresh"), "a line")

    def rest(self) -> None:
        """Count."""
        self.rested += 1


class Scene:
    """Departures, and a way to bring creates onto them."""

    def __init__(self) -> None:
        self.slots = Slots()
        self.departures = Departures(self.slots)
        self.started: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def set_out(self, priority: Priority = Priority.INTERACTIVE) -> Departure:
        """Let a create go from the line."""
        async with self.departures.turn(priority, next_ticket()) as departure:
            await departure.slot()
        return departure

    async def stand(self, name: str, departure: Departure) -> None:
        """Let it come to the wire."""

        async def start() -> None:
            if await departure.start():
                self.started.append(name)

        self.tasks.append(asyncio.create_task(start()))
        await asyncio.sleep(0)

    async def let_leave(self, count: int) -> list[str]:
        """Let so many start; return which did."""
        for _ in range(count):
            self.slots.free.release()
            for _ in range(4):
                await asyncio.sleep(0)
        return self.started


async def test_everybody_before_a_newcomer_is_counted_once() -> None:
    """In the line, under way, and at the wire, if their priority is not lower."""
    scene = Scene()
    bulk = await scene.set_out(Priority.BULK)
    bot = await scene.set_out()
    waiting = asyncio.create_task(scene.set_out(Priority.BULK))
    await asyncio.sleep(0)

    assert scene.departures.ahead(Priority.INTERACTIVE) == 2  # the front is one's, whoever's
    assert scene.departures.ahead(Priority.BULK) == 3
    assert scene.departures.let_go == 2
    await scene.stand("bulk", bulk)
    await scene.stand("bot", bot)
    assert scene.departures.ahead(Priority.INTERACTIVE) == 3
    assert scene.departures.ahead(Priority.BULK) == 3
    assert await scene.let_leave(2) == ["bulk", "bot"]
    assert scene.departures.ahead(Priority.BULK) == 1
    await waiting
    assert scene.departures.let_go == 1


async def test_whoever_can_be_at_the_wire_by_an_instant_is_expected() -> None:
    """Those there, those under way for long enough, and the line if the way is short enough."""
    scene, departures = Scene(), None
    departures = scene.departures
    first = await scene.set_out()
    await asyncio.sleep(2)  # the way takes two seconds: that is remembered
    await scene.stand("first", first)
    await scene.set_out()
    now = asyncio.get_running_loop().time()

    assert departures.expected(now + 1.9) == 1
    assert departures.expected(now + 2) == 2
    async with departures.turn(Priority.BULK, next_ticket()):
        assert departures.expected(now + 1.9) == 1
        assert departures.expected(now + 2) == 3
    await asyncio.sleep(0.5)
    assert departures.expected(now + 2) == 2
    await scene.let_leave(1)
    assert departures.expected(now + 2) == 1


async def test_a_way_is_forgotten_when_enough_others_were_shorter() -> None:
    """One slow name does not make everybody set out early for ever."""
    scene = Scene()
    scene.slots.free = asyncio.Semaphore(100)
    slow = await scene.set_out()
    await asyncio.sleep(3)
    assert await slow.start()
    for _ in range(8):
        assert scene.departures._way == 3
        quick = await scene.set_out()
        assert await quick.start()

    assert scene.departures._way == 0
    for _ in range(40):
        assert await (await scene.set_out()).start()
    assert len(scene.departures._ways) <= 30


async def test_whoever_turns_back_leaves_nothing_behind() -> None:
    """Before the wire, at it, and after the start, however often it is said."""
    scene = Scene()
    under_way, at_the_wire, started = [await scene.set_out() for _ in range(3)]
    alone = await scene.set_out(Priority.BULK)
    assert all(map(scene.departures.wanted, Priority))
    alone.give_back()
    assert not scene.departures.wanted(Priority.BULK)
    under_way.give_back()
    under_way.give_back()
    waiting = asyncio.create_task(at_the_wire.start())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    at_the_wire.give_back()
    scene.slots.free.release()
    assert await started.start()
    assert not scene.slots.put_back
    started.give_back()
    started.give_back()

    assert scene.slots.put_back == ["late"]  # it had waited for its slot
    assert scene.departures.let_go == 0
    assert not scene.departures.busy
    assert scene.slots.rested > 0


async def test_whoever_turned_back_at_the_wire_may_come_again() -> None:
    """A connection that died there is followed by another, and the slot is the same."""
    scene = Scene()
    departure = await scene.set_out()
    assert line_of(departure) is None
    scene.slots.free.release()
    assert await departure.start()
    assert line_of(departure) == "a line"
    assert line_of(Unpaced()) is None
    assert not scene.departures.wanted(Priority.INTERACTIVE)

    departure.give_back()

    await scene.stand("again", departure)
    assert scene.departures.wanted(Priority.INTERACTIVE)
    assert await scene.let_leave(1) == ["again"]
    assert not scene.departures.wanted(Priority.INTERACTIVE)
    assert scene.slots.put_back == ["fresh"]
    assert not scene.departures.busy


async def test_whoever_finds_no_slot_at_the_wire_leaves_nothing_behind() -> None:
    """The store is gone: the create goes back to the line."""
    scene = Scene()
    departure = await scene.set_out()
    scene.slots.gone = True

    assert not await departure.start()
    assert not scene.departures.busy
    await scene.set_out()
    assert asyncio.get_running_loop().time() == 0


@pytest.mark.parametrize(
    ("late", "instants"),
    [(0.1, [0, 0.6, 1.1, 1.6]), (0.4, [0, 0.9, 1.55, 2.2])],
)
async def test_lateness_is_made_up_for_as_far_as_half_an_interval(
    late: float, instants: list[float]
) -> None:
    """Wake-ups that are a little late cost no rate; more is not saved up."""
    scene, found = Scene(), list[float]()
    scene.slots.rate = 2.0
    scene.slots.late_alarm.late = late

    for _ in instants:
        await scene.set_out()
        found.append(asyncio.get_running_loop().time())

    assert found == pytest.approx(instants)


@pytest.mark.parametrize("priority", Priority)
async def test_whoever_turns_back_makes_room_for_one(priority: Priority) -> None:
    """However often it is said; the next but one waits as if nothing had been."""
    scene = Scene()
    scene.slots.rate = 2.0
    slow = await scene.set_out(priority)
    await asyncio.sleep(2)  # the way takes two seconds: that is remembered
    await scene.stand("slow", slow)
    await scene.let_leave(1)
    under_way = [await scene.set_out(priority) for _ in range(5)]
    assert asyncio.get_running_loop().time() == 2

    for _ in range(2):
        under_way[0].give_back()

    await scene.set_out(priority)
    assert asyncio.get_running_loop().time() == 2
    await scene.set_out(priority)
    assert asyncio.get_running_loop().time() == 2.5


async def test_a_bulk_create_makes_room_for_somebody_one_slot_sooner() -> None:
    """It goes back in line, and has the front again when nobody is before it."""
    scene = Scene()
    scene.slots.rate = 2.0
    for number in range(2):
        await scene.stand(f"bulk{number}", await scene.set_out(Priority.BULK))
    behind = asyncio.create_task(scene.set_out(Priority.BULK))
    await asyncio.sleep(0)

    await scene.stand("bot", await scene.set_out())

    assert asyncio.get_running_loop().time() == 0.5
    assert not behind.done()
    await scene.let_leave(3)
    assert (await behind).let_go
    assert scene.started == ["bulk0", "bot", "bulk1"]


async def test_the_slots_that_interactive_creates_need_are_counted() -> None:
    """One for each, and for the bulk creates that stand before them at the wire or in line."""
    scene = Scene()
    await scene.stand("bulk", await scene.set_out(Priority.BULK))
    assert (scene.departures.urgent, scene.departures.first) == (0, Priority.BULK)

    bot = await scene.set_out()
    assert (scene.departures.urgent, scene.departures.first) == (2, Priority.INTERACTIVE)
    await scene.let_leave(1)
    assert scene.departures.urgent == 1

    async with scene.departures.turn(Priority.BULK, next_ticket()):
        assert scene.departures.urgent == 1
        behind = asyncio.create_task(scene.set_out())
        await asyncio.sleep(0)
        assert scene.departures.urgent == 3
    await behind
    assert scene.departures.urgent == 2
    bot.give_back()
    assert scene.departures.urgent == 1


async def test_bulk_creates_that_have_only_each_other_behind_them_wait_in_line() -> None:
    """They set out as long before their slots as the way takes, and no sooner."""
    scene, set_out = Scene(), list[float]()
    slow = await scene.set_out(Priority.BULK)
    await asyncio.sleep(2)  # the way takes two seconds: that is remembered
    await scene.stand("slow", slow)
    await scene.let_leave(1)

    async def leave_the_line() -> None:
        await scene.set_out(Priority.BULK)
        set_out.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(leave_the_line() for _ in range(6)))

    assert set_out == [2, 2, 2, 3, 4, 5]


async def test_a_create_that_never_set_out_takes_nothing_from_the_plan() -> None:
    """Turned back at once, it does not let the next one go sooner."""
    scene = Scene()
    await scene.set_out()
    for _ in range(5):
        async with scene.departures.turn(Priority.INTERACTIVE, next_ticket()) as departure:
            pass
        departure.give_back()
    await scene.set_out()

    assert asyncio.get_running_loop().time() == 1


async def test_after_a_stall_nobody_joins_those_at_the_wire_without_need() -> None:
    """The line waits until they have left, and a bulk create that is in the way steps aside."""
    scene = Scene()
    for number in range(5):
        await scene.stand(f"bulk{number}", await scene.set_out(Priority.BULK))
    assert asyncio.get_running_loop().time() == 4
    behind = asyncio.create_task(scene.set_out(Priority.BULK))
    last = asyncio.create_task(scene.set_out(Priority.BULK))
    await asyncio.sleep(0.5)
    assert scene.departures.let_go == 5
    assert not behind.done()

    await scene.stand("bot", await scene.set_out())
    assert asyncio.get_running_loop().time() == 4.5
    assert not behind.done()
    assert await scene.let_leave(2) == ["bulk0", "bot"]  # whoever is at the head of it stays there
    for task in (*scene.tasks, behind, last):
        task.cancel()
    await asyncio.wait([*scene.tasks, behind, last])


async def test_a_bulk_create_that_waits_for_a_line_lets_an_interactive_one_pass() -> None:
    """It stays before the bulk creates that came after it, and one by one they have the front."""
    scene, loop = Scene(), asyncio.get_running_loop()
    scene.slots.lines = {Priority.INTERACTIVE: 1, Priority.BULK: 0}
    left = list[tuple[str, float, bool]]()

    async def leave_the_line(name: str, priority: Priority) -> None:
        departure = await scene.set_out(priority)
        left.append((name, loop.time(), departure.waited))

    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        for name in ("first", "second"):
            group.create_task(leave_the_line(name, Priority.BULK))
        await asyncio.sleep(1)
        group.create_task(leave_the_line("bot", Priority.INTERACTIVE))
        await asyncio.sleep(4)
        assert left == [("bot", 1, True)]
        scene.slots.free_lines(3)

    assert left == [("bot", 1, True), ("first", 5, True), ("second", 5.5, True)]
    assert not scene.departures.line.ahead(Priority.BULK)


async def test_whoever_finds_the_line_empty_and_waits_for_one_has_waited() -> None:
    """Nobody was before it, and yet its slot is not one that nobody waited for."""
    scene = Scene()
    scene.slots.free_lines(0)
    waiting = asyncio.create_task(scene.set_out())
    await asyncio.sleep(5)
    scene.slots.free_lines(1)

    assert (await waiting).waited


async def test_a_bulk_create_that_is_cancelled_behind_whom_it_let_pass_costs_nobody_the_front() -> (
    None
):
    """The front is that of the interactive create, which waits for a line, too."""
    scene = Scene()
    scene.slots.free_lines(0)
    first, second = (asyncio.create_task(scene.set_out(Priority.BULK)) for _ in range(2))
    await asyncio.sleep(1)
    bot = asyncio.create_task(scene.set_out())
    await asyncio.sleep(1)
    assert scene.departures.line.waiting(Priority.BULK) == 2

    first.cancel()
    await asyncio.wait([first])

    assert scene.departures.line.waiting(Priority.BULK) == 1
    second.cancel()
    bot.cancel()
    await asyncio.wait([second, bot])
    assert not scene.departures.busy
