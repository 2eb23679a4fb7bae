"""Sleeping until an instant, or until there is something new; and what the time is."""

import asyncio
import math
import time

_ONE_TURN = 1.0
"""Seconds by which a loop's time is old at the most; further apart, it is another clock."""

_TICK = 1e-6
"""Loops fire timers up to one tick of their clock early, and nothing may start early."""


def instant() -> float:
    """Return the running loop's time as finely as the machine knows it, in seconds.

    uvloop counts whole milliseconds, and reads the clock once in a turn of the loop: thirty
    starts that are a second apart by that may be less by the service's clock.
    """
    loop = asyncio.get_running_loop()
    now = loop.time()
    if isinstance(loop, asyncio.BaseEventLoop):
        return now
    finer = time.monotonic()
    return finer if 0 <= finer - now < _ONE_TURN else now


class Alarm:
    """Wakes everybody who sleeps on it: each at an instant of its own, or all when it rings.

    Attributes:
        sleepers: Those who sleep; without any, there is nobody to ring for.
    """

    def __init__(self) -> None:
        self.sleepers: set[asyncio.Future[None]] = set()

    async def sleep(self, until: float = math.inf) -> None:
        """Sleep until an instant of the running loop's clock, or until the alarm rings.

        asyncio.sleep would round the instant by converting it to a delay and back.
        """
        loop = asyncio.get_running_loop()
        sleeper = loop.create_future()
        timer = None
        if until < math.inf:
            timer = loop.call_at(max(until, loop.time() + _TICK), _wake, sleeper)
        self.sleepers.add(sleeper)
        try:
            await sleeper
        finally:
            self.sleepers.discard(sleeper)
            if timer is not None:
                timer.cancel()

    def ring(self) -> None:
        """Wake everybody."""
        for sleeper in self.sleepers:
            _wake(sleeper)


def _wake(sleeper: asyncio.Future[None]) -> None:
    # Whoever sleeps may have been cancelled in the very turn of the loop that wakes it, or have
    # been left behind by a loop that was closed.
    if not sleeper.done() and not sleeper.get_loop().is_closed():
        sleeper.set_result(None)
