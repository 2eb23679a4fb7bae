"""The arithmetic of pace: when the next create may start, and when to stay below the CPS."""

import math
from collections import deque

_NOISE = 1e-9
"""Sums of intervals differ from the instants they mean by less than this."""


class Slowdown:
    """How far to stay below the CPS, from the queue times that the service reports.

    A queue that grows although we keep to our CPS means that other software dials for the same
    account. Halve the rate, once per queue's length, until it drains; then win it back slowly.
    """

    FLOOR = 0.1
    STEP = 0.05

    def __init__(self, cps: float) -> None:
        # One slot of queue is jitter between two hosts, not somebody else's calls.
        self._tolerance = 1000 * max(0.25, 1 / cps)
        self._changed = -math.inf
        self.factor: float = 1.0
        self.queue_time: int = 0

    def observe(self, queue_time: int, now: float) -> None:
        """Adjust the factor to a queue time in milliseconds reported at `now` in seconds."""
        since = now - self._changed
        if queue_time > self._tolerance:
            if since > self.queue_time / 1000:
                self.factor, self._changed = max(self.FLOOR, self.factor / 2), now
            self.queue_time = queue_time
        else:
            self.queue_time = queue_time
            if self.factor < 1 and since >= 1:
                self.factor, self._changed = min(1.0, self.factor + self.STEP), now

    def adopt(self, *, factor: float, queue_time: int, changed: float) -> None:
        """Take over what another process made of its queue times, `changed` being an instant."""
        self.factor, self.queue_time, self._changed = factor, queue_time, changed


class Schedule:
    """The instants at which creates may start; arithmetic only, in seconds of one clock.

    Slots are one interval apart, counted from the last slot and not from the last wake-up, since
    each wake-up is a little late and the lateness would add up to a lower rate. It is made up
    for only as far as no second sees more than ``ceil(cps)`` starts.

    Attributes:
        next: The instant of the next slot, which is in the past after an idle time.
    """

    def __init__(self, cps: float) -> None:
        self._rate = cps
        self.next: float = -math.inf
        self._cps = cps
        self._window = math.ceil(cps)
        # Slot and start of the creates of the last second, and as many again that may be undone.
        self._taken: deque[tuple[float, float]] = deque(maxlen=2 * self._window)

    @property
    def last(self) -> float:
        """The instant of the last start; minus infinity if there was none."""
        return self._taken[-1][1] if self._taken else -math.inf

    def at_another_rate(self, cps: float) -> "Schedule":
        """Return a schedule that goes on from the starts of this one."""
        schedule = Schedule(cps)
        schedule._taken.extend(self._taken)
        schedule.next = schedule._due()
        return schedule

    def slow(self, factor: float) -> None:
        """Go on at a part of the CPS, from the last start on."""
        self._rate = self._cps * factor
        self.next = self._due()

    def _due(self) -> float:
        if not self._taken:
            return -math.inf
        interval = 1 / self._rate
        slot, start = self._taken[-1]
        due = max(slot + interval - _NOISE, start + interval / 2)
        if len(self._taken) >= self._window:
            due = max(due, self._taken[-self._window][1] + 1)
        return due

    def take(self, now: float, *, waited: bool) -> None:
        """Take the next slot at `now`.

        Args:
            now: The instant of the start, not before `next`.
            waited: Whether somebody waited for the slot. If nobody did, it begins now.
        """
        slot = now
        if waited and self._taken:
            slot = max(self._taken[-1][0] + 1 / self._rate, now - 0.5 / self._cps)
        self._taken.append((slot, now))
        self.next = self._due()

    def undo(self, now: float) -> bool:
        """Free the slot taken at `now` again; False if another was taken since."""
        if self.last != now:
            return False
        self._taken.pop()
        self.next = self._due()
        return True
