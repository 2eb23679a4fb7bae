"""The creates of an account, so that no call of one is taken for another one's.

The call log has no labels. Whoever finds a call in it has to know what else of ours called that
number then: the creates of this process, whichever client sent them, and those that a ledger or a
journal remembers.
"""

import asyncio
import math
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

import attrs

LATEST = timedelta(minutes=5)
"""How long after a create was sent the service may still place it: all its attempts lie within."""

_PLACED_WITHIN = LATEST.total_seconds()

KEPT = 900.0
"""Seconds for which what was sent is remembered: three times as long as it may still be placed."""

_MOST = 20_000
"""Creates that are remembered, at most; those of eleven minutes at 30 a second."""


Key: TypeAlias = tuple[str | None, str]
"""A create's label, and its conference as it was addressed."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Remembered:
    """A create that a ledger or a journal remembers."""

    to: str
    """The number that it called."""

    key: Key
    """Its label and conference."""

    sent_at: datetime | None
    """When it was sent, aware of its time zone; None if nobody knows."""

    call_sid: str | None
    """The call that it placed; None while it is in doubt."""


Source: TypeAlias = Callable[[Collection[str]], Awaitable[Iterable[Remembered]]]
"""Returns the creates to any of some numbers that a ledger or a journal remembers."""


_Known: TypeAlias = tuple[float, str, str | None, str, str]
"""When a create left, its number, label and conference, and the call that it placed, if any. There
are thousands: a bare tuple of plain values is the least that the collector of garbage looks at."""


class Sent:
    """A create of this process, from the moment its form leaves.

    Attributes:
        to: The number that it calls.
        key: The label that it carries and the conference as it addresses it.
        at: When it first left, in seconds of the loop's clock.
    """

    __slots__ = ("_call_sid", "_register", "at", "key", "to")

    def __init__(self, to: str, key: Key, at: float, register: "Register") -> None:
        self.to: str = to
        self.key: Key = key
        self.at: float = at
        self._call_sid: str | None = None
        # An account's register goes with its last client, whatever is in doubt then.
        self._register = weakref.ref(register)

    @property
    def call_sid(self) -> str | None:
        """The call that it placed; None while that is not known, and empty if it placed none."""
        return self._call_sid

    @call_sid.setter
    def call_sid(self, call_sid: str) -> None:
        before, self._call_sid = self._call_sid, call_sid
        if (register := self._register()) is not None:
            register.learn(self, before, call_sid)


class Others(NamedTuple):
    """The other creates of ours to a number."""

    call_sids: frozenset[str] = frozenset()
    """The calls that they placed."""

    in_doubt: bool = False
    """Whether one of them may have placed a call that nobody knows, at the time in question."""

    def __or__(self, other: "Others") -> "Others":
        return Others(self.call_sids | other.call_sids, self.in_doubt or other.in_doubt)


class Register:
    """The creates of one account in this process, and what else remembers some."""

    def __init__(self) -> None:
        self._open: dict[Sent, None] = {}  # in the order in which they left
        self._known: deque[_Known] = deque()
        self._forgotten = -math.inf
        self._sources: list[Source] = []

    @classmethod
    def of(cls, account_sid: str, service: str) -> "Register":
        """Return those of an account, which all its clients in this process share."""
        return _ACCOUNTS.setdefault((account_sid, service), cls())

    def sending(self, to: str, key: Key) -> Sent:
        """Take note that a create to a number leaves now."""
        now = asyncio.get_running_loop().time()
        known, still_open = self._known, self._open
        while known and known[0][0] < now - KEPT:
            known.popleft()
        while still_open and next(iter(still_open)).at < now - KEPT:
            del still_open[next(iter(still_open))]
        if len(known) + len(still_open) >= _MOST:
            self._forget_one()
        record = Sent(to, key, now, self)
        still_open[record] = None
        return record

    def _forget_one(self) -> None:
        if self._known:
            at = self._known.popleft()[0]
        else:
            oldest = next(iter(self._open))
            del self._open[oldest]
            at = oldest.at
        self._forgotten = max(self._forgotten, at)

    def learn(self, record: Sent, before: str | None, call_sid: str) -> None:
        """Take note of the call that a create placed, and what was known `before`."""
        (label, conference), known = record.key, self._known
        known.append((record.at, record.to, label, conference, call_sid))
        self._open.pop(record, None)
        if before is not None:
            with suppress(ValueError):
                known.remove((record.at, record.to, label, conference, before))

    def add(self, source: Source) -> None:
        """Ask a ledger or a journal as well, from now on."""
        self._sources.append(source)

    def remove(self, source: Source) -> None:
        """Ask it no longer."""
        with suppress(ValueError):
            self._sources.remove(source)

    def here(
        self, to: str, key: Key, since: float, until: float, *, besides: Sent | None
    ) -> Others:
        """Return the other creates of this process to a number.

        Args:
            to: The number.
            key: The label and conference of the create that is asked about.
            since: The instant of the loop's clock from which a call could be the one in question.
            until: The instant until which it could be.
            besides: That create, if it is one of this process.
        """
        # A loop of another thread may send meanwhile, and learn: none is missed in this order.
        still_open, known = tuple(self._open), tuple(self._known)
        anybodys = key[0] is None  # without a label, the key tells nobody from another
        placed = {
            call_sid
            for _, called, label, conference, call_sid in known
            if called == to and call_sid and (anybodys or (label, conference) != key)
        }
        if besides is not None:
            placed.discard(besides.call_sid or "")
        return Others(
            frozenset(placed),
            self._forgotten > since
            or any(
                each.to == to
                and each is not besides
                and (anybodys or each.key != key)
                and since - _PLACED_WITHIN <= each.at <= until
                for each in still_open
            ),
        )

    async def remembered(self, numbers: Collection[str]) -> list[Remembered]:
        """Return the creates to some numbers that ledgers and journals remember.

        Raises:
            ConferenceError: One of them cannot be read.
        """
        return [each for source in self._sources for each in await source(numbers)]


_ACCOUNTS: weakref.WeakValueDictionary[tuple[str, str], Register] = weakref.WeakValueDictionary()


def others_of(
    remembered: Iterable[Remembered], *, to: str, key: Key, since: datetime, until: datetime
) -> Others:
    """Return the creates to a number among remembered ones, but for the one that is asked about.

    Args:
        remembered: What ledgers and journals remember.
        to: The number.
        key: The label and conference of the create that is asked about.
        since: When it was sent, by this machine's clock. Those that were sent a good while before
            or after do not matter; clocks of machines may differ by minutes.
        until: When it could last have placed a call.
    """
    others = [each for each in remembered if each.to == to and each.key != key]
    return Others(
        frozenset(each.call_sid for each in others if each.call_sid),
        any(
            not each.call_sid
            and (each.sent_at is None or since - _SPREAD <= each.sent_at <= until + _SPREAD)
            for each in others
        ),
    )


_SPREAD = timedelta(seconds=KEPT)
