"""The callbacks of a conference as frozen values: one type per event.

Fields that a callback left out, or wrote in a way that cannot be read, are None. Parameters that
have no field, and the parameters of the callback URL's own query, are in `Event.extra`.

https://www.twilio.com/docs/voice/twiml/conference#attributes-statusCallback
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

import attrs

from conference_async.privacy import described, names_only
from conference_async.webhooks.states import CallStatus, EndReason, LeaveReason


@attrs.frozen(kw_only=True, repr=False)
class Event:
    """Anything that a callback reports. Its `repr` shows no phone number."""

    kind: ClassVar[str] = ""
    """The service's word for the event."""

    always_numbered: ClassVar[bool] = False
    """Whether the service sends a timestamp and a sequence number with every event of the kind."""

    account_sid: str | None = None
    """The account that the call or conference belongs to, ``AC…``."""

    sequence_number: int | None = None
    """The event's place among those of its conference (or call): events may arrive out of order.
    A call's start at 0."""

    timestamp: datetime | None = None
    """The instant at which it happened, in UTC, to the second."""

    id: str | None = None
    """The event's place in the log that processes share, the same in each of them; None where
    there is no such log. Be idempotent by it."""

    extra: Mapping[str, str] = attrs.field(factory=dict[str, str], hash=False, repr=names_only)
    """Parameters without a field here, by the service's names; what could not be read; and the
    callback URL's own query."""

    @property
    def subject(self) -> str | None:
        """The conference SID, else the Call SID, whose sequence the event belongs to."""
        return None

    def to_json(self) -> str:
        """Return the wire form, which `read_event` reads: a JSON object.

        ``version`` is 1, ``event`` the name of the class, and each field that is not None stands
        under its name: words and numbers as they are, instants in ISO 8601. Later versions of
        this library may add events and fields; `read_event` keeps what it does not know.
        """
        fields: dict[str, object] = {"version": 1, "event": type(self).__name__}
        for field in attrs.fields(type(self)):
            content = getattr(self, field.name)
            if content is not None and field.name not in _NO_FIELDS:
                fields[field.name] = content
        if self.extra:
            fields["extra"] = dict(self.extra)
        return _ENCODER.encode(fields)

    def __repr__(self) -> str:
        return described(self)


_NO_FIELDS: Final = {"id", "extra"}
_ENCODER: Final = json.JSONEncoder(default=datetime.isoformat)


@attrs.frozen(kw_only=True, repr=False)
class UnknownEvent(Event):
    """A callback of a kind newer than this library, or without the SID that its kind needs.

    All that it carried, but for the fields of `Event`, is in `Event.extra`.
    """


@attrs.frozen(kw_only=True, repr=False)
class ConferenceEvent(Event):
    """Something that happened in a conference."""

    always_numbered: ClassVar[bool] = True

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
    """The reason for its end."""

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
    always_numbered: ClassVar[bool] = False

    recording_url: str | None = None
    """The URL of the recording."""

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
    """The state of the call: ``completed``, ``no-answer``, ``busy``, ``failed``, ``canceled``, or
    ``in-progress`` where it went on elsewhere."""

    reason: LeaveReason | str | None = None
    """The reason for leaving."""


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
    """The reason, in the service's own words."""
