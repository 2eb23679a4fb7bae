"""How much the service takes from us now: places, a shared back-off and a retry budget."""

import asyncio
from collections import deque

from conference_async.retry import RetryPolicy

_TICK = 1e-6
"""A loop may wake a sleeper up to one tick of its clock early; so early is in time."""


class RetryBudget:
    """Allows retries in proportion to what succeeds, so that an outage meets no storm.

    Ten retries to start with; each success earns a tenth of one.
    """

    CAPACITY = 10.0
    EARNED = 0.1

    def __init__(self) -> None:
        self._left = self.CAPACITY

    def __bool__(self) -> bool:
        return self._left >= 1

    def spend(self) -> None:
        """Pay for one retry."""
        self._left = max(0.0, self._left - 1)

    def earn(self) -> None:
        """Note a success."""
        self._left = min(self.CAPACITY, self._left + self.EARNED)


class Congestion:
    """One per client and its views: what one request learns slows all of them.

    A 429 halves the number of concurrent requests and each success wins a little back, up to
    `max_concurrency`. After a 429, or while no connection can be made, everybody waits out the
    same back-off, and only then does one after the other try again.
    """

    def __init__(self, max_concurrency: int, policy: RetryPolicy) -> None:
        self._most = max_concurrency
        self._places = float(max_concurrency)
        self._policy = policy
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._resume_at = 0.0
        self._failures = 0
        self.budget = RetryBudget()

    @property
    def places(self) -> int:
        """How many requests may be under way at once now."""
        return int(self._places)

    @property
    def busy(self) -> int:
        """How many are under way."""
        return self._busy

    async def enter(self) -> None:
        """Wait for the shared back-off to pass and for a place; `leave` frees it."""
        if self._busy >= self.places or self._waiting:
            await self._queue()
        else:
            self._busy += 1
        try:
            while (wait := self.pause()) > 0:  # noqa: ASYNC110 -- the instant may move while we wait
                await asyncio.sleep(wait)
        except asyncio.CancelledError:
            self.leave()
            raise

    async def _queue(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Free the place."""
        self._busy -= 1
        while self._waiting and self._busy < self.places:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._busy += 1

    def pause(self) -> float:
        """Return the seconds left of the shared back-off."""
        left = self._resume_at - asyncio.get_running_loop().time()
        return left if left > _TICK else 0.0

    def succeeded(self) -> None:
        """Note that the service did what it was asked."""
        self._failures = 0
        self._places = min(float(self._most), self._places + 1 / self._places)
        self.budget.earn()

    def failed(self, retry_after: float | None = None) -> None:
        """Note a 429, or that no connection could be made: everybody backs off.

        Requests that were under way when the back-off began say nothing new, unless the service
        asks for a longer one.
        """
        now = asyncio.get_running_loop().time()
        if self.pause() == 0:
            self._failures += 1
            self._places = max(1.0, self._places / 2)
        elif retry_after is None:
            return
        delay = self._policy.delay(self._failures, retry_after)
        self._resume_at = max(self._resume_at, now + delay)
