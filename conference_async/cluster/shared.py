"""One pace for every process that dials for an account, however many machines they are on.

The service counts calls per second per account, so two processes at their CPS are twice over it.
See https://www.twilio.com/docs/voice/api/conference-participant-resource#create-a-participant
"""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from conference_async.cluster.pump import LATEST, PATIENCE, Held, Pump
from conference_async.cluster.slots import Reservation, SlotStore
from conference_async.errors import ConfigurationError
from conference_async.limits import LimitSnapshot, check_cps
from conference_async.line import Priority
from conference_async.pace import Slowdown

_REPORT_EVERY = 1.0
_log = logging.getLogger("conference_async.cluster")


class SharedTurn:
    """The front of the line in this process."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._held: Held | None = None

    async def slot(self) -> float:
        """Wait for the next slot; return its instant on the running loop's clock, in seconds.

        Raises:
            ConfigurationError: The store is set up wrongly.
        """
        self._held = await self._pump.take()
        return self._held.at

    async def start(self) -> bool:
        """Return whether the slot is still young enough, at once.

        Nobody knows the other processes' starts, so one may be late by an interval at most: no
        second sees more than one start too many.
        """
        held = self._held
        return held is not None and self._pump.loop.time() <= min(held.until, held.at + LATEST)

    def give_back(self) -> None:
        """Return the slot if it was not used, for the next in line or the other processes."""
        if self._held is not None:
            self._pump.put_back(self._held)
            self._held = None


class SharedLimit:
    """At most `cps` creates per second in all processes that share a store, evenly spaced.

    Each process keeps its own line, interactive before bulk, and reserves one slot per create in
    one round trip: none is polled for, and none is wasted by who is cancelled. The store's clock
    rules. Each second sees ``ceil(cps)`` starts, and one more where wake-ups differ by up to one
    interval; who wakes up later than that takes another slot.

    While the store is gone creates wait, until their deadline if they have one and for ever if
    not; nothing is sent unpaced. A store that comes back empty is told how far slots were given
    out, so that there is no burst.

    Processes that were given different rates keep to the lowest that was asked for within the
    last minute; those that were given more say so in the log ``conference_async.cluster``. What
    the service reports about its queue slows all of them.

    It may be made before an event loop runs and used under one loop after another. Close it with
    ``async with`` or `aclose`, once under each loop; it opens by itself.

    Args:
        store: Where the processes meet.
        cps: The account's calls per second, more than 0 and at most 30. A process makes at most
            one create per round trip to the store.
        fallback_cps: The calls per second at which *each* process dials on its own while the
            store is gone; None, the default, to wait.

    Raises:
        ConfigurationError: A rate is out of bounds.
    """

    def __init__(self, store: SlotStore, cps: float, *, fallback_cps: float | None = None) -> None:
        self._store = store
        self._cps = check_cps(cps)
        self._fallback_cps = None if fallback_cps is None else check_cps(fallback_cps)
        self._shared_cps = self._cps
        self._slowdown = Slowdown(self._cps)
        self._pump: Pump | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._reported = -math.inf

    @property
    def cps(self) -> float:
        """The configured calls per second."""
        return self._cps

    def _on_running_loop(self) -> Pump:
        pump, loop = self._pump, asyncio.get_running_loop()
        if pump is None or pump.loop is not loop:
            if pump is not None and pump.loop.is_running():
                raise ConfigurationError(
                    "this limit is in use on another running event loop; "
                    "make one for each loop: they meet in the store"
                )
            pump = self._pump = Pump(
                self._store, self._cps, fallback_cps=self._fallback_cps, learn=self._learn
            )
            self._reporting, self._reported = None, -math.inf
            self._slowdown = Slowdown(self._cps)
        return pump

    @asynccontextmanager
    async def turn(self, priority: Priority, ticket: int) -> AsyncGenerator[SharedTurn, None]:
        """Wait for the front of the line and hold it inside the ``async with``."""
        pump = self._on_running_loop()
        try:
            await pump.line.enter(priority, ticket)
            try:
                yield SharedTurn(pump)
            finally:
                pump.line.leave()
        finally:
            pump.tidy()

    def estimate(self, priority: Priority) -> float:
        """Return the seconds until a create of this priority could start, at the least.

        What other processes will take meanwhile is not known here.
        """
        return self._on_running_loop().estimate(priority, self._rate)

    def observe(self, queue_time: int) -> None:
        """Take note of a ``queue_time`` in milliseconds that the service reported, for all."""
        loop = self._on_running_loop().loop
        before = self._slowdown.factor
        self._slowdown.observe(queue_time, loop.time())
        if self._slowdown.factor < before:
            _log.warning(
                "the service queues this account's calls for %d ms: all its processes slow to "
                "%.2g of %g CPS until it drains; other software may be dialling for the account",
                queue_time,
                self._rate,
                self._shared_cps,
            )
        if self._slowdown.factor != before and self._reporting is None:
            self._reporting = loop.create_task(self._report())

    def snapshot(self) -> LimitSnapshot:
        """Return what the limit is doing in this process, and what it knows of the others."""
        return LimitSnapshot(
            cps=self._cps,
            effective_cps=self._rate,
            waiting=self._on_running_loop().line.waiting(),
            next_start=self.estimate(Priority.INTERACTIVE),
            queue_time=self._slowdown.queue_time,
        )

    async def aclose(self) -> None:
        """Free what is reserved and close the store; a later use opens it again."""
        pump, self._pump = self._pump, None
        if pump is not None and pump.loop is asyncio.get_running_loop():
            if self._reporting is not None:
                self._reporting.cancel()
            await pump.aclose()
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
            async with asyncio.timeout(PATIENCE):
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
        waiting = 0 if self._pump is None else self._pump.line.waiting()
        return f"<{type(self).__name__} {self._store!r} cps={self._cps:g} waiting={waiting}>"
