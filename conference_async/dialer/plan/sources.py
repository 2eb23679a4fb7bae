"""The rows of a plan from files and iterables, a batch at a time."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Iterator, Mapping
from itertools import count, islice
from typing import Protocol, TypeAlias

import attrs

from conference_async.cautions import ConferenceWarning
from conference_async.dialer.plan.columns import RowReader
from conference_async.dialer.plan.documents import Document
from conference_async.dialer.plan.phones import check_region, normalise_number
from conference_async.dialer.plan.targets import Problem, SeenKeys, Target, address_key, target_key
from conference_async.errors import ConfigurationError, InvalidParameter
from conference_async.models import NewParticipant

Row: TypeAlias = Target | Problem
"""A row as it was read: somebody to call, or what stands in the way."""

_BATCH = 200


class Source(Protocol):
    """Rows, in the same order whenever they are read."""

    @property
    def rereadable(self) -> bool:
        """Whether the rows can be read more than once."""
        ...

    def batches(self, notes: list[str]) -> AsyncGenerator[list[Row], None]:
        """Yield the rows, a few hundred at a time at most; add to `notes` what is worth knowing."""
        ...


class FileRows:
    """The rows of a file, read in worker threads."""

    rereadable = True

    def __init__(self, document: Document, reader: RowReader) -> None:
        self._document = document
        self._reader = reader

    async def batches(self, notes: list[str]) -> AsyncGenerator[list[Row], None]:
        """Yield the rows, a few hundred at a time."""
        rows = self._rows(notes)
        one_at_a_time = threading.Lock()  # a cancelled batch may still be read when we close

        def read() -> list[Row]:
            """Return the next rows; called in a thread."""
            with one_at_a_time:
                return list(islice(rows, _BATCH))

        def close() -> None:
            """Close the file; called in a thread."""
            with one_at_a_time:
                rows.close()

        try:
            while batch := await asyncio.to_thread(read):
                yield batch
        finally:
            await asyncio.to_thread(close)

    def _rows(self, notes: list[str]) -> Generator[Row, None, None]:
        for read in self._document.rows(notes):
            if isinstance(read, Problem):
                yield read
                continue
            row, cells = read
            try:
                yield self._reader.target(row, cells)
            except (InvalidParameter, ConferenceWarning) as error:
                yield Problem(row=row, reason=str(error))


class GivenParticipants:
    """Requests that the caller made, as they come.

    Args:
        participants: The requests.
        conference: Where they are called to.
        default_region: The country of numbers without ``+``; None to take them as they are.

    Raises:
        ConfigurationError: `default_region` is no country, or `participants` no iterable.
    """

    def __init__(
        self,
        participants: Iterable[NewParticipant] | AsyncIterable[NewParticipant],
        conference: str,
        default_region: str | None = None,
    ) -> None:
        _check_iterable(participants)
        self._participants = participants
        self._conference = conference
        self._region = default_region and check_region(default_region)

    @property
    def rereadable(self) -> bool:
        """Whether they can be iterated more than once."""
        return isinstance(self._participants, Iterable) and not isinstance(
            self._participants, Iterator
        )

    async def batches(self, notes: list[str]) -> AsyncGenerator[list[Row], None]:  # noqa: ARG002 -- the protocol's signature
        """Yield a few hundred of an iterable at a time, and those of an async one as they come."""
        if isinstance(self._participants, AsyncIterable):
            number = 0
            async for new in self._participants:
                number += 1
                yield [self._target(number, new)]
            return
        numbered = enumerate(self._participants, start=1)
        while batch := list(islice(numbered, _BATCH)):
            yield [self._target(number, new) for number, new in batch]

    def _target(self, number: int, new: object) -> Row:
        if not isinstance(new, NewParticipant):
            raise InvalidParameter(
                "participants", f"item {number} is a {type(new).__name__}, not a NewParticipant"
            )
        to = new.to
        if self._region:
            try:
                to = normalise_number(to, self._region)
            except InvalidParameter as error:
                return Problem(row=number, reason=str(error))
        return Target(
            key=target_key(self._conference, to),
            to=to,
            conference=self._conference,
            row=number,
            template=new,
        )


def _check_iterable(given: object) -> None:
    if not isinstance(given, Iterable | AsyncIterable):
        raise ConfigurationError(
            "participants must be an iterable of NewParticipant, such as a list, not a "
            f"{type(given).__name__}"
        )


@attrs.define
class Sieve:
    """Tells duplicates from new targets, and gives each target its room."""

    base: str | None
    """The conference that `room_size` spreads over rooms."""

    room_size: int | None
    """How many targets share a room; None for the conferences that the rows name."""

    _seen: SeenKeys = attrs.field(init=False, factory=SeenKeys)
    _good: int = attrs.field(init=False, default=0)

    def judged(self, row: Row) -> Row:
        """Return a row as it stands among those before it."""
        if isinstance(row, Problem):
            return row
        address = f"{row.conference}/{address_key(row.to)}"
        label = row.template.label
        if not self._seen.add(address) or (row.key != address and not self._seen.add(row.key)):
            return Problem(row=row.row, reason="repeats an earlier row", duplicate=True)
        if label is not None and not self._seen.add(f"label/{row.conference}/{label}"):
            return Problem(row=row.row, reason=f"label: {label!r} is that of an earlier row")
        if self.room_size is None:
            return row
        if row.conference != self.base:
            reason = f"conference: a room of its own cannot go with rooms of {self.room_size}"
            return Problem(row=row.row, reason=reason)
        self._good += 1
        number = 1 + (self._good - 1) // self.room_size
        return attrs.evolve(row, conference=room(row.conference, number))


def room(conference: str, number: int) -> str:
    """Return the name of one of the rooms that a conference is spread over; the first is 1."""
    return f"{conference}-{number}"


def places(conference: str, size: int, taken: Mapping[str, int]) -> Iterator[str]:
    """Yield the rooms that have place for one more, each as often, without end.

    Args:
        conference: The conference that is spread over rooms.
        size: How many a room takes.
        taken: How many are in which room already.
    """
    for number in count(1):
        name = room(conference, number)
        for _ in range(size - taken.get(name, 0)):
            yield name
