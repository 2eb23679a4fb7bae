"""The callbacks of calls and recordings as frozen values: one type per event.

https://www.twilio.com/docs/voice/api/call-resource#statuscallback
"""

from datetime import datetime
from typing import ClassVar

import attrs

from conference_async.privacy import endpoint
from conference_async.webhooks.events import Event
from conference_async.webhooks.states import AnsweredBy, CallStatus, RecordingStatus


@attrs.frozen(kw_only=True, repr=False)
class CallEvent(Event):
    """A step of a call. It names no conference: the Call SID leads to the participant."""

    always_numbered: ClassVar[bool] = True

    call_sid: str
    """The call, ``CA…``."""

    status: CallStatus | str
    """The state of the call now."""

    from_: str | None = attrs.field(default=None, repr=endpoint)
    """The caller: a phone number, client or SIP address."""

    to: str | None = attrs.field(default=None, repr=endpoint)
    """The one that was called."""

    direction: str | None = None
    """``outbound-api`` for participants that were created."""

    answered_by: AnsweredBy | str | None = None
    """The one that picked up, where machine detection is on and knows."""

    stir_status: str | None = None
    """The attestation of the caller's number: ``A``, ``B`` or ``C``."""

    @property
    def subject(self) -> str:
        """The Call SID."""
        return self.call_sid


@attrs.frozen(kw_only=True, repr=False)
class CallInitiated(CallEvent):
    """The call left the queue and is being placed."""

    kind: ClassVar[str] = "initiated"


@attrs.frozen(kw_only=True, repr=False)
class CallRinging(CallEvent):
    """The phone rings."""

    kind: ClassVar[str] = "ringing"


@attrs.frozen(kw_only=True, repr=False)
class CallAnswered(CallEvent):
    """Somebody, or something, picked up: the status is ``in-progress``."""

    kind: ClassVar[str] = "answered"


@attrs.frozen(kw_only=True, repr=False)
class CallEnded(CallEvent):
    """The call is over, in any way: `status` says completed, busy, failed, no-answer, canceled."""

    kind: ClassVar[str] = "completed"

    call_duration: int | None = None
    """The length of the call in seconds."""

    duration: int | None = None
    """The length that is billed, in minutes."""

    sip_response_code: int | None = None
    """The carrier's answer: 404 unreachable, 487 timed out."""

    recording_sid: str | None = None
    """The recording, ``RE…``, if the call was recorded."""

    recording_url: str | None = None
    """The URL of the recording; the file may not be there yet."""

    recording_duration: int | None = None
    """The recording's length in seconds."""


@attrs.frozen(kw_only=True, repr=False)
class MachineDetected(Event):
    """Machine detection came to a result, whatever it is.

    https://www.twilio.com/docs/voice/answering-machine-detection
    """

    kind: ClassVar[str] = "machine-detection"

    call_sid: str
    """The call, ``CA…``."""

    answered_by: AnsweredBy | str
    """The one that picked up."""

    detection_duration: int | None = None
    """The time until the result, in milliseconds."""

    @property
    def subject(self) -> str:
        """The Call SID."""
        return self.call_sid


@attrs.frozen(kw_only=True, repr=False)
class RecordingEvent(Event):
    """A recording changed its state.

    https://www.twilio.com/docs/voice/api/recording
    """

    recording_sid: str
    """The recording, ``RE…``."""

    status: RecordingStatus | str
    """Its state now."""

    url: str | None = None
    """The URL of the recording, once it is completed."""

    duration: int | None = None
    """Its length in seconds."""

    channels: int | None = None
    """1, or 2 with each side of a call apart."""

    start_time: datetime | None = None
    """The instant of its start, in UTC, to the second."""

    source: str | None = None
    """The source: ``Conference``, or ``OutboundAPI`` for a recorded call."""


@attrs.frozen(kw_only=True, repr=False)
class CallRecording(RecordingEvent):
    """The recording of one participant's call."""

    kind: ClassVar[str] = "call-recording"

    call_sid: str
    """The call, ``CA…``."""

    track: str | None = None
    """The recorded side: ``inbound``, ``outbound`` or ``both``."""

    @property
    def subject(self) -> str:
        """The Call SID."""
        return self.call_sid


@attrs.frozen(kw_only=True, repr=False)
class ConferenceRecording(RecordingEvent):
    """The recording of a conference."""

    kind: ClassVar[str] = "conference-recording"

    conference_sid: str
    """The conference, ``CF…``."""

    @property
    def subject(self) -> str:
        """The conference SID."""
        return self.conference_sid
