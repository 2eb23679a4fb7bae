"""One verb for everybody in a conference, and what became of each."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Self

import attrs

from conference_async.errors import (
    ConferenceError,
    ConferenceNotActive,
    InvalidParameter,
    NotAllReached,
    NotFound,
)
from conference_async.models import Participant, check_participant
from conference_async.privacy import described


@attrs.frozen(kw_only=True)
class Unreached:
    """One participant whom a verb did not reach."""

    participant: Participant
    """The participant, as listed before."""

    error: ConferenceError
    """Why."""

    def __repr__(self) -> str:
        return described(self)


@attrs.frozen(kw_only=True)
class FanOut:
    """The result of a verb that was sent to everybody. Its `repr` shows no phone number."""

    succeeded: tuple[Participant, ...] = ()
    """Those reached, as answered; as listed before, for those who were removed."""

    failed: tuple[Unreached, ...] = ()
    """Those not reached, and why."""

    gone: tuple[Participant, ...] = ()
    """Those who had left meanwhile: that is no failure."""

    not_found: tuple[str, ...] = ()
    """The Call SIDs and labels of ``except_`` that nobody in the conference carries."""

    def __repr__(self) -> str:
        return described(self)

    def raise_if_failed(self) -> Self:
        """Return the report itself if nobody failed.

        Raises:
            NotAllReached: Somebody was not reached; its cause is the first of the errors.
        """
        if not self.failed:
            return self
        errors = tuple(each.error for each in self.failed)
        everybody = len(self.succeeded) + len(errors)
        raise NotAllReached(
            f"{len(errors)} of {everybody} participants were not reached, the first because: "
            f"{errors[0]}",
            errors=errors,
        ) from errors[0]


class Spared:
    """Call SIDs and labels of those whom a verb leaves as they are."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    @classmethod
    def of(cls, except_: str | Iterable[str]) -> Self:
        """Return them, given one or several.

        Raises:
            InvalidParameter: One of them can be neither a Call SID nor a label.
        """
        names = [except_] if isinstance(except_, str) else except_
        if not isinstance(names, Iterable):
            raise InvalidParameter("except_", "must be a Call SID or label, or several of them")
        return cls(frozenset(map(check_participant, names)))

    def has(self, participant: Participant) -> bool:
        """Return whether a participant is one of them."""
        return not self.names.isdisjoint({participant.call_sid, participant.label})

    def unknown(self, everybody: Iterable[Participant]) -> tuple[str, ...]:
        """Return those that nobody carries, sorted."""
        known = {name for one in everybody for name in (one.call_sid, one.label)}
        return tuple(sorted(self.names - known))


async def fan_out(
    everybody: Iterable[Participant],
    verb: Callable[[Participant], Awaitable[Participant | None]],
    spared: Spared,
) -> FanOut:
    """Send a verb to each participant but those spared, as many at once as the client allows.

    Args:
        everybody: The participants of a conference.
        verb: What to do; what it returns replaces the participant in the report.
        spared: Those to leave as they are.
    """

    async def _reach(participant: Participant) -> FanOut:
        try:
            done = await verb(participant)
        except (NotFound, ConferenceNotActive):
            return FanOut(gone=(participant,))
        except ConferenceError as error:
            return FanOut(failed=(Unreached(participant=participant, error=error),))
        return FanOut(succeeded=(done or participant,))

    everybody = list(everybody)
    reached = await asyncio.gather(*(_reach(one) for one in everybody if not spared.has(one)))
    return FanOut(
        succeeded=tuple(one for each in reached for one in each.succeeded),
        failed=tuple(one for each in reached for one in each.failed),
        gone=tuple(one for each in reached for one in each.gone),
        not_found=spared.unknown(everybody),
    )
