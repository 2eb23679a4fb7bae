"""A create whose outcome is in doubt, by what it can be recognised by."""

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from conference_async.errors import InvalidParameter
from conference_async.models import (
    NewParticipant,
    check_conference,
    check_label,
    is_e164,
    is_minted,
)
from conference_async.privacy import mask
from conference_async.sending.call_log import Clock
from conference_async.sending.lookup import ROUNDING, Window
from conference_async.sending.register import LATEST, Key, Others, Sent

_LATEST = LATEST.total_seconds()
_CLOCKS_DIFFER = 60.0
"""Seconds by which the clocks of two machines may differ."""


class Sought(NamedTuple):
    """A create whose outcome is in doubt. Instants are seconds of the loop's clock."""

    conference: str
    """The conference SID or friendly name that it addressed."""

    label: str | None
    """The label that every attempt carried."""

    minted: bool = False
    """Whether the label is random, so that nobody else can have it."""

    to: str | None = None
    """The number that it called; None if that is not known."""

    callers: tuple[str, ...] = ()
    """The numbers that the log may show as its caller; none if that is not known."""

    sent: float | None = None
    """When its first attempt without an answer left; None if that is not known."""

    doubted: float | None = None
    """When its first attempt left of which nobody knows that it placed nothing; `sent` if None."""

    ended: float | None = None
    """When its last attempt in doubt had ended; None if that is not known."""

    skew: float = 0.0
    """Seconds by which `sent` may be wrong: it was written down by another clock."""

    record: Sent | None = None
    """The create itself among those of this process."""

    known: Others = Others()
    """Other creates to that number that were known before."""

    def __repr__(self) -> str:
        return mask(f"<Sought {self.label!r}>")  # a tuple would show the numbers

    @classmethod
    def at(
        cls,
        conference: str,
        label: str | None,
        *,
        sent_at: datetime | None,
        ended_at: datetime | None = None,
        to: str | None = None,
        from_: str | None = None,
    ) -> Self:
        """Return a create that was written down, by times of day instead of instants.

        Args:
            conference: A conference SID or friendly name.
            label: The label that it carried.
            sent_at: When it was sent, by a clock that is at most a minute from this machine's.
            ended_at: When nothing of it was under way any more.
            to: The number that it called.
            from_: The number that it called from.

        Raises:
            InvalidParameter: A time has no time zone, or a name can be none.
        """
        return cls(
            conference=check_conference(conference),
            label=None if label is None else check_label(label),
            minted=label is not None and is_minted(label),
            to=to,
            callers=() if from_ is None else (from_,),
            sent=_instant("sent_at", sent_at),
            ended=_instant("ended_at", ended_at),
            skew=_CLOCKS_DIFFER,
        )

    @property
    def key(self) -> Key:
        """Its label and conference."""
        return self.label, self.conference

    @property
    def over(self) -> float:
        """When nothing of it could be under way any more."""
        if self.ended is not None:
            return self.ended
        return -math.inf if self.sent is None else self.sent + _LATEST

    @property
    def opens(self) -> float:
        """When a call could first have been created that was its."""
        return (self.sent or 0.0) - self.skew

    @property
    def closes(self) -> float:
        """When a call could last have been created that was its."""
        return self.over + self.skew + (_LATEST if self.ended is not None else 0.0)

    @property
    def searchable(self) -> bool:
        """Whether the call log can be searched for it."""
        numbers = (self.to or "", *self.callers)
        return bool(self.callers) and all(map(is_e164, numbers)) and self.sent is not None

    def window(self, clock: Clock) -> Window:
        """Return when it may have placed a call, by the service's clock."""
        sent, over, skew = self.sent or 0.0, self.over, timedelta(seconds=self.skew)
        since = clock.earliest(sent if self.doubted is None else self.doubted) - ROUNDING
        opens = clock.earliest(sent) - ROUNDING - skew
        due = clock.latest(over) + ROUNDING
        held_back = LATEST if self.ended is not None else timedelta(0)
        return Window(opens=opens, since=since, due=due, closes=due + held_back + skew)


def callers_of(new: NewParticipant) -> tuple[str, ...]:
    """Return the numbers that the call log may show as the caller of a call."""
    return tuple(filter(None, (new.from_, new.caller_id)))


def _instant(name: str, at: object) -> float | None:
    """Return the instant of the loop's clock at a time of day."""
    if at is None:
        return None
    if not isinstance(at, datetime) or at.tzinfo is None:
        problem = "must be a datetime with a time zone, for example datetime.UTC"
        raise InvalidParameter(name, problem)
    return asyncio.get_running_loop().time() - (datetime.now(UTC) - at).total_seconds()
