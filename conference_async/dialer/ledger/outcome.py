"""The state of each target of a campaign, and what keeps it.

How it may change is that of every create that is written down; see `Entry`.
"""

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

import attrs

from conference_async.errors import LedgerError
from conference_async.sending.entries import Entry, State, masked, state_of


@attrs.frozen(kw_only=True)
class Outcome(Entry):
    """The knowledge of one target: a row of the ledger, and what a run yields."""

    target: str = attrs.field(repr=masked)
    """The key that it has in every run of the campaign; see `Target`."""

    to: str = attrs.field(repr=masked)
    """The address that is called."""

    conference: str
    """The conference that it is called into, as the plan names it."""

    caller: str | None = attrs.field(default=None, repr=masked)
    """The number that the account's call log shows as its caller; None if there are several."""

    row: int | None = None
    """Its line in the file, or its position in the iterable, when the plan was last read; None in a
    ledger of before."""

    id: str | None = attrs.field(default=None, repr=masked)
    """The identifier that its row has in a column ``id``."""

    own_label: str | None = None
    """The label that its row has, whether or not a request carried it."""

    purpose: str | None = None
    """What its row says that the call is about."""

    earliest: datetime | None = None
    """The first moment at which it is to be called, in UTC, if its row has one."""

    latest: datetime | None = None
    """The moment from which on it is not called any more, in UTC, if its row has one."""

    def skipped(self, reason: str, at: datetime) -> Self:
        """Return it as not to be called by this run."""
        return self._moved(State.SKIPPED, ended_at=at, reason=reason)

    def noted(self, reason: str) -> Self:
        """Return what was placed with what became of it."""
        return self._moved(State.PLACED, reason=reason)


def known(content: Mapping[str, Any]) -> Outcome:
    """Return what a store has of a target.

    Raises:
        LedgerError: This version of the library does not know the target's state.
    """
    row: dict[str, Any] = {**content, "state": state_of(content["state"])}
    return Outcome(**row)


def counted(rows: Iterable[tuple[str, int]], total: int | None) -> dict[State, int]:
    """Return how many targets of the plan are in which state, from a store's own counts.

    Args:
        rows: The states of those that are in the store, and how many are in each.
        total: How many targets the plan has; None if that is not known.

    Raises:
        LedgerError: This version of the library does not know a state.
    """
    found = {state_of(state): number for state, number in rows}
    counts = {state: found.get(state, 0) for state in State}
    # Rows enter the store as their turn comes, and what is in it may be in the plan no more.
    counts[State.PLANNED] += max(0, (total or 0) - sum(counts.values()))
    return counts


@attrs.frozen(kw_only=True)
class Campaign:
    """The campaign and the account that a ledger belongs to."""

    name: str
    """The plan's name."""

    account_sid: str
    """The account that calls."""

    total: int | None = None
    """How many targets the plan had when it was last run; None if that could not be known."""

    def check(self, asked: "Campaign") -> None:
        """Refuse to go on with another campaign's ledger.

        Raises:
            LedgerError: It is another plan's, or another account's.
        """
        for what, ours, theirs in (
            ("campaign", self.name, asked.name),
            ("account", self.account_sid, asked.account_sid),
        ):
            if ours != theirs:
                raise LedgerError(
                    f"this ledger belongs to the {what} {ours!r}, not to {theirs!r}; nothing was "
                    "dialled. Use a ledger of its own for each campaign and account"
                )


class LedgerStore(Protocol):
    """Makes outcomes last, in a file or a database.

    Every method raises `LedgerError` where the store cannot do it. Operations take effect in the
    order they were asked for, also if the caller was cancelled while it waited.
    """

    async def __aenter__(self) -> Self:
        """Open it, or take note that one more user has."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it when the last user has left."""
        ...

    async def begin(self, campaign: Campaign) -> None:
        """Become the campaign's one writer; the first time, name the ledger after it.

        Raises:
            LedgerError: Another writer is at work, the ledger is another campaign's, or it cannot
                be written to.
        """
        ...

    async def end(self) -> None:
        """Let another writer begin."""
        ...

    async def campaign(self) -> Campaign | None:
        """Return whose ledger it is, or None if nobody has begun."""
        ...

    async def enrol(self, targets: Sequence[Outcome]) -> list[Outcome]:
        """Add what is new, durably; return what is now known of each, in the same order."""
        ...

    async def swap(self, before: Outcome, after: Outcome) -> bool:
        """Replace `before` by `after`, durably; return whether `after` now stands.

        It does only if the target had the state and the token of `before`, or has those of
        `after` already: this write repeated.
        """
        ...

    def outcomes(self, *states: State) -> AsyncGenerator[Outcome, None]:
        """Yield the targets in these states (all if none are given) in the order of the plan."""
        ...

    async def counts(self) -> dict[State, int]:
        """Return how many targets of the plan are in which state.

        Those that were not enrolled yet are planned: together they are at least
        `Campaign.total`.
        """
        ...

    async def called(self, numbers: Collection[str]) -> list[Outcome]:
        """Return those to these numbers that were called, or may have been."""
        ...
