"""States and reasons, in the words that callbacks use.

The service adds words without notice: where one of these is expected and an unknown word comes,
the plain string is kept.
"""

from enum import StrEnum


class CallStatus(StrEnum):
    """The state of a call.

    These differ from a participant's status, which says ``connected`` and ``complete``.
    https://www.twilio.com/docs/voice/api/call-resource#call-status-values
    """

    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    FAILED = "failed"
    NO_ANSWER = "no-answer"
    CANCELED = "canceled"


class AnsweredBy(StrEnum):
    """The one that picked up, by answering machine detection.

    ``machine_start`` comes from the mode ``Enable``, the three ``machine_end_…`` from
    ``DetectMessageEnd``. https://www.twilio.com/docs/voice/answering-machine-detection
    """

    HUMAN = "human"
    FAX = "fax"
    UNKNOWN = "unknown"
    MACHINE_START = "machine_start"
    MACHINE_END_BEEP = "machine_end_beep"
    MACHINE_END_SILENCE = "machine_end_silence"
    MACHINE_END_OTHER = "machine_end_other"


class LeaveReason(StrEnum):
    """The reason for which a participant left.

    https://www.twilio.com/docs/voice/twiml/conference
    """

    CONFERENCE_ENDED_VIA_API = "conference_ended_via_api"
    MODERATOR_ENDED_CONFERENCE = "moderator_ended_conference"
    PARTICIPANT_UPDATED_VIA_API = "participant_updated_via_api"
    PARTICIPANT_HUNG_UP = "participant_hung_up"
    PARTICIPANT_ADD_FAILED = "participant_add_failed"


class EndReason(StrEnum):
    """The reason for which a conference ended.

    https://www.twilio.com/docs/voice/twiml/conference
    """

    CONFERENCE_ENDED_VIA_API = "conference-ended-via-api"
    LAST_PARTICIPANT_KICKED = "last-participant-kicked"
    LAST_PARTICIPANT_LEFT = "last-participant-left"
    MODERATOR_KICKED = "participant-with-end-conference-on-exit-kicked"
    MODERATOR_LEFT = "participant-with-end-conference-on-exit-left"


class RecordingStatus(StrEnum):
    """The state of a recording.

    https://www.twilio.com/docs/voice/api/recording
    """

    STARTED = "started"
    IN_PROGRESS = "in-progress"
    PAUSED = "paused"
    RESUMED = "resumed"
    STOPPED = "stopped"
    COMPLETED = "completed"
    FAILED = "failed"
    ABSENT = "absent"
