"""The line that creates wait in: one front place, interactive before bulk, then in order."""

import asyncio
import itertools
from collections.abc import Callable
from enum import IntEnum
from heapq import heapify, heappop, heappush

next_ticket: Callable[[], int] = itertools.count(1).__next__
"""Returns the next number of the order in which creates were asked for."""


class Priority(IntEnum):
    """Which creates pass before which."""

    INTERACTIVE = 0
    """Somebody waits for it: the default."""

    BULK = 1
    """Part of a campaign: starts when no interactive create waits."""


class Line:
    """One place at the front, handed on by priority and then by ticket.

    Joining, leaving and being cancelled cost O(log n) each. So that bulk work is never starved,
    it gets the front once after every `IN_A_ROW` interactive creates in a row.
    """

    IN_A_ROW = 9

    def __init__(self) -> None:
        self._heaps: dict[Priority, list[tuple[int, asyncio.Future[None]]]] = {
            priority: [] for priority in Priority
        }
        self._waiting = dict.fromkeys(Priority, 0)
        self.front: Priority | None = None
        """The priority of whoever has the front; None if nobody has it."""
        self._interactive_in_a_row = 0

    def waiting(self, priority: Priority | None = None) -> int:
        """Return how many wait, of one priority or of all."""
        return sum(self._waiting.values()) if priority is None else self._waiting[priority]

    def ahead(self, priority: Priority) -> int:
        """Return how many would start before a newcomer of this priority."""
        before = sum(self.waiting(each) for each in self._waiting if each <= priority)
        return before + (self.front is not None)

    def take(self, priority: Priority) -> bool:
        """Take the front if nobody has it; return whether it was, as for `enter`."""
        if self.front is not None:
            return False
        self.front = priority
        return True

    async def enter(self, priority: Priority, ticket: int) -> None:
        """Wait until the front is ours; `leave` hands it on."""
        if self.take(priority):
            return
        waiter = asyncio.get_running_loop().create_future()
        heappush(self._heaps[priority], (ticket, waiter))
        self._waiting[priority] += 1
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._forget(priority)
            else:
                self.leave()
            raise

    def leave(self) -> None:
        """Hand the front to the next in line."""
        self.front = None
        for priority in self._order():
            heap = self._heaps[priority]
            while heap:
                _, waiter = heappop(heap)
                if waiter.done():
                    continue
                waiter.set_result(None)
                self._waiting[priority] -= 1
                self.front = priority
                self._interactive_in_a_row = (
                    0 if priority is Priority.BULK else self._interactive_in_a_row + 1
                )
                return

    def _order(self) -> tuple[Priority, ...]:
        if self._interactive_in_a_row >= self.IN_A_ROW:
            return Priority.BULK, Priority.INTERACTIVE
        return Priority.INTERACTIVE, Priority.BULK

    def _forget(self, priority: Priority) -> None:
        # Cancelled entries stay in the heap until they outnumber the living, which keeps a
        # cancellation at O(log n) on average and the memory bounded by those who really wait.
        self._waiting[priority] -= 1
        heap = self._heaps[priority]
        if len(heap) > 2 * self._waiting[priority]:
            heap[:] = [entry for entry in heap if not entry[1].done()]
            heapify(heap)
