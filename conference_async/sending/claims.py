"""One execution of one create that a store knows: claimed before it is sent, concluded after.

Campaigns and single creates stand on this alike. A claim has a token of its own, which the store
compares with each write: of two executions one gets the create, a write whose answer was lost may
be repeated, and whoever was taken for dead meanwhile notices it.
"""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import attrs

from conference_async.sending.entries import MOVES, Entry

EntryT = TypeVar("EntryT", bound=Entry)


class Entries(Protocol[EntryT]):
    """What makes entries last: a ledger, or a journal."""

    async def swap(self, before: EntryT, after: EntryT) -> bool:
        """Replace `before` by `after`, durably; return whether `after` now stands.

        It does only if the entry had the state and the token of `before`, or has those of
        `after` already: this write repeated.
        """
        ...

    async def known(self, entry: EntryT) -> EntryT | None:
        """Return what is now known of an entry."""
        ...


@attrs.define(eq=False)
class Claim(Generic[EntryT]):
    """One execution, and what it wrote down."""

    entries: Entries[EntryT]
    """What keeps it."""

    stored: EntryT
    """The create as the store has it before."""

    planned: EntryT
    """The same as to be called."""

    clock: Callable[[], datetime]
    """Now, in UTC."""

    entry: EntryT | None = None
    """What this execution wrote, or may have written; None before."""

    async def make(self, label: str | None) -> bool:
        """Claim the create, durably; return whether it is ours."""
        self.entry = self.planned.claimed(secrets.token_hex(8), label, self.clock())
        return await self.entries.swap(self.stored, self.entry)

    async def stands(self) -> bool:
        """Ask the store whether the claim still stands: another may have taken us for dead.

        If it does, it is known there that a request of it may leave from now on.
        """
        if self.entry is None:
            return False
        self.entry = self.entry.resent(self.clock())
        return await self.entries.swap(self.entry, self.entry)

    async def conclude(self, after: EntryT) -> bool:
        """Write down what became of it; return whether that now stands.

        What somebody else guessed meanwhile, taking us for dead, gives way to what we know. Where
        another execution has it, nothing is written.
        """
        return self.entry is not None and await conclude(self.entries, self.entry, after)


async def conclude(entries: Entries[EntryT], claim: EntryT, after: EntryT) -> bool:
    """Write down what became of a create that was claimed, as `Claim.conclude` says."""
    if await entries.swap(claim, after):
        return True
    known = await entries.known(claim)
    if known is None or known.token != claim.token or after.state not in MOVES[known.state]:
        return False
    return await entries.swap(known, after)
