"""The time that attempts may take: one timer of the loop for all that are under way.

`asyncio.timeout` has a timer for each, set and cancelled with every attempt and twice more where
one waits for its slot. Attempts of a client end nearly in the order in which they began, so a
timer for the earliest of them seldom has to be moved; and it is left to ring when there are none.
"""

import asyncio
import math
from contextvars import Context
from types import TracebackType
from typing import Self

from conference_async.time_limits import more_time


class Bound:
    """The time that one attempt may take: a ``with`` in the task that makes it, for its end.

    When it is over the task is cancelled, and the ``with`` raises a `TimeoutError` instead, as
    `asyncio.timeout` does. An answer that came while this process did not run is read first: see
    `more_time`.

    Attributes:
        at: The instant of the loop's clock at which it is over; infinite while it does not run.
    """

    __slots__ = ("_before", "_expired", "_patience", "_prolonged", "_task", "at")

    def __init__(self, patience: "Patience", task: asyncio.Task[object], at: float) -> None:
        self._patience = patience
        self._task = task
        self._before = task.cancelling()
        self._expired = False
        self._prolonged = False
        self.at: float = at

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._patience.under_way.pop(self, None)
        if not self._expired:
            return
        if self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def pause(self, now: float) -> float:
        """Stop the clock; return the seconds that are left, for `resume`."""
        left = self.at - now
        self.at = math.inf
        return left

    def resume(self, left: float, now: float) -> None:
        """Let the clock run again, unless the attempt is over."""
        if self in self._patience.under_way:
            self.at = now + left
            self._patience.watch(self)

    def prolong(self, now: float) -> bool:
        """Go on, once, where it was noticed late that the time is over; return whether it does."""
        more = 0.0 if self._prolonged else more_time(self.at, now)
        if more:
            self._prolonged, self.at = True, now + more
        return more > 0

    def expire(self) -> None:
        """End the attempt."""
        self._expired = True
        self._task.cancel()


class Patience:
    """The bounds of the attempts that are under way, and the timer of the earliest.

    Attributes:
        loop: The loop that attempts were made on last.
        under_way: The bounds that are to be heeded.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.under_way: dict[Bound, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf

    def bound(self, until: float) -> Bound:
        """Return the time that an attempt of the running task may take.

        Args:
            until: The instant of the loop's clock at which it is over.
        """
        loop = asyncio.get_running_loop()
        if loop is not self.loop:  # the loop before has ended, and its attempts with it
            self.loop, self._timer, self._rings_at = loop, None, math.inf
            self.under_way.clear()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("an attempt is made in a task")
        bound = Bound(self, task, until)
        self.watch(bound)
        return bound

    def watch(self, bound: Bound) -> None:
        """End an attempt when its time is over."""
        self.under_way[bound] = None
        if bound.at < self._rings_at:
            self._ring_at(bound.at)

    def rest(self) -> None:
        """Leave no timer behind, where no more attempts are made and none is under way."""
        if not self.under_way:
            self._ring_at(math.inf)

    def _ring_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._rings_at = at
        if at < math.inf and self.loop is not None:
            # Of no task: it may outlive all that are under way, and what their contexts hold.
            self._timer = self.loop.call_at(at, self._ring, at, context=Context())

    def _ring(self, due: float) -> None:
        """End the attempts whose time is over; `due` as a loop may be a tick of its clock early."""
        self._timer, now = None, asyncio.get_running_loop().time()
        for bound in [each for each in self.under_way if each.at <= due]:
            if not bound.prolong(now):
                del self.under_way[bound]
                bound.expire()
        self._ring_at(min((each.at for each in self.under_way), default=math.inf))
