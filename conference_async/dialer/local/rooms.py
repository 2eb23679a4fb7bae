"""Rooms for those who come to a campaign later: who is in it keeps theirs."""

from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from typing import Self

import attrs

from conference_async.dialer.ledger.outcome import LedgerStore, Outcome
from conference_async.dialer.plan.targets import SeenKeys, places
from conference_async.sending.entries import State


@attrs.define
class Rooms:
    """Gives each new target of a plan that is spread over rooms a place that is free."""

    _known: SeenKeys = attrs.field(factory=SeenKeys)
    _free: Iterator[str] | None = None

    @classmethod
    async def of(cls, spread: tuple[str, int] | None, ledger: LedgerStore) -> Self:
        """Return the rooms of a campaign as its ledger has them.

        Args:
            spread: The conference that is spread over rooms, and their size; None if none is.
            ledger: The campaign's.

        Raises:
            LedgerError: It cannot be read.
        """
        rooms = cls()
        if spread is None:
            return rooms
        taken = Counter[str]()
        async with aclosing(ledger.outcomes()) as outcomes:
            async for outcome in outcomes:
                rooms._known.add(outcome.target)
                taken[outcome.conference] += outcome.state is not State.REFUSED
        if taken:  # else the plan's own are as good
            rooms._free = places(*spread, taken)
        return rooms

    def given(self, row: Outcome) -> Outcome:
        """Return a target with its room; one that is known has another in the ledger."""
        if self._free is None or not self._known.add(row.target):
            return row
        return attrs.evolve(row, conference=next(self._free))
