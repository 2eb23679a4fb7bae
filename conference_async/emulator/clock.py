"""One clock: the loop's, with a calendar laid over it."""

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, TypeVarTuple, Unpack

_LONGEST_STEP = 366 * 24 * 3600
_LATEST = 1000 * _LONGEST_STEP
_MOST_CANCELLED = 1000

Ts = TypeVarTuple("Ts")


@lru_cache(maxsize=1024)  # many resources share a second
def written(moment: datetime, *, gmt: bool = False) -> str:
    """Return a date as the API writes it, or as HTTP's headers do."""
    return format_datetime(moment, usegmt=gmt)


class Timer:
    """Something that happens later, and when."""

    __slots__ = ("_act", "_arguments", "_clock", "when")

    def __init__(
        self, clock: "Clock", when: float, act: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        self.when: float = when
        self._act: Callable[..., None] | None = act
        self._arguments = arguments
        self._clock = clock

    @property
    def live(self) -> bool:
        """Whether it has yet to happen."""
        return self._act is not None

    def run(self) -> None:
        """Let it happen now, and not again."""
        act, self._act = self._act, None
        if act is not None:
            act(*self._arguments)

    def cancel(self) -> None:
        """Keep it from happening."""
        if self._act is not None:
            self._act = None
            self._arguments = ()
            self._clock.cancelled()


class Clock:
    """The loop's time and the date that goes with it, which a test may stop and move on.

    Dates start at the real date when the emulator opens and advance with the loop, so that a
    test that drives the loop's time drives the dates too.
    """

    _loop: asyncio.AbstractEventLoop
    _origin: datetime
    _now: datetime

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._opened_at = 0.0
        self._next_second = -math.inf
        self._closed = False
        self._ahead = 0.0
        self._frozen_at: float | None = None
        # One handle of the loop serves all timers: the next that is due.
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._cancelled = 0
        self._handle: asyncio.TimerHandle | None = None
        self._due = math.inf

    def start(self) -> None:
        """Bind to the running loop and take today's date."""
        self.loop = self._loop = asyncio.get_running_loop()
        self._opened_at = self._loop.time()
        self._origin = datetime.now(UTC) - timedelta(seconds=self._opened_at)

    def stop(self) -> None:
        """Let nothing more happen, and let `check` refuse from now on."""
        self._closed = True
        self.forget()

    def forget(self) -> None:
        """Let nothing of what was to come happen."""
        self._timers.clear()
        self._cancelled = 0
        self._aim()

    def check(self) -> None:
        """Refuse to be used where nothing would come of it.

        Raises:
            RuntimeError: It has not started or is over, or another loop runs, or none.
        """
        if self.loop is None or self._closed:
            raise RuntimeError("the emulator is not open: use it inside `async with Emulator()`")
        try:
            here = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            here = False
        if not here:
            raise RuntimeError(
                "the emulator belongs to another event loop; from outside of it, use that "
                "loop's call_soon_threadsafe(emulator.answer, call_sid)"
            )

    @property
    def frozen(self) -> bool:
        """Whether time stands still but for `advance`."""
        return self._frozen_at is not None

    def freeze(self) -> None:
        """Let time stand still."""
        if self._frozen_at is None:
            self._frozen_at = self.time()
            self._aim()

    def unfreeze(self) -> None:
        """Let time go on from where it stands."""
        if self._frozen_at is not None:
            self._ahead = self._frozen_at - self._loop.time()
            self._frozen_at = None
            self._aim()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass at once: what is due in them happens, each at its instant.

        Raises:
            ValueError: They are negative or endless.
            TypeError: They are not a number.
        """
        if type(seconds) not in (int, float):
            raise TypeError(f"seconds must be a number, not {type(seconds).__name__}")
        if not 0 <= seconds <= _LONGEST_STEP:
            raise ValueError(f"seconds must be from 0 to {_LONGEST_STEP:,} (a year), not {seconds}")
        end = self.time() + seconds
        if end - self._opened_at > _LATEST:
            raise ValueError("seconds lead too far: at most a thousand years after the opening")
        while self._timers and self._timers[0][0] <= end:
            self._move_to(max(self._timers[0][0], self.time()))
            self._run_next()
        self._move_to(end)
        self._aim()

    def time(self) -> float:
        """Return the time in seconds: the loop's, as long as nobody has moved it."""
        frozen_at = self._frozen_at
        return self._loop.time() + self._ahead if frozen_at is None else frozen_at

    def now(self) -> datetime:
        """Return the date in UTC, in whole seconds as the API's dates are."""
        at = self.time()
        if at >= self._next_second:
            exact = self._origin + timedelta(seconds=at)
            self._now = exact.replace(microsecond=0)
            self._next_second = at + 1 - exact.microsecond / 1e6
        return self._now

    def since_opening(self, at: float) -> float:
        """Return how many seconds after the emulator's opening an instant of this clock is."""
        return at - self._opened_at

    def date(self, at: float) -> datetime:
        """Return the date of an instant of this clock, in whole seconds too."""
        return (self._origin + timedelta(seconds=at)).replace(microsecond=0)

    def call_at(self, when: float, act: Callable[[Unpack[Ts]], None], *about: *Ts) -> Timer:
        """Run ``act(*about)`` at an instant of this clock; what is due together runs in turn."""
        timer = Timer(self, when, act, about)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        if when < self._due:
            self._aim()
        return timer

    def cancelled(self) -> None:
        """Note that a timer was cancelled, and forget those once they are the most."""
        self._cancelled += 1
        if self._cancelled > _MOST_CANCELLED and self._cancelled * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if entry[2].live]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def _move_to(self, at: float) -> None:
        if self._frozen_at is None:
            self._ahead = at - self._loop.time()
        else:
            self._frozen_at = at

    def _aim(self) -> None:
        """Let the loop call when the next timer is due."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle, self._due = None, math.inf
        while self._timers and not self._timers[0][2].live:
            self._run_next()
        if self._timers and self._frozen_at is None:
            self._due = self._timers[0][0]
            self._handle = self._loop.call_at(self._due - self._ahead, self._ring)

    def _ring(self) -> None:
        # Loops fire up to a tick early: what they were asked for is due. What comes of it has its
        # own turn of the loop, so that others see each step.
        last = max(self._due, self.time()), next(self._order)
        self._handle, self._due = None, math.inf
        while self._timers and self._timers[0][:2] <= last:
            self._run_next()
        self._aim()

    def _run_next(self) -> None:
        timer = heapq.heappop(self._timers)[2]
        if timer.live:
            timer.run()
        else:
            self._cancelled = max(self._cancelled - 1, 0)
