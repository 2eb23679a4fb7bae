"""The jobs that a run has yet to do, in the order they are due; bounded, however long the plan."""

import asyncio
import itertools
import math
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from zoneinfo import ZoneInfo

import attrs

from conference_async.dialer.ledger.outcome import Outcome
from conference_async.dialer.plan.targets import Target
from conference_async.journal.contacts import Contact

READY = 200
"""Targets read ahead of the calls."""

LATER = 10_000
"""Targets that wait for a second try; while so many do, no new ones are read."""

_TICK = 1e-6
"""Loops fire timers up to one tick of their clock early; so early is in time."""


@attrs.define(kw_only=True, eq=False)
class Job:
    """One target to call."""

    target: Target
    outcome: Outcome
    """The row that the ledger has of it."""

    zones: tuple[ZoneInfo, ...] = ()
    """The time zones it may be in, where rules ask for them."""

    contacts: Sequence[Contact] = ()
    """The calls to its number that are known, where limits ask for them."""

    failures: int = 0
    """How often in a row it could not be sent."""

    no_room: int = 0
    """How often there was no room for it at the service."""

    no_room_since: float = math.inf
    """The loop's time when there was none at first."""

    had_room: bool = True
    """Whether there was room for it when it was called last."""


class Backlog:
    """Jobs that are due now, and jobs that are due later."""

    def __init__(self) -> None:
        self._ready: deque[Job] = deque()
        self._later: list[tuple[float, int, Job]] = []
        self._order = itertools.count()
        self._busy = 0
        self._fed = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    async def add(self, job: Job) -> None:
        """Add a job that is due, when there is room for it."""
        while len(self._ready) >= READY or len(self._later) >= LATER:
            self._room.clear()
            await self._room.wait()
        self._ready.append(job)
        self._changed.set()

    def fed(self) -> None:
        """Take note that no more jobs will be added."""
        self._fed = True
        self._changed.set()

    async def take(self) -> Job | None:
        """Return the next job when it is due; None when none is left and none is under way."""
        loop = asyncio.get_running_loop()
        while True:
            due = self._later[0][0] if self._later else math.inf
            if due <= loop.time() + _TICK:
                job = heappop(self._later)[2]
            elif self._ready:
                job = self._ready.popleft()
            elif self._fed and not self._later and not self._busy:
                return None
            else:
                self._changed.clear()
                await self._change(None if due == math.inf else due)
                continue
            self._busy += 1
            self._room.set()
            return job

    async def _change(self, until: float | None) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._changed.wait()
        except TimeoutError:
            pass

    def back(self, job: Job, delay: float | None = None) -> None:
        """Put back a job that was taken, to be taken next, or after so many seconds."""
        self._busy -= 1
        due = -math.inf if delay is None else asyncio.get_running_loop().time() + delay
        heappush(self._later, (due, next(self._order), job))
        self._changed.set()

    def done(self) -> None:
        """Take note that a job that was taken is over."""
        self._busy -= 1
        self._changed.set()

    @property
    def may_defer(self) -> bool:
        """Whether there is room for jobs that wait for hours, beside those tried again."""
        return len(self._later) < LATER // 2
