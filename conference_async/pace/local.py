"""The account's calls per second, held to in one process.

The service queues creates beyond the account's CPS instead of refusing them, so pacing here is
what keeps the queue empty and the phones ringing when the caller thinks they do. See
https://www.twilio.com/docs/voice/api/conference-participant-resource#create-a-participant
"""

import asyncio
import logging
import weakref
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from aiolimiter import AsyncLimiter

from conference_async.home import Home
from conference_async.pace.alarm import Alarm, instant
from conference_async.pace.contract import (
    SECOND,
    LimitSnapshot,
    LookAtCalls,
    Turn,
    check_cps,
    check_lines,
)
from conference_async.pace.departures import Departures, Slot, line_of
from conference_async.pace.line import Priority
from conference_async.pace.schedule import Schedule, Slowdown
from conference_async.rooted import Rooted

if TYPE_CHECKING:
    from conference_async.pace.keeping import Lines
    from conference_async.pace.lines import LineBook, LineNews

_BURST = 1.5
"""How many starts the bucket holds: one, and the half of one by which a start may be late and the
next one still on time. A bucket that holds just one makes nothing up and loses rate with each
late wake-up; `Schedule` sees to it that the half never makes a start too many."""

_ROUNDING = 1e-6
_FEW_ACCOUNTS = 64
_log = logging.getLogger("conference_async.pace")


class CreateLimit(Rooted):
    """At most `cps` creates per second in this process, evenly spaced.

    N creates take (N-1)/CPS seconds: idle time is not saved up, and none is wasted. No window
    of one second sees more than ``ceil(cps)`` starts, however long the way to the wire is:
    what counts is the instant at which a request is written. Interactive creates pass before bulk
    ones and a cancelled one costs no slot. When the service reports a growing queue the limit
    slows down until it drains.

    It may be made before an event loop runs and used under one loop after another. A process
    that was forked paces by itself, and says so in the log ``conference_async.pace``.

    With `max_live` it also holds the account's live calls to that many: a create takes a line with
    its slot, and the line is free when the call ends. Listen to callbacks with `apply`; while
    somebody waits for a line the client also looks at the account's live calls, twice in a second
    at most, and before the first create. So calls of other software count, too.

    Args:
        cps: The account's calls per second, more than 0 and at most 30.
        max_live: How many calls of the account may be live at once, queued and ringing ones
            included; 1 or more. None, the default, does not count them.
        reserved: How many of these lines bulk creates leave to interactive ones: from 0 to one
            less than `max_live`. While refusals have taught that there are fewer lines than
            these, bulk creates have one.

    Raises:
        ConfigurationError: `cps`, `max_live` or `reserved` is out of bounds.
    """

    def __init__(self, cps: float = 1.0, *, max_live: int | None = None, reserved: int = 0) -> None:
        check_lines(max_live, reserved)
        self._slots = _Slots(check_cps(cps))
        if max_live is not None:
            from conference_async.pace.keeping import Lines
            from conference_async.pace.lines import LineBook

            lines = Lines(max_live, reserved, ages=self._ages, tell=self._tell)
            self._slots.count(lines, LineBook())
        self._departures = Departures(self._slots)
        self._home = Home()

    @property
    def max_live(self) -> int | None:
        """How many calls of the account may be live at once; None if they are not counted."""
        return None if self._slots.lines is None else self._slots.lines.max_live

    def look_with(self, look: LookAtCalls) -> None:
        """Take what a client can find the account's live calls with, as `LiveLimit` says."""
        self._settle()
        if self._slots.lines is not None:
            self._slots.lines.look_with(look)

    def answered(self, turn: Turn, *, call_sid: str | None = None, code: int | None = None) -> None:
        """Note what the service made of a create, as `LiveLimit` says."""
        self._settle()
        if self._slots.lines is not None and (line := line_of(turn)) is not None:
            self._slots.lines.answered(line, call_sid=call_sid, code=code)

    def apply(self, event: object) -> None:
        """Free the line of a call that ended: ``receiver.listen(limit.apply)``.

        It takes any event of a `Receiver`, in one process or with a shared log of events, and
        ignores what says nothing of a call's end. Ask for a call's ``completed`` events, or for a
        conference's ``leave``.
        """
        self._settle()
        if self._slots.lines is not None:
            self._slots.lines.apply(event)

    def _tell(self, news: "LineNews") -> None:
        self._slots.tell(news, _micros(self._home.now))

    async def _ages(self) -> Mapping[str, float]:
        return self._slots.book.ages(self._slots.micros)

    @property
    def cps(self) -> float:
        """The configured calls per second; a new value holds at once, for waiting creates too."""
        return self._slots.cps

    @cps.setter
    def cps(self, cps: float) -> None:
        if check_cps(cps) != self._slots.cps:
            self._slots.change(float(cps))

    def _settle(self) -> None:
        forked = self._home.forked
        if not self._home.settle("share the pace between loops with a SQLiteLimit"):
            return
        if forked:
            _log.warning(
                "this limit was used before the process forked; from here on each process dials "
                "at %g CPS by itself: share the pace with a SQLiteLimit",
                self.cps,
            )
        self._slots = self._slots.moved(self._home.now)
        self._departures = Departures(self._slots)

    def turn(self, priority: Priority, ticket: int) -> AbstractAsyncContextManager[Turn]:
        """Wait for the front of the line and hold it inside the ``async with``."""
        if self._home.loop is not asyncio.get_running_loop():
            self._settle()
        return self._departures.turn(priority, ticket)

    def estimate(self, priority: Priority) -> float:
        """Return the seconds until a create of this priority could start, at the least."""
        self._settle()
        now = self._home.now
        return max(0.0, self._slots.due(priority, self._departures.ahead(priority), now) - now)

    def observe(self, queue_time: int) -> None:
        """Take note of a ``queue_time`` in milliseconds that the service reported."""
        slowdown = self._slots.slowdown
        if queue_time == slowdown.queue_time and slowdown.factor == 1:
            return  # as nearly always: it says nothing new
        self._settle()
        before = self._slots.rate
        self._slots.observe(queue_time, self._home.now)
        if self._slots.rate < before:
            _log.warning(
                "the service queues this account's calls for %d ms: slowing to %.2g of %g CPS "
                "until it drains; other software may be dialling for the account",
                queue_time,
                self._slots.rate,
                self.cps,
            )

    def snapshot(self) -> LimitSnapshot:
        """Return what the limit is doing now; also where no event loop runs."""
        self._settle()
        return LimitSnapshot(
            cps=self.cps,
            effective_cps=self._slots.rate,
            waiting=self._departures.line.waiting(),
            next_start=self.estimate(Priority.INTERACTIVE),
            queue_time=self._slots.slowdown.queue_time,
            **self._slots.counted(_micros(self._home.now)),
        )

    @property
    def idle(self) -> bool:
        """Whether a new limit in its place would do the same."""
        return (
            not self._departures.busy
            and self._slots.rate == self.cps
            and self._slots.due(Priority.BULK, 0, self._home.now) <= self._home.now - 1
        )

    def __repr__(self) -> str:
        return f"<CreateLimit cps={self.cps:g} waiting={self._departures.line.waiting()}>"


