"""The account's calls per second, held to in one process.

The service queues creates beyond the account's CPS instead of refusing them, so pacing here is
what keeps the queue empty and the phones ringing when the caller thinks they do. See
https://www.twilio.com/docs/voice/api/conference-participant-resource#create-a-participant
"""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, Self

import attrs
from aiolimiter import AsyncLimiter

from conference_async.errors import ConfigurationError
from conference_async.line import Line, Priority
from conference_async.pace import Schedule, Slowdown

MAX_CPS = 30.0
"""The most calls per second that an account can have."""

_ROUNDING = 1e-6

_TICK = 1e-6
"""Loops fire timers up to one tick of their clock early, and a slot may not start early."""

_log = logging.getLogger("conference_async.limits")


@attrs.frozen(kw_only=True)
class LimitSnapshot:
    """What a limit is doing at one moment."""

    cps: float
    """The configured calls per second."""

    effective_cps: float
    """The calls per second now, lower than `cps` while a growing call queue drains."""

    waiting: int
    """How many creates stand in line."""

    next_start: float
    """Seconds until the earliest free slot; 0 when a create could start at once."""

    queue_time: int
    """The wait in milliseconds that the service last reported for a call of this account."""


class Turn(Protocol):
    """The front of the line, held by one create."""

    async def slot(self) -> float:
        """Wait for the next slot; return its instant on the running loop's clock, in seconds."""
        ...

    def give_back(self) -> None:
        """Return a slot that was taken and not used, so that the next create can have it."""
        ...


class Limit(Protocol):
    """What paces creates: `CreateLimit`, a shared limit, `Unpaced`, or your own."""

    @property
    def cps(self) -> float:
        """The configured calls per second."""
        ...

    def turn(self, priority: Priority, ticket: int) -> AbstractAsyncContextManager[Turn]:
        """Wait for the front of the line and hold it inside the ``async with``.

        Args:
            priority: Interactive creates pass before bulk ones.
            ticket: The order within a priority, from `next_ticket`; a repeated attempt keeps it.
        """
        ...

    def estimate(self, priority: Priority) -> float:
        """Return the seconds until a create of this priority could start, at the least."""
        ...

    def observe(self, queue_time: int) -> None:
        """Take note of a ``queue_time`` in milliseconds that the service reported."""
        ...

    def snapshot(self) -> LimitSnapshot:
        """Return what the limit is doing now."""
        ...


def check_cps(cps: float) -> float:
    """Return `cps` if it is a rate that an account can have: more than 0, at most 30.

    Raises:
        ConfigurationError: It is not.
    """
    try:
        fits = 0 < cps <= MAX_CPS
    except TypeError:
        fits = False
    if not fits:
        raise ConfigurationError(
            f"cps must be more than 0 and at most {MAX_CPS:g}, not {cps!r}: "
            "the calls per second of your account, shown in the service's console"
        )
    return float(cps)


