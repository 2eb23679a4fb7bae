"""What one process asks of the store: a slot, and a line with it where lines are counted."""

import logging

import attrs

from conference_async.pace.held import Held
from conference_async.pace.keeping import Lines
from conference_async.pace.line import Priority
from conference_async.pace.lines import LineStore
from conference_async.pace.slots import QueueStore, Queuing, Reservation, SlotStore
from conference_async.time_limits import time_limit

ANSWER_WITHIN = 2.0
"""Seconds that a store may take to answer; after that it counts as gone."""

_log = logging.getLogger("conference_async.pace")


class Asking:
    """The questions to a store, and the lines that are ours without a slot.

    Args:
        store: Where slots come from.
        cps: The calls per second that this process was given.
        lines: What is known of lines; None where they are not counted.
    """

    def __init__(self, store: SlotStore, cps: float, lines: Lines | None) -> None:
        self.none_for: Priority | None = None
        """The first priority for which there is no line, nor for those after it."""
        self.queues: bool = isinstance(store, QueueStore)
        """Whether the store lets bulk creates queue."""
        self._store = store
        self._cps = cps
        self._lines = lines
        # Those that are ours, or may be, and who may use them, as far as that is known.
        self._names: dict[str, Priority | None] = {}

    @property
    def has_lines(self) -> bool:
        """Whether a line may be ours that has no slot."""
        return bool(self._names)

    def refused(self, priority: Priority) -> bool:
        """Return whether there was no line for a create of a priority, nor is one left of ours."""
        if self.none_for is None or priority < self.none_for:
            return False
        return all(least is None or least < priority for least in self._names.values())

    async def slot(
        self, *, floor: float, priority: Priority, queuing: Queuing | None
    ) -> tuple[Reservation | None, str | None, Priority]:
        """Ask for a slot, and for a line where they are counted.

        Args:
            floor: As for `SlotStore.reserve`.
            priority: The first of those who wait: whose lines it may be.
            queuing: As for `QueueStore.reserve_queued`; None if it is for an interactive create.

        Returns:
            The slot, None if there is no line; the line's name; who may use it.
        """
        lines, store = self._lines, self._store
        if lines is None or not isinstance(store, LineStore):
            if queuing is not None and isinstance(store, QueueStore):
                slot = await store.reserve_queued(cps=self._cps, floor=floor, queuing=queuing)
            else:
                slot = await store.reserve(cps=self._cps, floor=floor)
            return slot, None, Priority.BULK
        # A name whose answer was lost may be of a line that is ours: it is asked for again.
        fit = {name: each for name, each in self._names.items() if each is None or each >= priority}
        if unfit := self._names.keys() - fit.keys():  # kept for those who may, and who are gone
            lines.free(*unfit)
        self._names = fit or {lines.new_name(): None}
        name = next(reversed(self._names))
        wish = attrs.evolve(lines.wish(priority, name), queuing=queuing)
        count, reservation = await store.reserve_with_line(cps=self._cps, floor=floor, wish=wish)
        lines.count = count
        if reservation is None:
            self.none_for = priority
            if count.look:
                lines.look()
            return None, None, priority
        self.none_for = None
        least = self._names.pop(name)
        if least is None:
            least = Priority.BULK if lines.for_all(count) else Priority.INTERACTIVE
        if not reservation.taken:
            self._names[name] = least
        return reservation, name, least

    def part(self, held: Held, first: Priority) -> Held:
        """Keep the line of a slot that is not used for the next one who may have it, or free it.

        Args:
            held: The slot.
            first: The first priority of those who are there.

        Returns:
            The slot without a line.
        """
        if held.line is None or self._lines is None:
            return held
        if held.least >= first:
            self._names[held.line] = held.least
        else:
            self._lines.free(held.line)
        return attrs.evolve(held, line=None)

    async def give_back(self, held: Held) -> bool:
        """Give a slot back, where nobody is left who may only have a line of those reserved.

        Returns:
            Whether the store took it.
        """
        held = self.part(held, Priority.BULK)
        if held.reservation is None:
            return True
        try:
            async with time_limit(ANSWER_WITHIN):
                return await self._store.give_back(held.reservation)
        except Exception as error:  # noqa: BLE001 -- whatever a store raises: it is gone
            _log.debug("a slot could not be given back (%s)", type(error).__name__)
            return False

    def free_lines(self) -> None:
        """Let others have the lines that have no slot."""
        if self._lines is not None and self._names:
            self._lines.free(*self._names)
            self._names.clear()
