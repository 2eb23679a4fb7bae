"""One clock: the loop's, with a calendar laid over it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """The loop's time, and the date that goes with it.

    Dates start at the real date when the emulator opens and advance with the loop, so that a
    test that drives the loop's time drives the dates too.
    """

    _loop: asyncio.AbstractEventLoop
    _origin: datetime

    def start(self) -> None:
        """Bind to the running loop and take today's date."""
        self._loop = asyncio.get_running_loop()
        self._origin = datetime.now(UTC) - timedelta(seconds=self._loop.time())

    def time(self) -> float:
        """Return the loop's time in seconds."""
        return self._loop.time()

    def now(self) -> datetime:
        """Return the date in UTC, in whole seconds as the API's dates are."""
        return self.date(self._loop.time())

    def date(self, at: float) -> datetime:
        """Return the date of an instant of the loop's time, in whole seconds too."""
        return (self._origin + timedelta(seconds=at)).replace(microsecond=0)

    def call_at(self, when: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        """Run `act` at `when` seconds of the loop's time."""
        return self._loop.call_at(when, act)