class CreateLimit:
    """At most `cps` creates per second in this process, evenly spaced.

    N creates take (N-1)/CPS seconds: idle time is not saved up, and none is wasted. No window
    of one second sees more than ``ceil(cps)`` starts. Interactive creates pass before bulk ones
    and a cancelled one costs no slot. When the service reports a growing queue the limit slows
    down until it drains.

    Args:
        cps: The account's calls per second, more than 0 and at most 30.

    Raises:
        ConfigurationError: `cps` is out of bounds.
    """

    def __init__(self, cps: float = 1.0) -> None:
        self._cps = check_cps(cps)
        self._line = Line()
        self._slowdown = Slowdown(self._cps)
        self._schedule = Schedule(self._cps)
        self._bucket: AsyncLimiter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last = -math.inf

    @property
    def cps(self) -> float:
        """The configured calls per second."""
        return self._cps

    @cps.setter
    def cps(self, cps: float) -> None:
        if check_cps(cps) != self._cps:
            self._cps = float(cps)
            self._schedule = Schedule(self._cps)
            self._slowdown = Slowdown(self._cps)
            self._bucket = None
            if self._last > -math.inf:
                self._schedule.take(self._last, waited=False)

    def _on_running_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None and self._loop.is_running():
                raise ConfigurationError(
                    "this limit is in use on another running event loop; "
                    "share the pace between loops with a SQLiteLimit"
                )
            if loop.time() < self._last:  # another clock: the instants mean nothing on it
                self._schedule = Schedule(self._cps)
                self._last = -math.inf
            self._loop, self._line, self._bucket = loop, Line(), None
        return loop

    @asynccontextmanager
    async def turn(self, priority: Priority, ticket: int) -> AsyncGenerator["LocalTurn", None]:
        """Wait for the front of the line and hold it inside the ``async with``."""
        loop = self._on_running_loop()
        line = self._line
        await line.enter(priority, ticket)
        try:
            yield LocalTurn(lambda: self._take(loop), self._free)
        finally:
            line.leave()

    def estimate(self, priority: Priority) -> float:
        """Return the seconds until a create of this priority could start, at the least."""
        loop = self._on_running_loop()
        now = loop.time()
        rate = self._cps * self._slowdown.factor
        first = max(0.0, self._schedule.due(self._slowdown.factor) - now)
        return first + self._line.ahead(priority) / rate

    def observe(self, queue_time: int) -> None:
        """Take note of a ``queue_time`` in milliseconds that the service reported."""
        before = self._slowdown.factor
        self._slowdown.observe(queue_time, self._on_running_loop().time())
        if self._slowdown.factor < before:
            _log.warning(
                "the service queues this account's calls for %d ms: slowing to %.2g of %g CPS "
                "until it drains; other software may be dialling for the account",
                queue_time,
                self._cps * self._slowdown.factor,
                self._cps,
            )

    def snapshot(self) -> LimitSnapshot:
        """Return what the limit is doing now."""
        return LimitSnapshot(
            cps=self._cps,
            effective_cps=self._cps * self._slowdown.factor,
            waiting=self._line.waiting(),
            next_start=self.estimate(Priority.INTERACTIVE),
            queue_time=self._slowdown.queue_time,
        )

    async def _take(self, loop: asyncio.AbstractEventLoop) -> float:
        now = loop.time()
        due = self._schedule.due(self._slowdown.factor)
        waited, wake = due > now, due
        while due > now:
            await _sleep_until(loop, wake)
            now = loop.time()
            due = self._schedule.due(self._slowdown.factor)
            wake = max(due, now + _TICK)
        if self._bucket is None:
            self._bucket = AsyncLimiter(1, 1 / self._cps)
        # The bucket alone would refill from each late wake-up and drift below the rate, so the
        # waiting is done above, on absolute instants, and the bucket is charged less when late.
        late = self._schedule.take(now, self._slowdown.factor, waited=waited)
        self._last = now
        await self._bucket.acquire(max(0.0, 1 - late * self._cps - _ROUNDING))
        return now

    def _free(self, taken: float) -> None:
        if self._schedule.undo(taken):
            self._bucket = None  # a bucket cannot be credited: a new one starts empty

    def __repr__(self) -> str:
        return f"<CreateLimit cps={self._cps:g} waiting={self._line.waiting()}>"


class LocalTurn:
    """The front of a `CreateLimit`'s line."""

    def __init__(self, take: Callable[[], Awaitable[float]], free: Callable[[float], None]) -> None:
        self._take = take
        self._free = free
        self._taken: float | None = None

    async def slot(self) -> float:
        """Wait for the next slot; return its instant on the running loop's clock, in seconds."""
        self._taken = await self._take()
        return self._taken

    def give_back(self) -> None:
        """Return the slot if it was not used and nobody took a later one."""
        if self._taken is not None:
            self._free(self._taken)
            self._taken = None


async def _sleep_until(loop: asyncio.AbstractEventLoop, when: float) -> None:
    # asyncio.sleep would round the instant by converting it to a delay and back.
    waiter = loop.create_future()
    handle = loop.call_at(when, waiter.set_result, None)
    try:
        await waiter
    finally:
        handle.cancel()


class Unpaced:
    """No limit at all: for emulators and benchmarks, never for an account with phones behind it."""

    cps = math.inf

    def turn(self, priority: Priority, ticket: int) -> AbstractAsyncContextManager[Turn]:  # noqa: ARG002 -- the protocol's signature
        """Return what can be entered at once."""
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def slot(self) -> float:
        """Return now."""
        return asyncio.get_running_loop().time()

    def give_back(self) -> None:
        """Do nothing: there are always more slots."""

    def estimate(self, priority: Priority) -> float:  # noqa: ARG002 -- the protocol's signature
        """Return 0."""
        return 0.0

    def observe(self, queue_time: int) -> None:
        """Do nothing."""

    def snapshot(self) -> LimitSnapshot:
        """Return that nothing is held back."""
        return LimitSnapshot(
            cps=math.inf, effective_cps=math.inf, waiting=0, next_start=0.0, queue_time=0
        )
