"""A participant of a conference, as the service describes it."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from conference_async.disclosure import described, names_only
from conference_async.models.vocabulary import ParticipantStatus


# Without slots, because pages of a thousand are read at twice the speed into instance dictionaries.
@attrs.frozen(kw_only=True, slots=False)
class Participant:
    """One participant at one moment (conference-participant-resource#participant-properties).

    The service may leave out, or send as null, everything but the status.
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
    """Whether the conference starts when the participant joins."""
    status: ParticipantStatus | str
    """The state of the call; a state newer than this library stays a plain string."""
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

    def __repr__(self) -> str:
        return described(self)
