"""Time limits for which what came while this process did not run is not too late.

A process is stopped, a laptop sleeps, a loop is blocked. Whoever goes on would find every time
limit over before it has read what came meanwhile.
"""

import asyncio
import math
from collections.abc import Callable
from types import TracebackType
from typing import Self

_MOST = 5.0
"""Seconds in which what has come is read, and in which what could not be sent is answered."""


def more_time(due: float, now: float) -> float:
    """Return for how many seconds more something holds that was to be over at an instant.

    As many as have passed since then unnoticed, up to five; whoever asks grants them once.

    Args:
        due: That instant, of the loop's clock.
        now: The present one.
    """
    return min(max(now - due, 0.0), _MOST)


class Timer:
    """Calls a function at an instant of the running loop's clock, or a little after it.

    Where the loop comes to it late, it is given as much time more, up to five seconds.

    Args:
        at: The instant; one that has passed is now.
        over: What to call.
    """

    def __init__(self, at: float, over: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = over
        self._due = max(at, self._loop.time())
        self._handle = self._loop.call_at(self._due, self._ring)

    def cancel(self) -> None:
        """Call nothing any more."""
        self._handle.cancel()

    def _ring(self) -> None:
        now = self._loop.time()
        if more := more_time(self._due, now):
            self._handle = self._loop.call_at(now + more, self._over)
        else:
            self._over()


class TimeLimit:
    """What `asyncio.timeout_at` does, by a `Timer`; made by `time_limit` or `time_limit_at`."""

    def __init__(self, at: float) -> None:
        self._at = at
        self._scope = asyncio.timeout(None)
        self._timer: Timer | None = None

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        if self._at < math.inf:
            self._timer = Timer(self._at, self._end)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._scope.__aexit__(kind, error, traceback)

    def expired(self) -> bool:
        """Return whether it has ended what is inside."""
        return self._scope.expired()

    def _end(self) -> None:
        self._scope.reschedule(-math.inf)


def time_limit(seconds: float | None) -> TimeLimit:
    """Return an ``async with`` whose block is cancelled when its time is over.

    It raises a `TimeoutError` then.

    Args:
        seconds: How long it may take, from now; None without a limit.
    """
    return time_limit_at(None if seconds is None else asyncio.get_running_loop().time() + seconds)


def time_limit_at(at: float | None) -> TimeLimit:
    """Return the same for an instant.

    Args:
        at: The instant of the running loop's clock; None without a limit.
    """
    return TimeLimit(math.inf if at is None else at)
