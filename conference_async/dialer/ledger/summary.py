"""A campaign in a few figures, and those of all ledgers in a folder."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import attrs

from conference_async.dialer.ledger.file import in_use, is_ledger
from conference_async.dialer.ledger.outcome import Campaign
from conference_async.dialer.ledger.sqlite import Ledger
from conference_async.errors import LedgerError
from conference_async.sending.entries import State


@attrs.frozen(kw_only=True)
class Summary:
    """One campaign of several."""

    ledger: str
    """The file's path, or the ledger's name in its database."""

    campaign: Campaign | None = None
    """Whose it is; None if nothing was begun with it, or it cannot be read."""

    standing: str
    """``running``, ``stopped`` or ``done``; for a campaign of workers, how it stands."""

    because: str | None = None
    """Why it stands like that, where a reason is known."""

    shared: bool = False
    """Whether workers dial it."""

    counts: Mapping[State, int] = attrs.field(factory=dict[State, int])
    """How many targets are in which state."""

    since: datetime | None = None
    """The first instant that it is known from; None before its first call."""

    later: int = 0
    """How many are to be called, but not yet: outside calling hours, or put off."""

    oldest: float | None = None
    """Seconds since the oldest request that is under way was written down; None if none is."""

    @property
    def backlog(self) -> int:
        """How many are to be called yet."""
        return self.counts.get(State.PLANNED, 0)

    @property
    def age(self) -> float | None:
        """Seconds since then."""
        return None if self.since is None else (datetime.now(UTC) - self.since).total_seconds()


def standing_without_workers(counts: Mapping[State, int], *, running: bool) -> str:
    """Return how a campaign stands that one process dials.

    Args:
        counts: How many targets are in which state.
        running: Whether a process is at it.
    """
    if running:
        return "running"
    return "stopped" if counts[State.PLANNED] + counts[State.SENDING] else "done"


async def summaries_in(place: Path) -> AsyncGenerator[Summary, None]:
    """Yield a summary of each ledger in a folder, whatever its name, by their names.

    Args:
        place: The folder, or a file in it.

    Raises:
        OSError: The folder cannot be read.
    """
    for path in await asyncio.to_thread(_ledgers_in, place):
        try:
            yield await summary_at(path)
        except LedgerError as error:
            yield Summary(ledger=str(path), standing="unreadable", because=str(error))


async def summary_at(path: Path) -> Summary:
    """Return the summary of the ledger in a file.

    Raises:
        LedgerError: It cannot be read.
    """
    async with Ledger(path, read_only=True) as ledger:
        campaign, counts = await ledger.campaign(), await ledger.counts()
        running = await asyncio.to_thread(in_use, path)
        return Summary(
            ledger=str(path),
            campaign=campaign,
            standing=standing_without_workers(counts, running=running),
            counts=counts,
            since=await ledger.first_call(),
            oldest=await _oldest(ledger),
        )


async def _oldest(ledger: Ledger) -> float | None:
    sent = [outcome.sent_at async for outcome in ledger.outcomes(State.SENDING)]
    oldest = min((each for each in sent if each), default=None)
    return None if oldest is None else (datetime.now(UTC) - oldest).total_seconds()


def _ledgers_in(place: Path) -> list[Path]:
    folder = place.parent if place.is_file() else place
    return [path for path in sorted(folder.iterdir()) if path.is_file() and is_ledger(path)]
