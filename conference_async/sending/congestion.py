"""How much the service takes from us now: places, shared back-offs and a retry budget."""

import asyncio
import random
from collections import OrderedDict

from conference_async.backoff import Backoff
from conference_async.errors import ConnectionFailed
from conference_async.home import Home
from conference_async.sending.attempts import DONE, AttemptOutcome, Ending
from conference_async.sending.retry import RetryPolicy

PROBING = 1.0
"""The longest pause in seconds before somebody tries again whether the service can be reached."""

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
        if self._left < self.CAPACITY:
            self._left = min(self.CAPACITY, self._left + self.EARNED)


class Congestion:
    """One per client and its views: what one request learns slows all of them, or lets them go.

    A 429 halves the number of concurrent requests and each success wins a little back, up to
    `max_concurrency`. After a 429 everybody waits out the same back-off, and only then does one
    after the other try again.

    While no connection can be made, one request at a time probes the service, at pauses of at
    most a second, and the others wait for what it finds: they go on as soon as it is answered, or
    fail with it once it has failed as often as each of them would have tried.
    """

    def __init__(self, max_concurrency: int, policy: RetryPolicy) -> None:
        self._most = max_concurrency
        self._places = float(max_concurrency)
        self._policy = policy
        self._probing = Backoff(policy.base, min(policy.maximum, PROBING))
        self._home = Home()
        self._busy = 0
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._resume_at = 0.0
        self._refusals = 0
        self._unreachable = 0
        self._unreachable_for = ""
        self._probe: asyncio.Future[None] | None = None
        self._prober: asyncio.Task[object] | None = None
        self.misses: int = 0
        """How many probes have failed, ever."""
        self.budget: RetryBudget = RetryBudget()

    @property
    def places(self) -> int:
        """How many requests may be under way at once now."""
        return int(self._places)

    @property
    def busy(self) -> int:
        """How many are under way."""
        return self._busy

    def take(self) -> bool:
        """Take a place if nothing has to be waited for; return whether it was, as for `enter`."""
        if self._home.loop is not asyncio.get_running_loop():
            self._settle()
        if self._unreachable or self._waiting or self._busy >= int(self._places):
            return False
        if self._resume_at and self.pause() > 0:
            return False
        self._busy += 1
        return True

    async def enter(self, last_miss: int | None = None) -> None:
        """Wait for the shared back-off to pass and for a place; `leave` frees it.

        Args:
            last_miss: The number of failed probes (`misses`) at which to wait no longer for a
                service that cannot be reached; None to wait for as long as it takes.

        Raises:
            ConnectionFailed: That many have failed.
            ConfigurationError: The client is in use on another running loop.
        """
        self._settle()
        while True:
            if await self._may_probe(last_miss):
                self._busy += 1  # whatever still hangs on the places of before
                return
            if self._busy >= self.places or self._waiting:
                await self._queue()
            else:
                self._busy += 1
            if not self._unreachable and self.pause() == 0:
                return
            self.leave()

    def _settle(self) -> None:
        if self._home.settle("make one for each loop", what="client"):
            # Under another loop, or in another process, nothing is under way.
            self._busy, self._resume_at, self._probe, self._prober = 0, 0.0, None, None
            self._waiting.clear()

    async def _may_probe(self, last_miss: int | None) -> bool:
        """Wait until the service takes requests, as far as we know (False), or may be probed."""
        while True:
            if self._unreachable and last_miss is not None and self.misses >= last_miss:
                raise ConnectionFailed(
                    f"no connection could be made ({self._unreachable_for}), {self._unreachable} "
                    "times in a row, so nothing was sent; check the network, base_url and proxy, "
                    "then repeat"
                )
            if (wait := self.pause()) > 0:
                await asyncio.sleep(wait)
            elif not self._unreachable:
                return False
            elif self._probe is None:
                self._probe = asyncio.get_running_loop().create_future()
                self._prober = asyncio.current_task()
                return True
            else:
                await asyncio.wait([self._probe])

    async def _queue(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = None
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._waiting.pop(waiter, None)
            else:
                self.leave()
            raise

    def leave(self, ending: Ending | None = None, cause: str = "") -> None:
        """Free the place, in the task that took it, and learn from how its attempt ended.

        Args:
            ending: How; None if it came to no end.
            cause: What stood in its way, in words.
        """
        if ending is not None:
            self._learn(ending, cause)
        # Whoever hangs from before the outage has nothing to say when it gives up.
        if self._probe is not None and (
            not self._unreachable or asyncio.current_task() is self._prober
        ):
            self._probe.set_result(None)
            self._probe = self._prober = None
        if self._busy:
            self._busy -= 1
        while self._waiting and self._busy < int(self._places):
            waiter, _ = self._waiting.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                self._busy += 1

    def _learn(self, ending: Ending, cause: str) -> None:
        if ending.outcome is DONE:
            self.succeeded()
            return
        match ending.outcome:
            case AttemptOutcome.REFUSED:
                self.succeeded()
            case AttemptOutcome.TOO_MANY:
                self._unreachable = 0
                self.refused(ending.retry_after)
            case AttemptOutcome.NOT_LEFT:
                self.missed(cause)
            case _:
                self._unreachable = 0

    def pause(self) -> float:
        """Return the seconds left of the shared back-off."""
        left = self._resume_at - asyncio.get_running_loop().time()
        return left if left > _TICK else 0.0

    def succeeded(self) -> None:
        """Note that the service did what it was asked."""
        self._refusals = self._unreachable = 0
        if self._places < self._most:
            self._places = min(float(self._most), self._places + 1 / self._places)
        self.budget.earn()

    def refused(self, retry_after: float | None = None) -> None:
        """Note a 429: everybody backs off.

        Requests that were under way when the back-off began say nothing new, unless the service
        asks for a longer one.
        """
        self._settle()
        if self.pause() == 0:
            self._refusals += 1
            self._places = max(1.0, self._places / 2)
        elif retry_after is None:
            return
        self._hold_up(self._policy.delay(self._refusals, retry_after))

    def missed(self, cause: str = "") -> None:
        """Note that no connection could be made: one request probes, and the others wait for it.

        Requests that were under way when the pause began say nothing new.
        """
        self._settle()
        if self.pause() > 0:
            return
        self._unreachable += 1
        self._unreachable_for = cause
        self.misses += 1
        self._places = max(1.0, self._places / 2)
        # Half of it at least, so that the probes of one call do not fall into one moment.
        jitter = random.uniform(0.5, 1)  # noqa: S311 -- jitter is no secret
        self._hold_up(self._probing.delay(self._unreachable) * jitter)

    def _hold_up(self, delay: float) -> None:
        self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + delay)
