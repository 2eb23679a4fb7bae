"""A target as a ledger knows it, and a ledger as a search in the call log asks it."""

from collections.abc import Awaitable, Callable, Collection, Iterable

from conference_async.dialer.ledger.outcome import Outcome
from conference_async.dialer.plan.targets import Target
from conference_async.models import NewParticipant, Participant
from conference_async.sending.entries import State
from conference_async.sending.register import Remembered, Source


def row_of(target: Target) -> Outcome:
    """Return what a ledger has of a target before anything has happened."""
    return Outcome(
        target=target.key,
        to=target.to,
        conference=target.conference,
        caller=caller_of(target.new),
        row=target.row,
        id=target.id,
        own_label=target.template.label,
        purpose=target.purpose,
        earliest=target.earliest,
        latest=target.latest,
    )


def caller_of(new: NewParticipant) -> str | None:
    """Return the number that the call log shows as the caller; None if it may be one of two."""
    return new.from_ if new.caller_id is None else None


def found_by(participant: Participant) -> str | None:
    """Return where a participant was found that the service's answer did not tell of."""
    match participant.evidence:
        case "label":
            return "found by its label"
        case "call-log":
            return f"found in the call log: {participant.status}"
        case _:
            return None


def memory_of(called: Callable[[Collection[str]], Awaitable[Iterable[Outcome]]]) -> Source:
    """Return what tells a search in the call log what else campaigns called.

    Args:
        called: Returns the targets with some numbers that were called, or may have been.
    """

    async def remembered(numbers: Collection[str]) -> list[Remembered]:
        """Return the calls to some numbers, and those that may be."""
        return [
            Remembered(
                to=row.to,
                key=(row.label, row.conference),
                sent_at=row.sent_at,
                call_sid=call_sid,
            )
            for row in await called(numbers)
            for call_sid in calls_of(row)
        ]

    return remembered


def calls_of(row: Outcome) -> list[str | None]:
    """Return the calls of a target: those that are known, and None for one that may be."""
    known: list[str | None] = [row.call_sid] if row.call_sid else []
    return [*known, None] if row.state in {State.SENDING, State.UNKNOWN} else known
