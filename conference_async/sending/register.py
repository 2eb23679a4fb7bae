"""The creates of an account, so that no call of one is taken for another one's.

The call log has no labels. Whoever finds a call in it has to know what else of ours called that
number then: the creates of this process, whichever client sent them, and those that a ledger or a
journal remembers.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias
from weakref import WeakValueDictionary

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


class Sent:
    """A create of this process, from the moment its form leaves.

    Attributes:
        to: The number that it calls.
        key: The label that it carries and the conference as it addresses it.
        at: When it first left, in seconds of the loop's clock.
        call_sid: The call that it placed; None while that is not known, and empty if it placed
            none.
    """

    __slots__ = ("at", "call_sid", "key", "to")

    def __init__(self, to: str, key: Key, at: float) -> None:
        self.to: str = to
        self.key: Key = key
        self.at: float = at
        self.call_sid: str | None = None


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
        self._sent: deque[Sent] = deque(maxlen=_MOST)
        self._sources: list[Source] = []

    @classmethod
    def of(cls, account_sid: str, service: str) -> "Register":
        """Return those of an account, which all its clients in this process share."""
        return _ACCOUNTS.setdefault((account_sid, service), cls())

    def sending(self, to: str, key: Key) -> Sent:
        """Take note that a create to a number leaves now."""
        now, sent = asyncio.get_running_loop().time(), self._sent
        while sent and sent[0].at < now - KEPT:
            sent.popleft()
        record = Sent(to, key, now)
        sent.append(record)
        return record

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
        others = [
            each
            for each in self._sent
            if each.to == to and each is not besides and (each.key != key or key[0] is None)
        ]
        forgotten = len(self._sent) == _MOST and self._sent[0].at > since
        return Others(
            frozenset(each.call_sid for each in others if each.call_sid),
            forgotten
            or any(
                each.call_sid is None and since - _PLACED_WITHIN <= each.at <= until
                for each in others
            ),
        )

    async def remembered(self, numbers: Collection[str]) -> list[Remembered]:
        """Return the creates to some numbers that ledgers and journals remember.

        Raises:
            ConferenceError: One of them cannot be read.
        """
        return [each for source in self._sources for each in await source(numbers)]


_ACCOUNTS: WeakValueDictionary[tuple[str, str], Register] = WeakValueDictionary()


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
