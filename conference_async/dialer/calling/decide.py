"""Decides what is to be done with a target, in one place for the local run and for workers.

Everything here is a function from values to values; waiting, writing and calling are elsewhere.
"""

from collections.abc import Container, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

import attrs

from conference_async.backoff import Backoff
from conference_async.dialer.ledger.outcome import Outcome
from conference_async.dialer.rules.wishes import Wishes
from conference_async.journal.contacts import Contact
from conference_async.sending.entries import State

NOT_SENT = Backoff(1.0, 60.0)
"""The pauses after a target could not be sent, so often in a row."""

NO_ROOM = Backoff(1.0, 10.0)
"""The pauses after the service had no room for a call, so often in a row."""

ROOM_WITHIN = 900.0
"""Seconds for which targets wait for room while nobody is placed: a quarter of an hour."""

_TO_CALL = frozenset({State.PLANNED, State.SKIPPED})


@attrs.frozen
class Call:
    """Call it now."""

    outcome: Outcome
    """The row to be claimed; where the ledger has another, it is to be written first."""


@attrs.frozen
class Wait:
    """Decide again later."""

    seconds: float
    reason: str


@attrs.frozen
class Skip:
    """Do not call it in this run."""

    outcome: Outcome
    """The row to be written."""


@attrs.frozen
class Leave:
    """Nothing is to be done with it; it stays as it is."""


Decision: TypeAlias = Call | Wait | Skip | Leave


def decide(
    outcome: Outcome,
    wishes: Wishes,
    now: datetime,
    zones: Sequence[ZoneInfo],
    ends_at: datetime | None,
    contacts: Sequence[Contact] = (),
) -> Decision:
    """Return what is to be done with a target whose turn has come.

    Args:
        outcome: What the ledger has of it.
        wishes: The campaign's.
        now: An aware datetime.
        zones: The time zones that it may be in; only asked for where the time there matters.
        ends_at: The instant at which nobody waits for it any more; None if there is no such.
        contacts: The calls to its number that are known.
    """
    in_doubt = outcome.state is State.UNKNOWN and wishes.redial_unknown
    if outcome.state not in _TO_CALL and not in_doubt:
        return Leave()
    verdict = wishes.verdict(outcome, now, zones, contacts)
    if not verdict.why:
        return Call(outcome.again("to be called again, as asked for") if in_doubt else outcome)
    opening = verdict.opening
    if opening is not None and (ends_at is None or opening < ends_at):
        return Wait((opening - now).total_seconds(), str(verdict))
    # What may have rung is not written off as something that was never called.
    return Leave() if in_doubt else Skip(outcome.skipped(str(verdict), now))


def after_failure(failures: int, wishes: Wishes) -> Wait | Leave:
    """Return what is to be done with a target that could not be sent, so often in a row."""
    if failures > wishes.retries:
        return Leave()
    return Wait(NOT_SENT.delay(failures), "it could not be sent")


def after_no_room(times: int, fruitless: float) -> Wait | Leave:
    """Return what is to be done with a target for which the service had no room.

    It is no failure of the target, so it does not count against `Wishes.retries`: lines become
    free when calls end.

    Args:
        times: How often in a row there was none.
        fruitless: Seconds for which it has waited while nobody was placed.
    """
    if fruitless > ROOM_WITHIN:
        return Leave()
    return Wait(NO_ROOM.delay(times), "there was no room for it")


def after_call(outcome: Outcome, status: str, *, attempts: int, on: Container[str]) -> Outcome:
    """Return what was placed as planned again, or with how its call ended.

    Args:
        outcome: What the ledger has of it.
        status: The call's final status.
        attempts: Calls to it at most, the first included.
        on: After which statuses it is called again.
    """
    if status in on and outcome.attempts < attempts:
        return outcome.again(f"{status}, to be called again")
    return outcome.noted(status)


def instant_after(now: datetime, seconds: float) -> datetime:
    """Return the instant so many seconds after another; the last one there is, if it is later."""
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
