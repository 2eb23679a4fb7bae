"""One verb for everybody in a conference, and what became of each."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import attrs

from conference_async.errors import ConferenceError, ConferenceNotActive, NotFound
from conference_async.models import Participant, check_participant
from conference_async.participant_handle import ParticipantHandle


@attrs.frozen(kw_only=True)
class Failure:
    """One participant whom a verb did not reach."""

    participant: Participant
    """The participant, as listed before."""

    error: ConferenceError
    """Why."""


@attrs.frozen(kw_only=True)
class FanOut:
    """What became of a verb that was sent to everybody. Its `repr` shows no phone number."""

    succeeded: tuple[Participant, ...] = ()
    """Who was reached, as answered; as listed before, for those who were removed."""

    failed: tuple[Failure, ...] = ()
    """Who was not, and why."""

    gone: tuple[Participant, ...] = ()
    """Who had left meanwhile: that is no failure."""


def chosen(
    everybody: Iterable[Participant], except_: str | Iterable[str | None]
) -> list[Participant]:
    """Return everybody but those named.

    Args:
        everybody: The participants of a conference.
        except_: Call SIDs and labels, or one of them.

    Raises:
        InvalidParameter: One of them can be neither.
    """
    named = {check_participant(who) for who in ([except_] if isinstance(except_, str) else except_)}
    return [one for one in everybody if named.isdisjoint({one.call_sid, one.label})]


async def fan_out(
    participants: Iterable[Participant],
    handle: Callable[[str | None], ParticipantHandle],
    verb: Callable[[ParticipantHandle], Awaitable[Participant | None]],
) -> FanOut:
    """Send a verb to each participant, as many at once as the client allows.

    Args:
        participants: To whom.
        handle: Makes a participant's handle.
        verb: What to do; what it returns replaces the participant in the report.
    """

    async def _reach(participant: Participant) -> FanOut:
        try:
            done = await verb(handle(participant.call_sid or participant.label))
        except (NotFound, ConferenceNotActive):
            return FanOut(gone=(participant,))
        except ConferenceError as error:
            return FanOut(failed=(Failure(participant=participant, error=error),))
        return FanOut(succeeded=(done or participant,))

    reached = await asyncio.gather(*map(_reach, participants))
    return FanOut(
        succeeded=tuple(one for each in reached for one in each.succeeded),
        failed=tuple(one for each in reached for one in each.failed),
        gone=tuple(one for each in reached for one in each.gone),
    )