class _Slots:
    """The slots of this process: a `Slots` made of a schedule and the bucket that enforces it.

    The schedule knows when the next start is due. The bucket knows nothing of it, and makes wait
    whoever comes sooner than the rate allows.
    """

    def __init__(self, cps: float) -> None:
        self.cps = cps
        self.rate = cps
        """The slots per second now."""
        self.alarm = Alarm()
        self.slowdown = Slowdown(cps)
        self._schedule = Schedule(cps)
        self._bucket = self._new_bucket()
        self.lines: Lines | None = None
        self.book: LineBook
        self._look_again: asyncio.TimerHandle | None = None

    def _new_bucket(self) -> AsyncLimiter:
        return AsyncLimiter(_BURST + _ROUNDING, _BURST / self.cps)

    def change(self, cps: float) -> None:
        """Go on at another rate, from the last start on."""
        self.cps = self.rate = cps
        self.slowdown = Slowdown(cps)
        self._schedule = self._schedule.at_another_rate(cps)
        self._bucket = self._new_bucket()
        self.alarm.ring()

    def observe(self, queue_time: int, now: float) -> None:
        """Take note of a queue time in milliseconds, and go on at the rate that follows."""
        before = self.rate
        self.slowdown.observe(queue_time, now)
        self._slow()
        if self.rate != before:  # whoever sleeps until a slot planned it at the rate before
            self.alarm.ring()

    def _slow(self) -> None:
        self.rate = self.cps * self.slowdown.factor
        self._schedule.slow(self.slowdown.factor)

    def moved(self, now: float) -> "_Slots":
        """Return the slots for another event loop, whose clock says `now`."""
        slots = _Slots(self.cps)
        if self.lines is not None:
            slots.count(self.lines, self.book)
            self.lines.moved()
        slots.slowdown = self.slowdown
        if now >= self._schedule.last:  # or else it is another clock, that knows none of these
            slots._schedule = self._schedule
        slots._slow()
        return slots

    def due(self, priority: Priority, ahead: int, now: float) -> float:  # noqa: ARG002 -- the protocol's signature; here all have the same slots
        """Return the instant of the slot that has so many before it."""
        due = self._schedule.next
        return max(due, now) + ahead / self.rate if ahead else due

    def prepare(self) -> bool:
        """Return that a slot can come: none depends on anybody else."""
        return True

    def count(self, lines: "Lines", book: "LineBook") -> None:
        """Count lines from here on."""
        self.lines, self.book = lines, book

    def tell(self, news: "LineNews", now: int) -> None:
        """Take note of news of lines."""
        self.book.note(news, now)
        self.alarm.ring()

    def counted(self, now: int) -> dict[str, int]:
        """Return what a snapshot says of lines."""
        if self.lines is None:
            return {}
        most = self.lines.max_live
        return {
            "live": len(self.book.held),
            "max_live": most,
            "effective_max_live": self.book.lines(most, now),
        }

    @property
    def micros(self) -> int:
        """The time in the units of the book's instants."""
        return _micros(instant())

    def line_free(self, priority: Priority, let_go: int) -> bool:
        """Return whether there is a line for one more create; if not, see to looking for one."""
        lines, book = self.lines, self.book
        if lines is None:
            return True
        now = self.micros
        wish = lines.wish(priority, "")
        known = not lines.learning and (lines.finished or not wish.can_look)
        if known and book.room(wish, now) > let_go:
            return True
        if not wish.can_look or lines.looking:
            pass
        elif book.looked_at is None or book.may_look(now):
            book.looked_at = now
            lines.look()
        elif self._look_again is None:
            later = asyncio.get_running_loop().call_later
            self._look_again = later(book.may_look_in(now), self._ring_again)
        return False

    def _ring_again(self) -> None:
        self._look_again = None
        self.alarm.ring()

    async def take(self, priority: Priority, *, waited: bool) -> Slot | None:
        """Wait for the next slot and use it, as `Slots` says."""
        if self.lines is not None and not self.line_free(priority, 0):
            return None  # it waits in the line, where it holds nothing
        while (due := self._schedule.next) > instant():
            waited = True
            await self.alarm.sleep(due)
        await self._bucket.acquire()
        now = instant()
        line = None
        if self.lines is not None:
            line = self.lines.new_name()
            if not self.book.take(self.lines.wish(priority, line), _micros(now)).taken:
                self._bucket = self._new_bucket()
                return None
        self._schedule.take(now, waited=waited)

        def put_back() -> None:
            """Free the slot if nobody took a later one."""
            if self._schedule.undo(now):
                self._bucket = self._new_bucket()  # a bucket cannot be credited
            if line is not None and self.lines is not None:
                self.lines.free(line)

        return Slot(put_back, line)

    def rest(self) -> None:
        """Do nothing: nobody else could use a slot."""


