"""A campaign as it stands, once or for as long as somebody watches it."""

import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Self

import attrs
from rich.console import Console
from rich.live import Live

from conference_async.cli.interrupts import on_interrupt
from conference_async.cli.output import Output, facts_of
from conference_async.cli.problems import say
from conference_async.dialer.ledger.summary import Summary, summary_at
from conference_async.dialer.workers.overview import WorkerSeen
from conference_async.dialer.workers.shared_campaign import SharedCampaign
from conference_async.dialer.workers.standing import Standing
from conference_async.errors import LedgerError
from conference_async.postgres.dsn import in_database
from conference_async.sending.entries import State

_CALLED = (State.PLACED, State.REFUSED, State.UNKNOWN)
_SPOKE_WITHIN = 20.0
"""Seconds within which a worker that is alive gives a sign of life; one of an app of the user's
takes ten."""

_REMEMBERED = 60.0
"""Seconds that the rate is taken from."""

_NAMED = 10
"""How many workers are shown to a person."""

_SHARE = 10
"""A look may take a tenth of the time: where there are millions of targets, looks are rarer."""


@attrs.frozen(kw_only=True)
class Look:
    """A campaign at one moment."""

    summary: Summary
    workers: tuple[WorkerSeen, ...] | None = None
    """Those of its database; None for a campaign that no workers dial."""

    rate: float | None = None
    """Calls per second of late; None if it was looked at only once."""

    @property
    def called(self) -> int:
        """How many were called."""
        return sum(self.summary.counts[state] for state in _CALLED)

    @property
    def over(self) -> bool:
        """Whether nothing more happens by itself."""
        if self.summary.counts[State.SENDING] or self.summary.standing == "running":
            return False
        return not self.summary.backlog or self.summary.standing == Standing.ENDED

    @property
    def eta(self) -> float | None:
        """Seconds until those are called who can be called now."""
        left = self.summary.backlog - self.summary.later
        return left / self.rate if self.rate else None

    def facts(self) -> dict[str, object]:
        """Return what it says, by names."""
        if self.summary.campaign is None:
            raise LedgerError("the ledger is empty: nothing was dialled with it")
        facts = facts_of(self.summary)
        if self.rate is not None:
            facts |= {"rate": _rounded(self.rate), "eta_seconds": _rounded(self.eta)}
        if self.workers is not None:
            facts["workers"] = [attrs.asdict(each) for each in self.workers]
        return facts

    def shown(self) -> dict[str, object]:
        """Return what a person wants to read, by names."""
        facts = self.facts()
        facts["oldest_in_flight"] = _seconds(self.summary.oldest)
        if self.rate is not None:
            del facts["eta_seconds"]
            facts["rate"] = f"{self.rate:.1f} per second"
            facts["eta"] = None if self.eta is None else str(timedelta(seconds=round(self.eta)))
        if self.workers is not None:
            del facts["workers"]
            facts["workers"] = self._alive()
            for each in self.workers[:_NAMED]:
                facts[f"worker {each.number}"] = (
                    f"spoke {_seconds(each.silent)} ago, {each.in_hand} in hand"
                )
        return facts

    def __str__(self) -> str:
        """Return it as one line."""
        summary = self.summary
        counts = ", ".join(
            f"{summary.counts[each]} {each}" for each in State if summary.counts[each]
        )
        oldest = summary.oldest and f", the oldest in flight for {_seconds(summary.oldest)}"
        rate = "" if self.rate is None else f", {self.rate:.1f}/s"
        eta = "" if self.eta is None else f", ETA {timedelta(seconds=round(self.eta))}"
        workers = "" if self.workers is None else f", workers {self._alive()}"
        return f"{summary.standing}: {counts}{oldest or ''}{rate}{eta}{workers}"

    def _alive(self) -> str:
        workers = self.workers or ()
        silent = sum(each.silent > _SPOKE_WITHIN for each in workers)
        return f"{len(workers) - silent} alive" + (f", {silent} silent" if silent else "")


