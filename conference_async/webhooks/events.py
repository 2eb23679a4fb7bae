"""What a conference's callbacks tell, as frozen values: one type per event.

Fields that a callback left out, or wrote in a way that cannot be read, are None. Parameters that
have no field, and the parameters of the callback URL's own query, are in `Event.extra`.

https://www.twilio.com/docs/voice/twiml/conference#attributes-statusCallback
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import attrs

from conference_async.disclosure import described, names_only
from conference_async.webhooks.vocabulary import CallStatus, EndReason, LeaveReason


@attrs.frozen(kw_only=True, repr=False)
class Event:
    """Anything that a callback tells. Its `repr` shows no phone number."""

    kind: ClassVar[str] = ""
    """The service's word for the event."""

    account_sid: str | None = None
    """The account that the call or conference belongs to, ``AC…``."""

    sequence_number: int | None = None
    """The event's place among those of its conference (or call): events may arrive out of order.
    A call's start at 0."""

    timestamp: datetime | None = None
    """When it happened, in UTC, to the second."""

    extra: Mapping[str, str] = attrs.field(factory=dict[str, str], hash=False, repr=names_only)
    """Parameters without a field here, by the service's names; what could not be read; and the
    callback URL's own query."""

    @property
    def subject(self) -> str | None:
        """The conference SID, else the Call SID, whose sequence the event belongs to."""
        return None

    def __repr__(self) -> str:
        return described(self)


@attrs.frozen(kw_only=True, repr=False)
class UnknownEvent(Event):
    """A callback of a kind newer than this library, or without the SID that its kind needs.

    All that it carried, but for the fields of `Event`, is in `Event.extra`.
    """


@attrs.frozen(kw_only=True, repr=False)
class ConferenceEvent(Event):
    """Something that happened in a conference."""

    conference_sid: str
    """The conference, ``CF…``."""

    friendly_name: str | None = None
    """The conference's name."""

    @property
    def subject(self) -> str:
        """The conference SID."""
        return self.conference_sid


@attrs.frozen(kw_only=True, repr=False)
class ConferenceStarted(ConferenceEvent):
    """The conference began: two are in, and one of them may start it."""

    kind: ClassVar[str] = "conference-start"


@attrs.frozen(kw_only=True, repr=False)
class ConferenceEnded(ConferenceEvent):
    """The conference is over, and everybody is out of it."""

    kind: ClassVar[str] = "conference-end"

    reason: EndReason | str | None = None
    """Why it ended."""

    reason_text: str | None = None
    """The same in the service's own words."""

    ended_by_call_sid: str | None = None
    """The Call SID of the participant whose leaving ended it."""

    ended_by_label: str | None = None
    """The label of the participant whose leaving ended it."""


@attrs.frozen(kw_only=True, repr=False)
class ConferenceRecordEnded(ConferenceEvent):
    """The conference's recording is there: the deprecated form, without a recording callback."""

    kind: ClassVar[str] = "conference-record-end"

    recording_url: str | None = None
    """Where the recording is."""

    duration: int | None = None
    """Its length in seconds."""

    file_size: int | None = None
    """Its size in bytes."""


@attrs.frozen(kw_only=True, repr=False)
class ParticipantEvent(ConferenceEvent):
    """Something that happened to a participant, with the participant's state after it."""

    call_sid: str
    """The participant's call, ``CA…``."""

    label: str | None = None
    """The participant's label."""

    muted: bool | None = None
    """Whether nobody hears the participant."""

    hold: bool | None = None
    """Whether the participant hears hold music instead of the conference."""

    coaching: bool | None = None
    """Whether the participant is heard by one other participant only."""

    end_conference_on_exit: bool | None = None
    """Whether the conference ends when the participant leaves."""

    start_conference_on_enter: bool | None = None
    """Whether the participant's joining starts the conference."""


@attrs.frozen(kw_only=True, repr=False)
class ParticipantJoined(ParticipantEvent):
    """The participant is in."""

    kind: ClassVar[str] = "participant-join"


@attrs.frozen(kw_only=True, repr=False)
class ParticipantLeft(ParticipantEvent):
    """The participant is out, or was added and never came in."""

    kind: ClassVar[str] = "participant-leave"

    call_status: CallStatus | str | None = None
    """How the call stood: ``completed``, ``no-answer``, ``busy``, ``failed``, ``canceled``, or
    ``in-progress`` where it went on elsewhere."""

    reason: LeaveReason | str | None = None
    """Why the participant left."""


@attrs.frozen(kw_only=True, repr=False)
class ParticipantMuted(ParticipantEvent):
    """The participant was muted."""

    kind: ClassVar[str] = "participant-mute"


@attrs.frozen(kw_only=True, repr=False)
class ParticipantUnmuted(ParticipantEvent):
    """The participant may be heard again."""

    kind: ClassVar[str] = "participant-unmute"


@attrs.frozen(kw_only=True, repr=False)
class ParticipantHeld(ParticipantEvent):
    """The participant was put on hold."""

    kind: ClassVar[str] = "participant-hold"


@attrs.frozen(kw_only=True, repr=False)
class ParticipantUnheld(ParticipantEvent):
    """The participant is no longer on hold."""

    kind: ClassVar[str] = "participant-unhold"


@attrs.frozen(kw_only=True, repr=False)
class ParticipantModified(ParticipantEvent):
    """Exit beep, ending on exit, coaching or wait URL was changed."""

    kind: ClassVar[str] = "participant-modify"


@attrs.frozen(kw_only=True, repr=False)
class SpeechStarted(ParticipantEvent):
    """The participant began to speak."""

    kind: ClassVar[str] = "participant-speech-start"


@attrs.frozen(kw_only=True, repr=False)
class SpeechStopped(ParticipantEvent):
    """The participant stopped speaking."""

    kind: ClassVar[str] = "participant-speech-stop"


@attrs.frozen(kw_only=True, repr=False)
class AnnouncementEvent(ConferenceEvent):
    """Something about an announcement."""

    announce_url: str | None = None
    """The URL that was announced."""

    call_sid: str | None = None
    """The participant it was for, if it was for one who is still there."""

    label: str | None = None
    """That participant's label."""


@attrs.frozen(kw_only=True, repr=False)
class AnnouncementEnded(AnnouncementEvent):
    """The announcement was played to its end."""

    kind: ClassVar[str] = "announcement-end"


@attrs.frozen(kw_only=True, repr=False)
class AnnouncementFailed(AnnouncementEvent):
    """The announcement could not be played."""

    kind: ClassVar[str] = "announcement-fail"

    reason: str | None = None
    """Why, in the service's own words."""