def _micros(now: float) -> int:
    return int(now * SECOND)


class AccountLimits:
    """One `CreateLimit` per account and service, shared by every client of this process.

    Limits outlive their clients for as long as there is something to remember: a start that the
    next has to keep its distance from, or a queue that drains. While clients that are open at the
    same time were given different rates, the lowest holds.
    """

    def __init__(self) -> None:
        self._limits: dict[tuple[str, str], CreateLimit] = {}
        self._claims: dict[tuple[str, str], weakref.WeakKeyDictionary[object, float]] = {}
        self._tidy_at = _FEW_ACCOUNTS

    def claim(self, account: tuple[str, str], cps: float, owner: object) -> CreateLimit:
        """Return the account's limit, held to `cps` at most for as long as `owner` lives."""
        check_cps(cps)
        if account not in self._limits and len(self._limits) >= self._tidy_at:
            self._forget()
        claims = self._claims.setdefault(account, weakref.WeakKeyDictionary())
        claims[owner] = cps
        lowest = min(claims.values())
        if lowest != max(claims.values()):
            _log.warning(
                "clients of account %s were given different rates; the lowest, %g CPS, holds",
                account[0],
                lowest,
            )
        limit = self._limits.setdefault(account, CreateLimit(lowest))
        limit.cps = lowest
        return limit

    def _forget(self) -> None:
        # A process that serves many accounts one after the other must not grow with them.
        for account in [each for each, claims in self._claims.items() if not claims]:
            if self._limits[account].idle:
                del self._limits[account], self._claims[account]
        self._tidy_at = max(_FEW_ACCOUNTS, 2 * len(self._limits))

    def release(self, account: tuple[str, str], owner: object) -> None:
        """Forget what `owner` asked for."""
        if claims := self._claims.get(account):
            claims.pop(owner, None)
            if claims:
                self._limits[account].cps = min(claims.values())


ACCOUNT_LIMITS = AccountLimits()
"""The limits of this process."""
