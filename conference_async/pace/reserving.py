"""The slots that one process holds, two at most, and the asking for more in step with its line."""

import asyncio
import logging
import math
from collections.abc import Callable
from functools import partial

import attrs

from conference_async.backoff import Backoff
from conference_async.errors import ConfigurationError
from conference_async.home import Home
from conference_async.pace.alarm import Alarm
from conference_async.pace.asking import ANSWER_WITHIN, Asking
from conference_async.pace.contract import SECOND
from conference_async.pace.departures import Departures, Slot
from conference_async.pace.held import Held
from conference_async.pace.keeping import Lines
from conference_async.pace.line import Priority
from conference_async.pace.queue import Queue
from conference_async.pace.slots import Queuing, Reservation, SlotStore
from conference_async.pace.store_clock import StoreClock
from conference_async.privacy import words_of
from conference_async.time_limits import time_limit

_TRUSTED = 1.0
"""Seconds for which an answer shows that the store is there."""

_BACKOFF = Backoff(0.05, 0.5)
"""The waits between two attempts to reach a store that is gone."""

_PLENTY = 4
"""With one line in so many free, creates set out before they have one in hand."""

_ASK_FOR_LINES = 0.2
"""Seconds after which a process asks again for a line while there is none. It asks at once where
it hears itself that a call ended."""

_UNDISPUTED = 2.5
"""Intervals that a process alone is ahead at most; further ahead, others reserve all the time."""
_HELD_AT_MOST = 2
_TICK = 1e-6
_log = logging.getLogger("conference_async.pace")


