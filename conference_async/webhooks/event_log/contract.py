"""The contract between a shared log of events and the store that keeps it."""

from collections.abc import Sequence
from typing import Protocol

import attrs


@attrs.frozen
class Record:
    """An event on its way into the log."""

    body: str
    """The event in its wire form, from `Event.to_json`."""

    keys: tuple[str, ...]
    """Names for the same callback, none of which holds personal data. A record one of whose keys
    is in the log already is a repetition, and is not appended."""


@attrs.frozen
class Entry:
    """An event in the log."""

    position: str
    """The entry's place: opaque, and larger for later entries in the store's own order."""

    body: str
    """The event in its wire form."""


class EventStore(Protocol):
    """The store in which processes meet: a log, the keys of its entries, and groups of readers.

    Every method may raise what its driver raises while the store is gone; it is called again. A
    store that can never work raises `ConfigurationError`. It is used by one event loop at a time.
    """

    async def open(self) -> None:
        """Connect, and make what is not there yet."""
        ...

    async def append(self, records: Sequence[Record], *, keep: float) -> None:
        """Append the records that are new, in this order, all or none.

        Args:
            records: The records.
            keep: Seconds for which their keys are remembered at least.
        """
        ...

    async def prune(self, *, keep: float, most: int) -> None:
        """Forget what is older than `keep` seconds, and all but about the `most` newest entries.

        It is called now and then, after something was appended.
        """
        ...

    async def start(self, since: float) -> str:
        """Return the position before the first entry of the last `since` seconds."""
        ...

    async def read(self, after: str, *, most: int, wait: float) -> Sequence[Entry]:
        """Return the entries after a position in order, `most` of them at most.

        Args:
            after: The position.
            most: How many to return at most.
            wait: Seconds to wait for one where there is none; then nothing is returned.
        """
        ...

    async def join(self, group: str, *, since: float) -> None:
        """Make a group of readers, which starts that many seconds ago, if it is not there yet."""
        ...

    async def claim(
        self, group: str, member: str, *, most: int, wait: float, lease: float
    ) -> Sequence[Entry]:
        """Return entries for one member of a group alone: abandoned ones first, then new ones.

        Args:
            group: The group.
            member: Who claims them.
            most: How many to return at most.
            wait: Seconds to wait for one where there is none.
            lease: Seconds after which they are abandoned unless renewed or done.
        """
        ...

    async def renew(self, group: str, member: str, positions: Sequence[str], lease: float) -> None:
        """Keep claimed entries for another `lease` seconds."""
        ...

    async def done(self, group: str, positions: Sequence[str]) -> None:
        """Note that a group has handled entries."""
        ...

    async def aclose(self) -> None:
        """Disconnect; the next call connects again."""
        ...
