"""What a campaign knows of each target, and how it may change.

::

    planned ──> sending ──> placed      the service took the call
      ^  ^         │  ├───> refused     the service said no
      │  └─────────┘  └───> unknown     it may have been placed: found out later, or by a person
      └── skipped <── planned           not to be called by this run

A target is ``sending`` in the store before its request leaves. So whatever dies at whatever
moment, what may have rung is never taken for what has not: a target found ``sending`` is looked
up by its label, and never simply called again. Whoever sent it and was only slow has the last
word: its answer replaces ``unknown``.

Everything here is a function from values to values; a `LedgerStore` makes them last.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Protocol, Self

import attrs

from conference_async.errors import LedgerError
from conference_async.masking import mask
from conference_async.models import Participant


class State(StrEnum):
    """Where a target stands."""

    PLANNED = "planned"
    """To be called."""

    SENDING = "sending"
    """Its request may be under way."""

    PLACED = "placed"
    """The service took the call."""

    REFUSED = "refused"
    """The service said no; nothing was placed."""

    UNKNOWN = "unknown"
    """It may have been placed, and nothing more could be found out."""

    SKIPPED = "skipped"
    """A run decided not to call it; the next run decides anew."""


MOVES: Mapping[State, frozenset[State]] = {
    State.PLANNED: frozenset({State.SENDING, State.SKIPPED}),
    State.SENDING: frozenset({State.PLACED, State.REFUSED, State.UNKNOWN, State.PLANNED}),
    State.PLACED: frozenset({State.PLACED, State.PLANNED}),
    State.REFUSED: frozenset(),
    State.UNKNOWN: frozenset({State.PLACED, State.REFUSED, State.UNKNOWN, State.PLANNED}),
    State.SKIPPED: frozenset({State.SENDING, State.SKIPPED}),
}
"""Which state may follow which. What was placed or is unknown is planned again only by the
caller's explicit choice."""


def _masked(text: str | None) -> str:
    return repr(None if text is None else mask(text))


@attrs.frozen(kw_only=True)
class Outcome:
    """What is known of one target: a row of the ledger, and what a run yields."""

    target: str = attrs.field(repr=_masked)
    """The key that it has in every run of the campaign; see `Target`."""

    to: str = attrs.field(repr=_masked)
    """The address that is called."""

    conference: str
    """The conference that it is called into, as the plan names it."""

    state: State = attrs.field(default=State.PLANNED, converter=State, repr=str)
    """Where it stands."""

    token: str | None = attrs.field(default=None, repr=False)
    """Which execution holds it, or held it last; None while it is planned."""

    label: str | None = None
    """The label that its request carried; kept, so that a repeated request clashes with a first
    one that was placed after all."""

    attempts: int = 0
    """How often it was called, or may have been."""

    call_sid: str | None = None
    """The call, once it is placed."""

    conference_sid: str | None = None
    """The conference's SID, once the call is placed."""

    sent_at: datetime | None = None
    """When it was last about to be sent, in UTC."""

    ended_at: datetime | None = None
    """When its outcome was known, in UTC."""

    reason: str | None = attrs.field(
        default=None, converter=attrs.converters.optional(mask), repr=_masked
    )
    """Why it is not placed, or what was found out later; numbers are masked."""

    def claimed(self, token: str, label: str | None, at: datetime) -> "Outcome":
        """Return it as about to be sent: written before the request leaves.

        Args:
            token: New for each execution, so that repeating a write whose answer was lost is
                told from a second execution.
            label: The label that the request carries.
            at: Now, in UTC.
        """
        return self._moved(
            State.SENDING,
            token=token,
            label=label,
            attempts=self.attempts + 1,
            sent_at=at,
            ended_at=None,
            reason=None,
        )

    def placed(
        self, participant: Participant, at: datetime, reason: str | None = None
    ) -> "Outcome":
        """Return it as taken by the service."""
        return self._moved(
            State.PLACED,
            call_sid=participant.call_sid,
            conference_sid=participant.conference_sid,
            ended_at=at,
            reason=reason,
        )

    def refused(self, reason: str, at: datetime) -> "Outcome":
        """Return it as turned down by the service."""
        return self._moved(State.REFUSED, ended_at=at, reason=reason)

    def unknown(self, reason: str, at: datetime) -> "Outcome":
        """Return it as placed or not: nobody can tell."""
        return self._moved(State.UNKNOWN, ended_at=at, reason=reason)

    def not_sent(self, reason: str) -> "Outcome":
        """Return it as never sent by this execution, and so still to be called."""
        attempts = self.attempts - 1
        return self._moved(
            State.PLANNED,
            token=None,
            label=self.label if attempts else None,
            attempts=attempts,
            sent_at=None,
            reason=reason,
        )

    def again(self, reason: str) -> "Outcome":
        """Return what was called, or may have been, as to be called again: a person's choice.

        What is unknown keeps its label, so that the service refuses the second call if the first
        one is still there. What is known to be over gets a new one.
        """
        label = self.label if self.state is State.UNKNOWN else None
        return self._moved(State.PLANNED, token=None, label=label, reason=reason)

    def skipped(self, reason: str, at: datetime) -> "Outcome":
        """Return it as not to be called by this run."""
        return self._moved(State.SKIPPED, ended_at=at, reason=reason)

    def noted(self, reason: str) -> "Outcome":
        """Return what was placed with what became of it."""
        return self._moved(State.PLACED, reason=reason)

    def _moved(
        self,
        state: State,
        **changes: Any,  # noqa: ANN401 -- the fields above, as they are typed there
    ) -> "Outcome":
        if state not in MOVES[self.state]:
            raise LedgerError(f"a target that is {self.state} cannot become {state}")
        return attrs.evolve(self, state=state, **changes)


@attrs.frozen(kw_only=True)
class Campaign:
    """Whose ledger it is."""

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
    """What makes outcomes last: a file, a database.

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
        """Return how many targets are in which state."""
        ...
