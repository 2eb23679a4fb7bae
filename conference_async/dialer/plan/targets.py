"""The targets of a plan: one per row, each in its room, known by a key that stays the same."""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import blake2b
from itertools import count
from typing import TypeAlias

import attrs

from conference_async.models import NewParticipant, is_phone
from conference_async.privacy import mask, one_line
from conference_async.sending.entries import masked


@attrs.frozen(kw_only=True)
class Target:
    """Somebody to call, from one row of a plan."""

    key: str = attrs.field(repr=lambda key: repr(mask(key)))
    """Its key in the ledger: ``#`` and the row's own id, else the conference and the number."""

    to: str = attrs.field(repr=lambda to: repr(mask(to)))
    """The normalised address: a number in international form, or a SIP, client or app address."""

    conference: str
    """The conference to bring it into: a SID or a friendly name."""

    row: int
    """The line of the file, or the position in the iterable; the first is 1."""

    id: str | None = attrs.field(default=None, repr=masked)
    """The identifier that the row gave itself, if it did."""

    time_zone: str | None = None
    """The IANA name of the target's time zone, where the row gave one."""

    purpose: str | None = None
    """What the call is about, where the row said so."""

    earliest: datetime | None = None
    """The first moment at which it is to be called, in UTC, where the row gave one."""

    latest: datetime | None = None
    """The moment from which on it is not called any more, in UTC, where the row gave one."""

    priority: int = 0
    """Targets of a higher one are called first."""

    template: NewParticipant = attrs.field(repr=False)
    """The request, but for its `to`: rows that differ in nothing else share one."""

    @property
    def new(self) -> NewParticipant:
        """The whole request, validated as a whole."""
        if self.template.to == self.to:
            return self.template
        return attrs.evolve(self.template, to=self.to)


@attrs.frozen(kw_only=True)
class Problem:
    """A row that will not be dialled."""

    row: int
    """The line of the file, or the position in the iterable; the first is 1."""

    reason: str = attrs.field(converter=one_line)
    """The problem and how to put it right, with numbers masked."""

    duplicate: bool = False
    """Whether it only repeats a target of an earlier row."""


Row: TypeAlias = Target | Problem
"""A row as it was read: somebody to call, or what stands in the way."""


def address_key(to: str) -> str:
    """Return what two spellings of one address have in common: a number loses its plus."""
    return to.lstrip("+") if is_phone(to) else to


def target_key(conference: str, to: str, own: str | None = None) -> str:
    """Return the key of a target.

    Args:
        conference: Where it is called to; the name of the whole campaign's conference where that
            is spread over several rooms, so that a changed file cannot change the key.
        to: The normalised address.
        own: The identifier that the row gave itself, if it did.
    """
    return f"#{own}" if own else f"{conference}/{address_key(to)}"


class SeenKeys:
    """Remembers a million texts in about 20 MB, as 64-bit digests.

    Two different texts out of a million are taken for one with a chance of 1 in 37 million.
    """

    def __init__(self) -> None:
        self._shards: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))

    def add(self, text: str) -> bool:
        """Remember a text; return whether it is new."""
        digest = int.from_bytes(
            blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        )
        shard = self._shards[digest & 0xFFFF]
        if digest in shard:
            return False
        shard.append(digest)
        return True


@attrs.define
class Sieve:
    """Tells duplicates from new targets, and gives each target its room."""

    base: str | None
    """The conference that `room_size` spreads over rooms."""

    room_size: int | None
    """How many targets share a room; None for the conferences that the rows name."""

    _seen: SeenKeys = attrs.field(init=False, factory=SeenKeys)
    _rooms: Iterator[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._rooms = places(self.base or "", self.room_size or 1, {})

    def room_of(
        self, row: int, conference: str, to: str, key: str, label: str | None
    ) -> str | Problem:
        """Return the room of a row's target, or why it has none among those before it.

        Args:
            row: The row's place.
            conference: The one that the row is for.
            to: The normalised address.
            key: The target's.
            label: The one that the row's request has.
        """
        seen, address = self._seen, key
        if key[0] == "#":  # a row with an identity of its own is known by two
            address = target_key(conference, to)
        if not seen.add(address) or (key != address and not seen.add(key)):
            return Problem(row=row, reason="repeats an earlier row", duplicate=True)
        if label is not None and not seen.add(f"label/{conference}/{label}"):
            return Problem(row=row, reason=f"label: {label!r} is that of an earlier row")
        if self.room_size is None:
            return conference
        if conference != self.base:
            reason = f"conference: a room of its own cannot go with rooms of {self.room_size}"
            return Problem(row=row, reason=reason)
        return next(self._rooms)


def places(conference: str, size: int, taken: Mapping[str, int]) -> Iterator[str]:
    """Yield the rooms that have place for one more, each as often, without end.

    Args:
        conference: The conference that is spread over rooms.
        size: How many a room takes.
        taken: How many are in which room already.
    """
    for number in count(1):
        name = f"{conference}-{number}"
        for _ in range(size - taken.get(name, 0)):
            yield name
