"""The words that the service understands, each list written down once.

The validators read these lists with `typing.get_args`, so that the type checkers and the checks
at run time cannot disagree. They are those of the page's request parameters and properties
(conference-participant-resource#create-a-participant).
"""

from enum import StrEnum
from typing import Literal, TypeAlias

Beep: TypeAlias = Literal["true", "false", "onEnter", "onExit"]
"""When a beep is played to the conference; a bool may be given too."""

CallEvent: TypeAlias = Literal["initiated", "ringing", "answered", "completed"]
"""A moment of the participant's call that can be reported."""

ConferenceEvent: TypeAlias = Literal[
    "start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"
]
"""A kind of conference event that can be reported."""

ConferenceRecord: TypeAlias = Literal["true", "false", "record-from-start", "do-not-record"]
"""Whether the conference is recorded; a bool may be given too."""

ConferenceRecordingEvent: TypeAlias = Literal["in-progress", "completed", "failed", "absent"]
"""A state of the conference's recording that can be reported."""

HttpMethod: TypeAlias = Literal["GET", "POST"]
"""How the service calls a URL."""

JitterBufferSize: TypeAlias = Literal["off", "small", "medium", "large"]
"""How much of the participant's audio is buffered before it is mixed."""

MachineDetection: TypeAlias = Literal["Enable", "DetectMessageEnd"]
"""Report a machine at once, or once its greeting is over."""

RecordingChannels: TypeAlias = Literal["mono", "dual"]
"""The channels of the final recording."""

RecordingEvent: TypeAlias = Literal[
    "started", "in-progress", "paused", "resumed", "stopped", "completed", "failed", "absent"
]
"""A state of the participant's recording that can be reported."""

RecordingTrack: TypeAlias = Literal["inbound", "outbound", "both"]
"""Which audio is recorded: received by the service, sent by it, or both."""

Region: TypeAlias = Literal["us1", "us2", "ie1", "de1", "sg1", "br1", "au1", "jp1"]
"""Where the service mixes the conference's audio."""

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
