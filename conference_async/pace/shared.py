"""One pace for every process that dials for an account, however many machines they are on.

The service counts calls per second per account, so two processes at their CPS are twice over it.
See https://www.twilio.com/docs/voice/api/conference-participant-resource#create-a-participant
"""

import asyncio
import logging
import math
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import attrs

from conference_async.backoff import Backoff
from conference_async.errors import ConfigurationError
from conference_async.home import Home
from conference_async.pace.asking import ANSWER_WITHIN
from conference_async.pace.contract import LimitSnapshot, LookAtCalls, Turn, check_cps, check_lines
from conference_async.pace.departures import line_of
from conference_async.pace.keeping import Lines
from conference_async.pace.line import Priority
from conference_async.pace.lines import LineNews, LineStore
from conference_async.pace.reserving import Reservations
from conference_async.pace.schedule import Slowdown
from conference_async.pace.slots import Reservation, SlotStore
from conference_async.time_limits import time_limit

_REPORT_EVERY = 1.0
_TELL_AGAIN = Backoff(0.1, 2.0)
_NOTHING = LineNews()
_MOST_UNTOLD = 10_000
_log = logging.getLogger("conference_async.pace")


class SharedLimit:
    """At most `cps` creates per second in all processes that share a store, evenly spaced.

    Each process keeps its own line, interactive before bulk, and reserves one slot per create in
    one round trip: none is polled for, and a cancelled create wastes none. However many processes
    dial in bulk, an interactive create waits for one slot and a half at most, or for half a second
    where that is longer. The store's clock rules. Each second sees ``ceil(cps)`` starts, and one
    more where wake-ups differ by up to one interval; a create that wakes up later than that
    takes another slot.

    While the store is gone creates wait, until their deadline if they have one and without end if
    not; nothing is sent unpaced. A store that comes back empty learns how far slots were given
    out, so that there is no burst.

    Processes that were given different rates keep to the lowest that was asked for within the
    last minute; those that were given more say so in the log ``conference_async.pace``. What
    the service reports about its queue slows all of them.

    It may be made before an event loop runs and used under one loop after another. Close it with
    ``async with`` or `aclose`, once under each loop; it opens by itself.

    Args:
        store: Where the processes meet.
        cps: The account's calls per second, more than 0 and at most 30. A process makes at most
            one create per round trip to the store.
        fallback_cps: The calls per second at which *each* process dials on its own while the
            store is gone; None, the default, to wait. Processes may start together then: a second
            sees up to ``ceil(fallback_cps)`` starts of each. Lines are not counted.
        max_live: How many calls of the account may be live at once, in all processes together, as
            for `CreateLimit`. None, the default, does not count them; else the store is a
            `LineStore` too.
        reserved: How many of these lines bulk creates leave to interactive ones, as for
            `CreateLimit`.

    Raises:
        ConfigurationError: A rate or a number of lines is out of bounds, or the store keeps none.
    """

    def __init__(
        self,
        store: SlotStore,
        cps: float,
        *,
        fallback_cps: float | None = None,
        max_live: int | None = None,
        reserved: int = 0,
    ) -> None:
        check_lines(max_live, reserved)
        if max_live is not None and not isinstance(store, LineStore):
            raise ConfigurationError(
                f"max_live needs a store that keeps lines (LineStore), and {store!r} does not"
            )
        self._store = store
        self._lines: Lines | None = None
        if max_live is not None:
            self._lines = Lines(max_live, reserved, ages=self._ages, tell=self._tell)
        self._untold = LineNews()
        self._telling: asyncio.Task[None] | None = None
        self._cps = check_cps(cps)
        self._fallback_cps = None if fallback_cps is None else check_cps(fallback_cps)
        self._shared_cps = self._cps
        self._slowdown = Slowdown(self._cps)
        self._home = Home()
        self._reservations: Reservations | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._reported = -math.inf

    @property
    def cps(self) -> float:
        """The configured calls per second."""
        return self._cps

    def _settle(self) -> Reservations | None:
        """Return what this limit holds on the running loop; None if none runs and none ran."""
        if self._home.settle("make one for each loop: they meet in the store"):
            self._reservations = None
            self._reporting, self._reported = None, -math.inf
            self._telling = None
            if self._lines is not None:
                self._lines.moved()
            self._slowdown = Slowdown(self._cps)
        return self._reservations

    def _open(self) -> Reservations:
        reservations = self._settle()
        if reservations is None:
            reservations = self._reservations = Reservations(
                self._store,
                self._cps,
                home=self._home,
                fallback_cps=self._fallback_cps,
                learn=self._learn,
                rate=lambda: self._rate,
                lines=self._lines,
            )
        return reservations

    def turn(self, priority: Priority, ticket: int) -> AbstractAsyncContextManager[Turn]:
        """Wait for the front of the line and hold it inside the ``async with``."""
        return self._open().departures.turn(priority, ticket)

    @property
    def max_live(self) -> int | None:
        """How many calls of the account may be live at once; None if they are not counted."""
        return None if self._lines is None else self._lines.max_live

    def look_with(self, look: LookAtCalls) -> None:
        """Take what a client can find the account's live calls with, as `LiveLimit` says."""
        if self._lines is not None:
            self._settle()
            self._lines.look_with(look)

    def answered(self, turn: Turn, *, call_sid: str | None = None, code: int | None = None) -> None:
        """Note what the service made of a create, as `LiveLimit` says."""
        if self._lines is not None and (line := line_of(turn)) is not None:
            self._lines.answered(line, call_sid=call_sid, code=code)

    def apply(self, event: object) -> None:
        """Free the line of a call that ended: ``receiver.listen(limit.apply)``.

        It takes any event of a `Receiver`, whichever process made the call, and ignores what says
        nothing of a call's end. Ask for a call's ``completed`` events, or for a conference's
        ``leave``.
        """
        if self._lines is not None:
            self._open()
            self._lines.apply(event)

    async def _ages(self) -> Mapping[str, float]:
        if not isinstance(self._store, LineStore):
            return {}
        async with time_limit(ANSWER_WITHIN):
            return await self._store.lines()

    def _tell(self, news: LineNews) -> None:
        """Let the store know what was learned of lines, soon and all at once."""
        self._untold = self._untold.and_then(news)
        if len(self._untold.over) > _MOST_UNTOLD:  # the store is gone; a look frees them as well
            self._untold = attrs.evolve(self._untold, over=news.over)
        if self._untold == _NOTHING:  # a look found nothing new: now lines can be given out
            self._ask_again()
        elif self._telling is None and self._home.awake:
            self._telling = self._home.last_words(self._tell_all)

    async def _tell_all(self) -> None:
        failures = 0
        try:
            while self._untold != _NOTHING and isinstance(self._store, LineStore):
                news, self._untold = self._untold, _NOTHING
                try:
                    async with time_limit(ANSWER_WITHIN):
                        await self._store.open()
                        live = await self._store.note(news)
                except BaseException as error:
                    self._untold = news.and_then(self._untold)
                    if not isinstance(error, Exception):
                        raise
                    failures += 1
                    _log.debug("news of lines could not be shared (%s)", type(error).__name__)
                    await asyncio.sleep(_TELL_AGAIN.delay(failures))
                else:
                    failures = 0
                    if self._lines is not None:
                        self._lines.heard(live)
                    self._ask_again()
        finally:
            self._telling = None

    def _ask_again(self) -> None:
        if self._reservations is not None:
            self._reservations.news_of_lines()

    def estimate(self, priority: Priority) -> float:
        """Return the seconds until a create of this priority could start, at the least.

        What other processes will take meanwhile is not known here.
        """
        reservations = self._settle()
        if reservations is None:
            return 0.0
        now = self._home.now
        ahead = reservations.departures.ahead(priority)
        return max(0.0, reservations.due(priority, ahead, now) - now)

    def observe(self, queue_time: int) -> None:
        """Take note of a ``queue_time`` in milliseconds that the service reported, for all."""
        self._settle()
        before = self._slowdown.factor
        self._slowdown.observe(queue_time, self._home.now)
        if self._slowdown.factor < before:
            _log.warning(
                "the service queues this account's calls for %d ms: all its processes slow to "
                "%.2g of %g CPS until it drains; other software may be dialling for the account",
                queue_time,
                self._rate,
                self._shared_cps,
            )
        if self._slowdown.factor != before and self._reporting is None and self._home.awake:
            self._reporting = asyncio.get_running_loop().create_task(self._report())

    def snapshot(self) -> LimitSnapshot:
        """Return what the limit is doing in this process, and what it knows of the others."""
        reservations = self._settle()
        return LimitSnapshot(
            cps=self._cps,
            effective_cps=self._rate,
            waiting=0 if reservations is None else reservations.departures.line.waiting(),
            next_start=self.estimate(Priority.INTERACTIVE),
            queue_time=self._slowdown.queue_time,
            **self._counted(),
        )

    def _counted(self) -> dict[str, int | None]:
        if self._lines is None:
            return {}
        most, count = self._lines.max_live, self._lines.count
        return {
            "live": None if count is None else count.live,
            "max_live": most,
            "effective_max_live": most if count is None else count.lines,
        }

    async def aclose(self) -> None:
        """Free what is reserved and close the store; a later use opens it again."""
        reservations, self._reservations = self._settle(), None
        if self._reporting is not None:
            self._reporting.cancel()
        if self._lines is not None:
            await self._lines.aclose()
        if reservations is not None:
            await reservations.aclose()
        if self._telling is not None:  # what is not said now, a look of others finds
            await asyncio.wait([self._telling], timeout=ANSWER_WITHIN)
        if self._telling is not None:
            self._telling.cancel()
        await self._store.aclose()

    @property
    def _rate(self) -> float:
        return self._shared_cps * self._slowdown.factor

    def _learn(self, reservation: Reservation) -> None:
        """Take over what the store says about the other processes."""
        if reservation.cps != self._shared_cps:
            self._shared_cps = reservation.cps
            if reservation.cps < self._cps:
                _log.warning(
                    "another process of this account asked for %g CPS, this one for %g: "
                    "the lowest holds, and for a minute after its last create",
                    reservation.cps,
                    self._cps,
                )
        if self._reporting is None:
            now = asyncio.get_running_loop().time()
            self._slowdown.adopt(
                factor=reservation.factor,
                queue_time=reservation.queue_time,
                changed=now - reservation.unchanged,
            )

    async def _report(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._reported + _REPORT_EVERY - loop.time())
            self._reported = loop.time()
            async with time_limit(ANSWER_WITHIN):
                await self._store.report(
                    factor=self._slowdown.factor, queue_time=self._slowdown.queue_time
                )
        except Exception as error:  # noqa: BLE001 -- whatever a store raises: the next report tells
            _log.debug("the slow-down could not be shared (%s)", type(error).__name__)
        finally:
            self._reporting = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        waiting = 0
        if self._reservations is not None:
            waiting = self._reservations.departures.line.waiting()
        return f"<{type(self).__name__} {self._store!r} cps={self._cps:g} waiting={waiting}>"
