"""The knowledge of one create that is written down, and how it may change.

::

    planned ──> sending ──> placed      the service took the call
      ^  ^         │  ├───> refused     the service said no
      │  └─────────┘  └───> unknown     it may have been placed: found out later, or by a person
      └── skipped <── planned           not to be called by this run

A create is ``sending`` in the store before its request leaves. So whatever dies at whatever
moment, what may have rung is never taken for what has not: what is found ``sending`` is looked
up, and never simply called again. Whoever sent it and was only slow has the last word: its answer
replaces ``unknown``.

Everything here is a function from values to values; a store makes them last.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

import attrs

from conference_async.errors import (
    CallQueueFull,
    ConferenceFull,
    LedgerError,
    NotAuthorized,
    NotSent,
    OutcomeUnknown,
    RequestRefused,
    TooManyCalls,
    TooManyRequests,
)
from conference_async.models import Participant
from conference_async.privacy import mask

NO_ROOM = (TooManyCalls, ConferenceFull, CallQueueFull)
"""Nothing was placed, and there is room again when calls end."""

NOT_PLACED = (NotSent, TooManyRequests, *NO_ROOM)
"""Nothing happened, and it may work later."""


class State(StrEnum):
    """The state of a target."""

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
    """A run decided not to call it; the next run decides again."""


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


def masked(text: str | None) -> str:
    """Return the `repr` of a text without numbers."""
    return repr(None if text is None else mask(text))


@attrs.frozen(kw_only=True)
class Entry:
    """One create as a store knows it."""

    state: State = attrs.field(default=State.PLANNED, converter=State, repr=str)
    """Its state."""

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
    """When a request with its label was first about to be sent, in UTC."""

    ended_at: datetime | None = None
    """When its outcome was known, in UTC. While it is ``sending``, when a request with its label
    was last about to be sent; None if that was `sent_at`."""

    reason: str | None = attrs.field(
        default=None, converter=attrs.converters.optional(mask), repr=masked
    )
    """Why it is not placed, or what was found out later; numbers are masked."""

    def claimed(self, token: str, label: str | None, at: datetime) -> Self:
        """Return it as about to be sent: written before the request leaves.

        Args:
            token: New for each execution: it tells a write that is repeated, as its answer was
                lost, from a second execution.
            label: The label that the request carries.
            at: Now, in UTC.
        """
        # What a kept label finds may be the first call that carried it, or this one.
        first = None if self.label is None else self.sent_at
        return self._moved(
            State.SENDING,
            token=token,
            label=label,
            attempts=self.attempts + 1,
            sent_at=first or at,
            ended_at=at if first else None,
            reason=None,
        )

    def resent(self, at: datetime) -> Self:
        """Return it as about to be sent once more by the execution that has it.

        Args:
            at: Now, in UTC.
        """
        return attrs.evolve(self, ended_at=at)

    def placed(self, participant: Participant, at: datetime, reason: str | None = None) -> Self:
        """Return it as taken by the service."""
        return self._moved(
            State.PLACED,
            call_sid=participant.call_sid,
            conference_sid=participant.conference_sid,
            ended_at=at,
            reason=reason,
        )

    def refused(self, reason: str, at: datetime) -> Self:
        """Return it as turned down by the service."""
        return self._moved(State.REFUSED, ended_at=at, reason=reason)

    def unknown(self, reason: str, at: datetime) -> Self:
        """Return it as placed or not: nobody can tell."""
        return self._moved(State.UNKNOWN, ended_at=at, reason=reason)

    def not_sent(self, reason: str) -> Self:
        """Return it as never sent by this execution, and so still to be called."""
        attempts = self.attempts - 1
        return self._moved(
            State.PLANNED,
            token=None,
            label=self.label if attempts else None,
            attempts=attempts,
            sent_at=self.sent_at if attempts else None,
            ended_at=None,
            reason=reason,
        )

    def failed(self, error: BaseException | None, at: datetime) -> Self:
        """Return it as an error of its create leaves it.

        Args:
            error: What the create raised; None if it was cancelled before anything was sent.
            at: Now, in UTC.
        """
        if isinstance(error, OutcomeUnknown):
            return self.unknown(str(error), at)
        if isinstance(error, RequestRefused) and not isinstance(
            error, (NotAuthorized, *NOT_PLACED)
        ):
            return self.refused(str(error), at)
        return self.not_sent(str(error or "cancelled before it was sent"))

    def again(self, reason: str) -> Self:
        """Return what was called, or may have been, as to be called again: a person's choice.

        What is unknown keeps its label, so that the service refuses the second call if the first
        one is still there. What is known to be over gets a new one.
        """
        label = self.label if self.state is State.UNKNOWN else None
        return self._moved(State.PLANNED, token=None, label=label, reason=reason)

    def _moved(
        self,
        state: State,
        **changes: Any,  # noqa: ANN401 -- the fields above, as they are typed there
    ) -> Self:
        if state not in MOVES[self.state]:
            raise LedgerError(f"a target that is {self.state} cannot become {state}")
        return attrs.evolve(self, state=state, **changes)


def state_of(text: str, *, store: str = "ledger") -> State:
    """Return a state by the word that a store has for it.

    Args:
        text: The word.
        store: What the store is.

    Raises:
        LedgerError: This version of the library does not know it.
    """
    try:
        return State(text)
    except ValueError:
        raise LedgerError(
            f"the {store} has a target that is {text!r}, which only a newer version of this "
            "library knows; upgrade, and nothing is lost"
        ) from None
