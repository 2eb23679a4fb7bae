"""The words that the service understands, each list written down once.

The validators read these lists with `typing.get_args`, so that the type checkers and the checks
at run time cannot disagree. They are those of the page's request parameters and properties
(conference-participant-resource#create-a-participant).
"""

from enum import StrEnum
from typing import Final, Literal, TypeAlias

UNKNOWN: Final = "unknown"
"""The status of what the service sent without a readable one."""

Beep: TypeAlias = Literal["true", "false", "onEnter", "onExit"]
"""When a beep is played to the conference; a bool may be given too."""

CallEventName: TypeAlias = Literal["initiated", "ringing", "answered", "completed"]
"""A moment of the participant's call that can be reported."""

ConferenceEventName: TypeAlias = Literal[
    "start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"
]
"""A kind of conference event that can be reported."""

ConferenceRecord: TypeAlias = Literal["true", "false", "record-from-start", "do-not-record"]
"""Whether the conference is recorded; a bool may be given too."""

ConferenceRecordingEventName: TypeAlias = Literal["in-progress", "completed", "failed", "absent"]
"""A state of the conference's recording that can be reported."""

EmergencyCountry: TypeAlias = Literal["US", "CA"]
"""A country whose emergency numbers take a caller's location."""

Evidence: TypeAlias = Literal["reply", "label", "call-log"]
"""What shows that a participant was placed: the service's reply to a request about it; its label,
found among the living; or the account's call log, which keeps calls that are over."""

HttpMethod: TypeAlias = Literal["GET", "POST"]
"""How the service calls a URL."""

JitterBufferSize: TypeAlias = Literal["off", "small", "medium", "large"]
"""How much of the participant's audio is buffered before it is mixed."""

MachineDetection: TypeAlias = Literal["Enable", "DetectMessageEnd"]
"""Report a machine at once, or once its greeting is over."""

RecordingChannels: TypeAlias = Literal["mono", "dual"]
"""The channels of the final recording."""

RecordingEventName: TypeAlias = Literal[
    "started", "in-progress", "paused", "resumed", "stopped", "completed", "failed", "absent"
]
"""A state of the participant's recording that can be reported."""

RecordingTrack: TypeAlias = Literal["inbound", "outbound", "both"]
"""Which audio is recorded: received by the service, sent by it, or both."""

Region: TypeAlias = Literal["us1", "us2", "ie1", "de1", "sg1", "br1", "au1", "jp1"]
"""The regions in which the service mixes a conference's audio."""

Trim: TypeAlias = Literal["trim-silence", "do-not-trim"]
"""Whether silence is cut off at both ends of a recording."""


class ParticipantStatus(StrEnum):
    """The state of a participant's call.

    The words differ from those of the call status callback: a finished call is ``complete`` here.
    """

    QUEUED = "queued"
    CONNECTING = "connecting"
    RINGING = "ringing"
    CONNECTED = "connected"
    COMPLETE = "complete"
    FAILED = "failed"


class ConferenceStatus(StrEnum):
    """The state of a conference."""

    INIT = "init"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
