"""The slots that one process holds, and the asking for more: in step with its line, two at most."""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable

import attrs

from conference_async.cluster.slots import SECOND, Reservation, SlotStore
from conference_async.errors import ConfigurationError
from conference_async.line import Line, Priority
from conference_async.masking import mask

PATIENCE = 2.0
"""Seconds that a store may take to answer; after that it counts as gone."""

BACK_OFF = 0.5
"""Seconds between two attempts to reach a store that is gone, at most."""

LATEST = 0.25
"""Seconds by which a slot may be used late, or one interval if that is less. So no second sees
more than one start too many; who slept longer takes another slot."""

_FIRST_BACK_OFF = 0.05
_ANSWERS = 8
_FIRST_TRIP = 0.005  # what is believed of a round trip until `_ANSWERS` of them say otherwise
_UNDISPUTED = 2.5
"""Intervals that a process alone is ahead at most; further ahead, others reserve all the time."""
_TICK = 1e-6
_log = logging.getLogger("conference_async.cluster")


@attrs.frozen(kw_only=True)
class Held:
    """A slot on the running loop's clock, in seconds."""

    at: float
    """When it begins."""

    until: float = math.inf
    """When it is too late to use it."""

    reservation: Reservation | None = None
    """What the store knows it by; None for a slot of our own while the store is gone."""

    wanted: bool = True
    """Whether the store may want it back: it has not declined, and others hardly reserved since."""


