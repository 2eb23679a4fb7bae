"""The way of creates from the line to the wire: what is paced is the instant of leaving.

A create that gets its slot has a way to go before its form is written: a `before_send`, a name to
resolve, a connection, a tunnel. So it is let go from the line as long before its slot as the way
took of late, and at the wire it takes the next slot that begins. However long the way is, and
however different from one create to the next, the instants of leaving are those of the slots.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from itertools import islice
from typing import Any, Protocol, Self, TypeVar

import attrs

from conference_async.pace.alarm import Alarm
from conference_async.pace.contract import MAX_CPS, Turn
from conference_async.pace.line import Line, Priority

_FEWEST_WAYS = 8
"""The ways that are remembered at the least; at a higher rate those of about a second."""


@attrs.define(eq=False, repr=False)
class Slot:
    """What a create uses: a slot, and a line where lines are counted."""

    put_back: Callable[[], None]
    """Lets the next create have it."""

    line: str | None = None
    """The name of the line."""


class Slots(Protocol):
    """The source of the slots: a schedule of this process, or a store that many share."""

    alarm: Alarm
    """Rings when there is news of slots, and wakes those who wait for one."""

    @property
    def lines(self) -> object | None:
        """What is known of lines; None where they are not counted, and nobody waits for one."""
        ...

    @property
    def rate(self) -> float:
        """The slots per second now."""
        ...

    def due(self, priority: Priority, ahead: int, now: float) -> float:
        """Return the instant of the slot that a create of a priority has, as far as is known.

        Args:
            priority: The create's.
            ahead: How many are before it.
            now: The loop's time.
        """
        ...

    def prepare(self) -> bool:
        """See to it that a slot will come; return whether one can, as things are."""
        ...

    def line_free(self, priority: Priority, let_go: int) -> bool:
        """Return whether there is a line for one more create, or something to be done about it.

        Args:
            priority: The create's.
            let_go: How many are on their way to the wire already.
        """
        ...

    async def take(self, priority: Priority, *, waited: bool) -> Slot | None:
        """Wait for the next slot and use it, with a line; one at a time.

        Args:
            priority: The create's.
            waited: Whether there was a wait on the way here already.

        Returns:
            The slot, or None if none can come as things are.
        """
        ...

    def rest(self) -> None:
        """Note that something ended; slots that nobody is left for may go elsewhere."""
        ...


class Departure:
    """The way of one create: a `Turn`, entered to wait for the front of the line and hold it."""

    def __init__(self, departures: "Departures", priority: Priority, ticket: int) -> None:
        self.priority = priority
        self.ticket = ticket
        self.in_front = False
        self.let_go = False
        self.waited = False
        self.taken: Slot | None = None
        self._departures = departures

    def __aenter__(self) -> Coroutine[Any, Any, Self]:
        return self._departures.line_up(self)

    async def __aexit__(self, *_: object) -> None:
        self._departures.make_room(self)

    def slot(self) -> Coroutine[Any, Any, None]:
        """Wait until the create has to set out to be at the wire when its slot begins.

        Raises:
            ConfigurationError: The store of a shared limit is set up wrongly.
        """
        return self._departures.set_out(self)

    def start(self) -> Coroutine[Any, Any, bool]:
        """Wait for the slot; False if none can come as things are, and the create must go back."""
        return self._departures.leave(self)

    def give_back(self) -> None:
        """Note that the create did not leave: what it took serves the next."""
        self._departures.turn_back(self)


DepartureT = TypeVar("DepartureT", bound=Departure)


def line_of(turn: Turn) -> str | None:
    """Return the name of the line that a create took, if it took one."""
    return turn.taken.line if isinstance(turn, Departure) and turn.taken else None


class Departures:
    """The line, those under way to the wire, and those who stand there.

    Interactive creates pass before bulk ones in the line and at the wire.

    Args:
        slots: Where the slots come from.
    """

    def __init__(self, slots: Slots) -> None:
        self.line: Line = Line()
        self._slots = slots
        self._wire = Line()
        self._under_way: dict[Departure, float] = {}
        self._ways: deque[float] = deque(maxlen=math.ceil(MAX_CPS))
        self._way = 0.0
        self._planned = dict.fromkeys(Priority, -math.inf)
        self._present: dict[Priority, set[Departure]] = {priority: set() for priority in Priority}

    def wanted(self, priority: Priority) -> int:
        """Return how many creates of a priority are in the line, under way or at the wire."""
        return len(self._present[priority])

    @property
    def present(self) -> int:
        """How many are in the line, under way or at the wire."""
        return sum(map(len, self._present.values()))

    @property
    def first(self) -> Priority:
        """The first priority of those who are there."""
        return min((each for each in Priority if self._present[each]), default=Priority.BULK)

    @property
    def urgent(self) -> int:
        """How many slots it takes until each interactive create here has one."""
        interactive = self.wanted(Priority.INTERACTIVE)
        if not interactive:
            return 0
        in_line = self.line.front is Priority.BULK and self.line.waiting(Priority.INTERACTIVE) > 0
        return interactive + in_line + (self._wire.front is Priority.BULK)

    @property
    def busy(self) -> bool:
        """Whether anybody is in the line, under way or at the wire."""
        return self.line.ahead(Priority.BULK) > 0 or self.let_go > 0

    @property
    def let_go(self) -> int:
        """How many have left the line and not yet started."""
        return len(self._under_way) + self._wire.ahead(Priority.BULK)

    def expected(self, by: float) -> int:
        """Return how many could stand at the wire by an instant if they are let go in time."""
        now, way = asyncio.get_running_loop().time(), self._way
        count = self._wire.ahead(Priority.BULK)
        count += sum(since + way <= by for since in self._under_way.values())
        return count + self.line.ahead(Priority.BULK) * (now + way <= by)

    def ahead(self, priority: Priority) -> int:
        """Return how many would start before a newcomer of this priority."""
        under_way = sum(each.priority <= priority for each in self._under_way)
        return self.line.ahead(priority) + under_way + self._wire.ahead(priority)

    def turn(self, priority: Priority, ticket: int) -> AbstractAsyncContextManager[Departure]:
        """Return the way of one create, which begins when it is entered."""
        return Departure(self, priority, ticket)  # pyright: ignore[reportReturnType]  # typeshed wants an `async def`, which would hold one more frame in every create that waits

    async def line_up(self, departure: DepartureT) -> DepartureT:
        """Wait for the front of the line, and for a line of the account's; return the departure."""
        priority = departure.priority
        alarm = self._slots.alarm
        if alarm.sleepers and priority is Priority.INTERACTIVE and not self.line.waiting(priority):
            # A bulk create at the front may have to make room, or another slot be asked for. Those
            # who come behind the first of them change nothing.
            alarm.ring()
        self._present[priority].add(departure)
        try:
            if not self.line.take(priority):
                departure.waited = True
                await self.line.enter(priority, departure.ticket)
            departure.in_front = True
            if self._slots.lines is not None:
                await self._wait_for_a_line(departure)
        except BaseException:
            self.make_room(departure)
            raise
        return departure

    def make_room(self, departure: Departure) -> None:
        """Hand the front to the next in line."""
        if departure.in_front:
            departure.in_front = False
            self.line.leave()
        if not departure.let_go:
            self._present[departure.priority].discard(departure)
            self._slots.rest()

    def _ring(self) -> None:
        """Wake those who wait for news of slots, if there are any."""
        if (alarm := self._slots.alarm).sleepers:
            alarm.ring()

    async def _wait_for_a_line(self, departure: Departure) -> None:
        """Wait at the front until there is a line.

        Whoever waits here holds nothing that a look at the account's calls could need.
        """
        priority = departure.priority
        while not self._slots.line_free(priority, self.let_go):
            departure.waited = True
            if priority is not Priority.INTERACTIVE and self.line.waiting(Priority.INTERACTIVE):
                # There may be a line for an interactive create, and if not, it has the next one.
                await self._step_aside(departure)
            else:
                await self._slots.alarm.sleep()

    async def _step_aside(self, departure: Departure) -> None:
        """Hand the front to an interactive create, and wait for it again."""
        departure.in_front = False
        self.line.leave()
        await self.line.enter(departure.priority, departure.ticket)
        departure.in_front = True

    async def set_out(self, departure: Departure) -> None:
        """Wait until a create at the front of the line has to set out."""
        loop, slots = asyncio.get_running_loop(), self._slots
        while True:
            # A slot can come at once, or is at least known to come: without that, whoever sets
            # out would stand at the wire for as long as a store is gone, and hold a connection.
            ready = slots.prepare()
            now = loop.time()
            planned = self._plan(departure.priority, now)
            setting_out = planned - self._way
            if ready and setting_out <= now:
                break
            departure.waited = True
            if self._in_the_way(planned, now):
                await self._step_aside(departure)
            else:
                await slots.alarm.sleep(setting_out if setting_out > now else math.inf)
        # Wake-ups are late, and the lateness must not add up to a lower rate; but what is later
        # than half an interval is not made up for, or idle time would be saved up.
        planned = max(planned, now - departure.waited * 0.5 / slots.rate)
        for priority in self._planned:
            if priority >= departure.priority:
                self._planned[priority] = max(self._planned[priority], planned)
        self._under_way[departure] = now
        departure.let_go = True

    def _plan(self, priority: Priority, now: float) -> float:
        """Return when the next create of a priority can start, as those before it are let go."""
        following = self._planned[priority] + 1 / self._slots.rate
        ahead = 0 if self._wire.front is None else self._wire.ahead(priority)
        return max(following, self._slots.due(priority, ahead, now))

    def _in_the_way(self, planned: float, now: float) -> bool:
        """Return whether a bulk create keeps the front from somebody who would start before it.

        So it is where bulk creates of many processes queue, or stand at the wire after a stall.
        """
        if not self.line.waiting(Priority.INTERACTIVE):
            return False
        return self._plan(Priority.INTERACTIVE, now) < planned - 0.5 / self._slots.rate

    async def leave(self, departure: Departure) -> bool:
        """Wait at the wire for the next slot; return whether there is one."""
        since = self._under_way.pop(departure, None)
        if since is not None:
            self._arrived(asyncio.get_running_loop().time() - since)
        priority = departure.priority
        self._present[priority].add(departure)
        try:
            if not self._wire.take(priority):
                await self._wire.enter(priority, departure.ticket)
            try:
                departure.taken = await self._slots.take(priority, waited=departure.waited)
            finally:
                self._wire.leave()
                self._ring()
        finally:
            self._present[priority].discard(departure)
            if departure.taken is None:
                self.turn_back(departure)
            self._slots.rest()
        return departure.taken is not None

    def turn_back(self, departure: Departure) -> None:
        """Let the next in line have what a create took and did not use."""
        taken, departure.taken = departure.taken, None
        if taken is not None:
            taken.put_back()
        self._under_way.pop(departure, None)
        self._present[departure.priority].discard(departure)
        if departure.let_go:
            departure.let_go = False
            for priority in self._planned:
                if priority >= departure.priority:
                    self._planned[priority] -= 1 / self._slots.rate
        self._ring()
        self._slots.rest()

    def _arrived(self, way: float) -> None:
        """Note how long a way took: the next take as long as the longest of those just before.

        The longest, since whoever comes early waits at the wire, and whoever comes late lets a
        slot pass.
        """
        self._ways.append(way)
        last = islice(reversed(self._ways), max(_FEWEST_WAYS, math.ceil(self._slots.rate)))
        if (longest := max(last)) != self._way:
            self._way = longest
            self._ring()