class Reservations:
    """Takes slots from the store in step with the creates of this process: a `Slots`.

    A slot belongs to nobody until it begins: whoever stands at the wire then has it, so a create
    that is cancelled leaves it to the next without a word to the store. One interval before it,
    the following slot is asked for if somebody could use it, so that the round trip costs no
    rate; for a bulk create later, when it is this process's turn among all that dial in bulk. When
    nobody is left, held slots are offered to the store, and kept for a newcomer if it declines.

    Args:
        store: Where slots come from.
        cps: The calls per second that this process was given.
        home: The loop that they are taken on.
        fallback_cps: The calls per second while the store is gone; None to wait for it.
        learn: Called with each reservation, for what it says about the other processes.
        rate: Returns the calls per second that hold now.
        lines: What is known of lines; None where they are not counted.
    """

    def __init__(
        self,
        store: SlotStore,
        cps: float,
        *,
        home: Home,
        fallback_cps: float | None,
        learn: Callable[[Reservation], None],
        rate: Callable[[], float],
        lines: Lines | None = None,
    ) -> None:
        self.alarm: Alarm = Alarm()
        self.departures: Departures = Departures(self)
        self._loop = asyncio.get_running_loop()
        self._store, self._home = store, home
        self._asks = Asking(store, cps, lines)
        self._queue = Queue()
        self._cps = cps
        self._fallback_cps = fallback_cps
        self._learn = learn
        self._rate = rate
        self.lines: Lines | None = lines
        self._line_news = Alarm()
        self._news = False
        self._held: list[Held] = []
        self._late: list[Held] = []
        self._last: Held | None = None
        self._asking: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None
        self._look_again: asyncio.TimerHandle | None = None
        self._refusal: ConfigurationError | None = None
        self._failures = 0
        self._answered = -math.inf
        self._started = -math.inf
        self._alone = False
        self._clock = StoreClock()

    @property
    def rate(self) -> float:
        """The slots per second now, of all processes together."""
        return self._rate()

    @property
    def _gone(self) -> bool:
        # The first failure is mostly a connection that was closed while it was idle.
        return self._failures > 1

    @property
    def _urgent(self) -> bool:
        """Whether an interactive create waits for a slot that is not held yet."""
        return self.departures.urgent > len(self._held)

    def due(self, priority: Priority, ahead: int, now: float) -> float:
        """Return the instant of the slot of a create that has so many before it, as `Slots` says.

        Those that are not held yet are one interval apart, at the least.
        """
        if ahead < len(self._held):
            return self._held[ahead].at
        beyond = ahead - len(self._held)
        rate = self._fallback_cps if self._gone and self._fallback_cps else self.rate
        following = self._last_known + 1 / rate
        if priority is Priority.BULK:
            following = max(following, self._queue.at)
        return max(following, now) + beyond / rate if ahead else following

    @property
    def _last_known(self) -> float:
        """When the last slot begins, or began, of those that are known to be ours."""
        return max([self._started, *(held.at for held in self._held)])

    def prepare(self) -> bool:
        """Ask for a slot if it is time to; return whether the store is there, or may be gone.

        Raises:
            ConfigurationError: The store is set up wrongly.
        """
        now = self._loop.time()
        self._tend(now)
        if self._refusal is not None:
            refusal, self._refusal = self._refusal, None
            raise refusal
        trusted = now - self._answered <= _TRUSTED or now < self._queue.at
        if self._held or (trusted and not self._gone):
            return True
        self._ask()
        return self._gone and self._fallback_cps is not None

    def line_free(self, priority: Priority, let_go: int) -> bool:
        """Return whether there is a line for one more create, or something to be done about it."""
        lines = self.lines
        if lines is None or self._refusal is not None:
            return True
        if self._gone:  # nobody counts lines then
            self._ask()
            return self._fallback_cps is not None
        if lines.learning:
            return False
        now = self._loop.time()
        self._tend(now)
        free = sum(held.least >= priority for held in self._held)
        if (
            lines.count is not None
            and not self._asks.refused(priority)
            and now - self._answered <= _TRUSTED
        ):
            # Where few are left others may have them first, and who set out has to come back.
            room = lines.count.lines - lines.wish(priority, "").spare - lines.count.live
            free += room if room * _PLENTY >= lines.count.lines else 0
        if free > let_go:
            return True
        self._ask_for(priority)
        return False

    def _ask_for(self, priority: Priority) -> None:
        """Ask for a slot, at once for a create that may have lines others have to leave."""
        if self._asks.none_for is not None and not self._asks.refused(priority):
            self._news = True  # and wakes nobody who waits: two of them would wake each other
            self._line_news.ring()
        self._ask()

    def news_of_lines(self) -> None:
        """Ask again for a line at once, if somebody waits for one."""
        self._news = True
        self._line_news.ring()
        self.alarm.ring()

    async def take(self, priority: Priority, *, waited: bool) -> Slot | None:  # noqa: ARG002 -- the protocol's signature; the store's clock makes lateness up
        """Wait for the next slot and use it, as `Slots` says."""
        while True:
            now = self._loop.time()
            self._tend(now)
            # A slot is taken here, when it has begun, and by nobody before: so whoever is
            # cancelled while it waits has nothing that another process could miss, and whoever
            # was stopped finds that its slot is too old. Each pass looks at everything again,
            # for meanwhile a slot may have come back, become too old, or been answered.
            held = next((each for each in self._held if each.least >= priority), self._own(now))
            if held is not None and held.at <= now:
                self._use(held, now)
                return Slot(partial(self._put_back, held), held.line)
            none = self._gone or self._refusal is not None or self._asks.refused(priority)
            if held is None and none:
                return None  # in line it can wait for as long as it takes, and hold nothing
            if held is None:
                self._ask_for(priority)
            await self.alarm.sleep(math.inf if held is None else held.at)

    def _put_back(self, held: Held) -> None:
        if held.reservation is not None:
            self._keep(held)

    def rest(self) -> None:
        """Offer the store what nobody is left for."""
        kept = self._held or self._asks.has_lines
        unused = self._late or (kept and not self.departures.busy)
        if self._returning is None and unused:
            self._returning = self._home.last_words(self._return)

    async def aclose(self) -> None:
        """End what runs in the background and free what is held."""
        if self._look_again is not None:
            self._look_again.cancel()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        self.rest()
        if self._returning is not None:
            await asyncio.wait([self._returning])

    def _tend(self, now: float) -> None:
        """Let go of what is too late, and ask for the next slot if it is time to."""
        if late := [held for held in self._held if held.until < now]:
            _log.debug("a slot came too late to be used; taking another")
        if self.lines is not None and not self.departures.wanted(Priority.INTERACTIVE):
            late += [held for held in self._held if held.least is Priority.INTERACTIVE]
        if late:
            self._held = [held for held in self._held if held not in late]
            self._late += [self._asks.part(each, self.departures.first) for each in late]
            self.rest()
        interval = 1 / self.rate
        following = max(self._last_known + interval, self._queue.at)
        if len(self._held) >= _HELD_AT_MOST:
            return
        if self.departures.expected(max(now, following)) <= len(self._held):
            return
        # Not sooner: a slot that is held is one that no other process can have meanwhile. Not
        # later: the answer takes a round trip, and the slot after this one follows at once.
        self._ask(self._held[0].at - interval if self._held else now)

    def _look(self) -> None:
        if self.departures.busy:  # else a loop that ends would begin what it does not wait for
            self._tend(self._loop.time())
        if self._asking is None:  # somebody may want to ask whom that does not count
            self.alarm.ring()

    def _own(self, now: float) -> Held | None:
        """Return a slot of our own making if the store is gone and we may."""
        if self._fallback_cps is None or not self._gone:
            return None
        return Held(at=max(now, self._started + 1 / self._fallback_cps))

    def _use(self, held: Held, now: float) -> None:
        self._started, self._alone = now, held.reservation is None
        if not self._alone:
            self._held.remove(held)

    def _ask(self, at: float = -math.inf) -> None:
        """Ask for a slot at an instant, or when it is our turn if it is for a bulk create."""
        if self._look_again is not None:
            self._look_again.cancel()
        if self._asking is not None:
            return
        if not self._urgent:
            at = max(at, self._queue.asks_at(self.rate))
        if at <= self._loop.time():
            self._asking = self._loop.create_task(self._reserve())
        else:
            self._look_again = self._loop.call_at(at + _TICK, self._look)

    async def _reserve(self) -> None:
        try:
            while self.departures.busy:
                try:
                    async with time_limit(ANSWER_WITHIN):
                        await self._store.open()
                        sent = self._loop.time()
                        queuing, self._news = self._queuing(sent), False
                        reservation, line, least = await self._asks.slot(
                            floor=self._floor(sent),
                            priority=self.departures.first,
                            queuing=queuing,
                        )
                except ConfigurationError as error:
                    self._refusal = error
                    break
                except Exception as error:  # noqa: BLE001 -- whatever a store raises: it is gone
                    await self._back_off(error)
                else:
                    if reservation is None:
                        self._there()
                        if not self._news:  # nor did any come while the store was asked
                            await self._line_news.sleep(self._loop.time() + _ASK_FOR_LINES)
                        continue
                    held = self._receive(reservation, sent, queuing)
                    if held is None:
                        break
                    held = attrs.evolve(held, line=line, least=least)
                    if self._loop.time() <= held.until:
                        self._keep(held)
                        break
                    await self._asks.give_back(self._asks.part(held, self.departures.first))
        finally:
            self._asking = None
            self.alarm.ring()
            self.rest()

    def _queuing(self, now: float) -> Queuing | None:
        """Return what a bulk create asks with; None for an interactive one, or without a queue."""
        if self._urgent or not self._asks.queues:
            return None
        return self._queue.asks(now, self.rate, more=self.departures.present > len(self._held) + 1)

    def _floor(self, now: float) -> float:
        """Return the seconds during which slots of a store that lost its state may be in use.

        Everybody's wait is about as long as ours was, so the others' slots end that much after
        our last one; in a queue they end before ours, and where whoever asks now has one.
        """
        ends = min(self._queue.at, now + self._queue.reach(self.rate))
        if self._last is not None and self._last.reservation is not None:
            ends = max(ends, self._last.at + max(self._last.reservation.wait, 1 / self._cps))
        return max(0.0, ends - now)

    def _receive(
        self, reservation: Reservation, sent: float, queuing: Queuing | None
    ) -> Held | None:
        slot = reservation.slot / SECOND
        offset = self._clock.offset(slot - reservation.wait, reservation.asked or sent)
        if queuing is not None:
            self._queue.hears(reservation, offset)
        self._there()
        self._learn(reservation)
        if not reservation.taken:
            return None
        at = slot + offset
        rate = reservation.cps * reservation.factor
        self._last = Held(
            at=max(at, self._started + 1 / self._cps) if self._alone else at,
            until=at + 1 / rate,
            reservation=reservation,
            wanted=self.lines is not None or reservation.wait * rate <= _UNDISPUTED,
        )
        return self._last

    def _there(self) -> None:
        """Note that the store has answered, and wake those who waited to know that it is there."""
        if self._gone:
            _log.info("the store of the shared pace is back")
        self._failures, self._answered = 0, self._loop.time()
        self.alarm.ring()

    async def _back_off(self, error: Exception) -> None:
        self._failures += 1
        if self._gone:
            self._queue.leave()
            self.alarm.ring()
        if self._failures == 2:  # noqa: PLR2004 -- the one after the first
            _log.warning(
                "the store of the shared pace cannot be reached (%s): %s",
                words_of(error),
                "creates wait for it"
                if self._fallback_cps is None
                else f"this process paces by itself, at {self._fallback_cps:g} CPS",
            )
        await asyncio.sleep(_BACKOFF.delay(self._failures - 1))

    async def _return(self) -> None:
        try:
            await asyncio.sleep(0)  # whoever was cancelled may try again at once
            self._tend(self._loop.time())
            while self._late:
                await self._asks.give_back(self._late.pop())
            while self._held and self._held[-1].wanted and not self.departures.busy:
                held = self._held.pop()
                if not await self._asks.give_back(held) and held.line is None:
                    self._keep(attrs.evolve(held, wanted=False))
            if self._asking is None and not self.departures.busy:
                self._asks.free_lines()
        finally:
            self._returning = None

    def _keep(self, held: Held) -> None:
        self._held = sorted([*self._held, held], key=lambda each: each.at)
        self.alarm.ring()