class Pump:
    """Takes slots from the store in step with the line.

    The front of the line sleeps until the earliest held slot and only then takes it, so whoever
    is cancelled leaves it to the next without a word to the store. One interval before it, the
    following slot is asked for if somebody waits, so that the round trip costs no rate. When the
    line is empty, held slots are offered to the store, and kept for a newcomer if it declines.

    Args:
        store: Where slots come from.
        cps: The calls per second that this process was given.
        fallback_cps: The calls per second while the store is gone; None to wait for it.
        learn: Called with each reservation, for what it says about the other processes.
    """

    def __init__(
        self,
        store: SlotStore,
        cps: float,
        *,
        fallback_cps: float | None,
        learn: Callable[[Reservation], None],
    ) -> None:
        self.line = Line()
        self.loop = asyncio.get_running_loop()
        self._store = store
        self._cps = cps
        self._fallback_cps = fallback_cps
        self._learn = learn
        self._held: list[Held] = []
        self._last: Held | None = None
        self._asking: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None
        self._news: asyncio.Future[None] | None = None
        self._refusal: ConfigurationError | None = None
        self._failures = 0
        self._started = -math.inf
        self._alone = False
        self._offsets: deque[float] = deque()

    @property
    def busy(self) -> bool:
        """Whether anybody holds the front of the line or waits for it."""
        return self.line.ahead(Priority.BULK) > 0

    async def take(self) -> Held:
        """Wait for the next slot; only the front of the line may.

        Raises:
            ConfigurationError: The store is set up wrongly.
        """
        while True:
            now = self.loop.time()
            self._drop_late(now)
            if self._refusal is not None:
                refusal, self._refusal = self._refusal, None
                raise refusal
            if not self._held:
                self._ask()
            held = self._held[0] if self._held else self._own(now)
            if held is None:
                await self._wait()
                continue
            if held.at <= now:
                self._use(held, now)
                return held
            ask_at = held.at - 1 / self._cps
            if ask_at <= now and self._held == [held] and self.line.waiting():
                self._ask()
            await self._wait(max(ask_at if ask_at > now else held.at, now + _TICK))

    def put_back(self, held: Held) -> None:
        """Take a slot back that was not used; the next in line has it if it is not too late."""
        if held.reservation is not None:
            self._keep(held)
            self.tidy()

    def tidy(self) -> None:
        """Offer the store what nobody waits for."""
        if self._held and not self.busy and self._returning is None:
            self._returning = self.loop.create_task(self._return())

    def estimate(self, priority: Priority, rate: float) -> float:
        """Return the seconds until a newcomer could start, at the least.

        Args:
            priority: Its priority.
            rate: The calls per second now.
        """
        now, ahead = self.loop.time(), self.line.ahead(priority)
        known = [held.at for held in self._held]
        if ahead < len(known):
            return max(0.0, known[ahead] - now)
        last = max(self._started, *known[-1:], -math.inf)
        return max(0.0, last + 1 / rate - now) + (ahead - len(known)) / rate

    async def aclose(self) -> None:
        """End what runs in the background and free what is held."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        self.tidy()
        if self._returning is not None:
            await asyncio.wait([self._returning])

    def _drop_late(self, now: float) -> None:
        in_time = [held for held in self._held if now <= held.until]
        if len(in_time) < len(self._held):
            _log.debug("a slot came too late to be used; taking another")
            self._held = in_time

    def _own(self, now: float) -> Held | None:
        """Return a slot of our own making if the store is gone and we may."""
        if self._fallback_cps is None or self._failures <= 1:
            return None
        return Held(at=max(now, self._started + 1 / self._fallback_cps))

    def _use(self, held: Held, now: float) -> None:
        self._started, self._alone = now, held.reservation is None
        if not self._alone:
            self._held.remove(held)

    def _ask(self) -> None:
        if self._asking is None:
            self._asking = self.loop.create_task(self._reserve())

    async def _reserve(self) -> None:
        try:
            while self.busy:
                try:
                    async with asyncio.timeout(PATIENCE):
                        await self._store.open()
                        sent = self.loop.time()
                        reservation = await self._store.reserve(
                            cps=self._cps, floor=self._floor(sent)
                        )
                except ConfigurationError as error:
                    self._refusal = error
                    break
                except Exception as error:  # noqa: BLE001 -- whatever a store raises: it is gone
                    await self._back_off(error)
                else:
                    held = self._receive(reservation, sent)
                    if self.loop.time() <= held.until:
                        self._keep(held)
                        break
                    await self._taken_back(reservation)
        finally:
            self._asking = None
            self._wake()
            self.tidy()

    def _floor(self, now: float) -> float:
        """Return the seconds during which slots of a store that lost its state may be in use.

        Everybody's wait is about as long as ours was, so the others' slots end that much after
        our last one.
        """
        if self._last is None or self._last.reservation is None:
            return 0.0
        lead = max(self._last.reservation.wait, 1 / self._cps)
        return max(0.0, self._last.at + lead - now)

    def _receive(self, reservation: Reservation, sent: float) -> Held:
        slot = reservation.slot / SECOND
        at = slot + self._offset(slot - reservation.wait, sent)
        rate = reservation.cps * reservation.factor
        self._last = Held(
            at=max(at, self._started + 1 / self._cps) if self._alone else at,
            until=at + min(LATEST, 1 / rate),
            reservation=reservation,
            wanted=reservation.wait * rate <= _UNDISPUTED,
        )
        if self._failures > 1:
            _log.info("the store of the shared pace is back")
        self._failures = 0
        self._learn(reservation)
        return self._last

    def _offset(self, said: float, sent: float) -> float:
        """Return what to add to the store's clock to have the loop's.

        It is the least that one of the last answers took to arrive, so that no answer that was
        delayed, nor one for which the process was stopped, makes its slot look later than it is.

        Args:
            said: What the store's clock said, in seconds.
            sent: When it was asked, on the loop's clock.
        """
        if not self._offsets or min(self._offsets) < sent - said:  # the store's clock was set back
            self._offsets = deque([sent + _FIRST_TRIP - said], maxlen=_ANSWERS)
        self._offsets.append(self.loop.time() - said)
        return min(self._offsets)

    async def _back_off(self, error: Exception) -> None:
        # The first failure is mostly a connection that was closed while it was idle.
        self._failures += 1
        pause = 0.0
        if self._failures > 1:
            pause = min(BACK_OFF, _FIRST_BACK_OFF * 2.0 ** min(self._failures - 2, 10))
            self._wake()
        if self._failures == 2:  # noqa: PLR2004 -- the one after the first
            _log.warning(
                "the store of the shared pace cannot be reached (%s): %s",
                mask(f"{type(error).__name__}: {error}"),
                "creates wait for it"
                if self._fallback_cps is None
                else f"this process paces by itself, at {self._fallback_cps:g} CPS",
            )
        await asyncio.sleep(pause)

    async def _return(self) -> None:
        try:
            await asyncio.sleep(0)  # who was cancelled may try again at once
            self._drop_late(self.loop.time())
            while self._held and self._held[-1].wanted and not self.busy:
                held = self._held.pop()
                if held.reservation and not await self._taken_back(held.reservation):
                    self._keep(attrs.evolve(held, wanted=False))
        finally:
            self._returning = None

    async def _taken_back(self, reservation: Reservation) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._store.give_back(reservation)
        except Exception as error:  # noqa: BLE001 -- whatever a store raises: it is gone
            _log.debug("a slot could not be given back (%s)", type(error).__name__)
            return False

    def _keep(self, held: Held) -> None:
        self._held = sorted([*self._held, held], key=lambda each: each.at)
        self._wake()

    async def _wait(self, until: float | None = None) -> None:
        """Sleep until an instant, or until something is new."""
        self._news = self.loop.create_future()
        timer = None if until is None else self.loop.call_at(until, self._wake)
        try:
            await self._news
        finally:
            self._news = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