class Watch:
    """Looks at one campaign, again and again.

    Args:
        place: Its ledger.
        shared: The campaign, open, if the ledger is in a database.
    """

    def __init__(self, place: str, shared: SharedCampaign | None) -> None:
        self._place = place
        self._shared = shared
        self._seen: deque[tuple[float, int]] = deque()
        self.began: float = 0.0
        """When the last look began, by the monotonic clock."""

    @classmethod
    @asynccontextmanager
    async def on(cls, place: str) -> "AsyncGenerator[Watch, None]":
        """Open a ledger, to be read only.

        Raises:
            LedgerError: There is none, or it cannot be read.
        """
        if in_database(place):
            async with SharedCampaign(place, patience=0) as shared:
                try:
                    yield cls(place, shared)
                except asyncio.CancelledError:
                    shared.hang_up()
                    raise
        elif await asyncio.to_thread(Path(place).is_file):
            yield cls(place, None)
        else:
            raise LedgerError(f"there is no ledger {place}")

    async def look(self) -> Look:
        """Return how it stands.

        Raises:
            LedgerError: It cannot be read.
        """
        self.began = time.monotonic()
        if self._shared is None:
            look = Look(summary=await summary_at(Path(self._place)))
        else:
            summary = await self._shared.summary()
            workers = tuple(await self._shared.workers()) if summary.shared else None
            look = Look(summary=summary, workers=workers)
        return attrs.evolve(look, rate=self._rate(look.called))

    def _rate(self, called: int) -> float | None:
        """Return the calls per second of the last minute, of those that were watched."""
        now = time.monotonic()
        self._seen.append((now, called))
        while now - self._seen[0][0] > _REMEMBERED and len(self._seen) > 2:  # noqa: PLR2004 -- a rate lies between two instants
            self._seen.popleft()
        before, then = self._seen[0]
        return max(0, called - then) / (now - before) if len(self._seen) > 1 else None


async def watch(place: str, output: Output, every: float) -> None:
    """Show how a campaign stands until nothing more happens, or until Ctrl-C.

    A database that goes away is waited for.

    Args:
        place: Its ledger.
        output: How to print it.
        every: Seconds between two looks.

    Raises:
        LedgerError: It cannot be read at the start.
    """
    watching = asyncio.create_task(_watch(place, output, every))
    with on_interrupt(watching.cancel):
        await asyncio.wait({watching})
    if not watching.cancelled():
        watching.result()


async def _watch(place: str, output: Output, every: float) -> None:
    async with Watch.on(place) as watched:
        look = await watched.look()
        with _Screen(output) as screen:
            screen.show(look)
            while not look.over:
                took = time.monotonic() - watched.began
                await asyncio.sleep(max(every, took * _SHARE))
                try:
                    look = await watched.look()
                except LedgerError as error:
                    screen.note(f"{error}; it is tried again until Ctrl-C")
                else:
                    screen.show(look)


class _Screen:
    """What a person or a program sees of one look after the other."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._live: Live | None = None
        self._last: Look | None = None
        self._noted = False

    def __enter__(self) -> Self:
        if sys.stdout.isatty() and not self._output.json:
            console = Console(highlight=False, emoji=False)
            self._live = Live(console=console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, look: Look) -> None:
        """Show how the campaign stands now."""
        self._last = look
        if self._live is not None:
            self._draw(look)
        else:
            if self._noted:
                say("the ledger can be read again")
            shown = self._output.dumped(look.facts()) if self._output.json else look
            print(self._output.text(shown) if shown is look else shown, flush=True)
        self._noted = False

    def note(self, text: str) -> None:
        """Say why there is nothing newer to show."""
        if self._last is not None and self._live is not None:
            self._draw(self._last, problem=text)
        elif not self._noted:
            say(text)
        self._noted = True

    def _draw(self, look: Look, **more: object) -> None:
        """Show what there is, so that it fits on a terminal of 24 lines."""
        facts = {name: fact for name, fact in look.shown().items() if fact not in {None, 0}}
        if self._live is not None:
            self._live.update(self._output.grid({**facts, **more}), refresh=True)


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{max(0.0, seconds):.1f} s"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
