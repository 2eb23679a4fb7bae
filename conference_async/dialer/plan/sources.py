"""The rows of a plan from files and iterables, a batch at a time."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Iterator
from itertools import islice
from typing import Protocol

from conference_async.cautions import ConferenceWarning
from conference_async.dialer.plan.columns import RowReader
from conference_async.dialer.plan.documents import Document
from conference_async.dialer.plan.phones import check_region, normalise_number
from conference_async.dialer.plan.targets import Problem, Row, Sieve, Target, target_key
from conference_async.errors import ConfigurationError, InvalidParameter
from conference_async.models import NewParticipant

_BATCH = 200


class Source(Protocol):
    """Rows, in the same order whenever they are read."""

    @property
    def rereadable(self) -> bool:
        """Whether the rows can be read more than once."""
        ...

    def batches(self, sieve: Sieve, notes: list[str]) -> AsyncGenerator[list[Row], None]:
        """Yield the rows, a few hundred at a time at most.

        Args:
            sieve: Gives targets their rooms.
            notes: Takes what is worth knowing.
        """
        ...


class FileRows:
    """The rows of a file, read in worker threads."""

    rereadable = True

    def __init__(self, document: Document, reader: RowReader) -> None:
        self._document = document
        self._reader = reader

    async def batches(self, sieve: Sieve, notes: list[str]) -> AsyncGenerator[list[Row], None]:
        """Yield the rows, a few hundred at a time."""
        rows = self._rows(sieve, notes)
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

    def _rows(self, sieve: Sieve, notes: list[str]) -> Generator[Row, None, None]:
        for read in self._document.rows(notes):
            if isinstance(read, Problem):
                yield read
                continue
            row, cells = read
            try:
                yield self._reader.target(row, cells, sieve)
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

    async def batches(self, sieve: Sieve, notes: list[str]) -> AsyncGenerator[list[Row], None]:  # noqa: ARG002 -- the protocol's signature
        """Yield a few hundred of an iterable at a time, and those of an async one as they come."""
        if isinstance(self._participants, AsyncIterable):
            number = 0
            async for new in self._participants:
                number += 1
                yield [self._target(number, new, sieve)]
            return
        numbered = enumerate(self._participants, start=1)
        while batch := list(islice(numbered, _BATCH)):
            yield [self._target(number, new, sieve) for number, new in batch]

    def _target(self, number: int, new: object, sieve: Sieve) -> Row:
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
        key = target_key(self._conference, to)
        room = sieve.room_of(number, self._conference, to, key, new.label)
        if isinstance(room, Problem):
            return room
        return Target(key=key, to=to, conference=room, row=number, template=new)


def _check_iterable(given: object) -> None:
    if not isinstance(given, Iterable | AsyncIterable):
        raise ConfigurationError(
            "participants must be an iterable of NewParticipant, such as a list, not a "
            f"{type(given).__name__}"
        )
