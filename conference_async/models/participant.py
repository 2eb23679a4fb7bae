"""A participant of a conference, as the service describes it."""

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any

import attrs

from conference_async.models.vocabulary import UNKNOWN, Evidence, ParticipantStatus
from conference_async.privacy import described, names_only


@attrs.frozen(kw_only=True, eq=False)
class Participant:
    """One participant at one moment (conference-participant-resource#participant-properties).

    Only those live in a conference that is not over: the service keeps no history here. For those
    who have left there are callbacks, and the participant summaries of its Voice Insights.

    The service may leave out, or send as null, any of these.
    """

    account_sid: str | None = None
    """The account (``AC…``) that the participant belongs to."""
    call_sid: str | None = None
    """The participant's call (``CA…``); it addresses the participant."""
    label: str | None = None
    """The label given at creation, if any; it addresses the participant too."""
    call_sid_to_coach: str | None = None
    """The call of the participant being coached, who alone hears the coach."""
    coaching: bool | None = None
    """Whether this participant coaches another one."""
    conference_sid: str | None = None
    """The conference (``CF…``) that the participant is in."""
    date_created: datetime | None = None
    """When the participant was created, in UTC; None if the service sent no readable date."""
    date_updated: datetime | None = None
    """When the participant last changed, in UTC; None if the service sent no readable date."""
    end_conference_on_exit: bool | None = None
    """Whether the conference ends for everyone when this participant leaves."""
    muted: bool | None = None
    """Whether the others cannot hear the participant."""
    hold: bool | None = None
    """Whether the participant is on hold."""
    start_conference_on_enter: bool | None = None
    """Whether the conference starts when the participant joins; if not, they are muted and hear
    music until somebody starts it."""
    status: ParticipantStatus | str = UNKNOWN
    """The state of the call; one newer than this library stays a
    plain string, and is ``unknown`` where the service sent none."""
    queue_time: int | None = None
    """Estimated milliseconds until the call is placed; only in the reply to a create."""
    uri: str | None = attrs.field(default=None, repr=repr)
    """The path of this resource on the service's host."""
    extra: Mapping[str, object] = attrs.field(
        factory=dict[str, object], hash=False, repr=names_only
    )
    """Properties newer than this library, and values it could not read, as they came."""
    reconciled: bool = False
    """Whether a create without a readable answer was found to have placed this participant."""
    evidence: Evidence = "reply"
    """What shows it; by the call log, `status` may be the last word of a call that is over:
    ``busy``, ``no-answer``, ``canceled``, ``failed`` or ``complete``."""
    repeated: bool = False
    """Whether it is the participant of an earlier create with the same ``once=``, as that create
    returned it: the phone may have been answered, or the call be over, since."""

    def __repr__(self) -> str:
        return described(self)

    def __eq__(self, other: object) -> bool:
        # One call seen twice is equal, whichever reply it was seen in.
        return _held(self) == _held(other) if isinstance(other, Participant) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.call_sid, self.label, self.status, self.date_updated))


_fields: tuple["attrs.Attribute[Any]", ...] = attrs.fields(Participant)
_held = attrgetter(*(field.name for field in _fields))


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PlacedParticipant(Participant):
    """A participant by a reply about that one alone, which always says the call and conference."""

    call_sid: str = ""
    """The participant's call (``CA…``); it addresses the participant."""
    conference_sid: str = ""
    """The conference (``CF…``) that the participant is in; empty where only the call log tells of
    the call, and the conference of its name is over."""
