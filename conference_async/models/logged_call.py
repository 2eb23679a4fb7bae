"""A call as the account's call log has it."""

from datetime import datetime

import attrs

from conference_async.models.vocabulary import ParticipantStatus
from conference_async.privacy import described, endpoint

_LIVE = frozenset({"queued", "initiated", "ringing", "in-progress"})
_AS_PARTICIPANT: dict[str, ParticipantStatus] = {
    "queued": ParticipantStatus.QUEUED,
    "initiated": ParticipantStatus.CONNECTING,
    "ringing": ParticipantStatus.RINGING,
    "in-progress": ParticipantStatus.CONNECTED,
    "completed": ParticipantStatus.COMPLETE,
    "failed": ParticipantStatus.FAILED,
}


@attrs.frozen(kw_only=True)
class LoggedCall:
    """One call of the account, over or not (call-resource#call-properties).

    It has neither the label nor the conference of a participant.
    """

    sid: str
    """The call (``CA…``)."""
    to: str | None = attrs.field(default=None, repr=endpoint)
    """The address that was called."""
    from_: str | None = attrs.field(default=None, repr=endpoint)
    """The caller."""
    status: str = ""
    """Its status in the words of calls, which are not those of participants."""
    direction: str | None = None
    """``outbound-api`` for a call that a request created."""
    answered_by: str | None = None
    """``human``, ``machine_start`` … as machine detection reports it; None before it does, and for
    a call that was created without."""
    date_created: datetime | None = None
    """When it was created, in UTC; None if the service sent no readable date."""

    @property
    def live(self) -> bool:
        """Whether it is known not to be over."""
        return self.status in _LIVE

    @property
    def participant_status(self) -> str:
        """The status in the words of participants, as far as they have one for it."""
        return _AS_PARTICIPANT.get(self.status, self.status)

    def __repr__(self) -> str:
        return described(self)
