"""The values that travel between a caller and the service; they know nothing of how they travel.

Every one is frozen, made by keyword, checked when it is made, and can be pickled and copied.
"""

from conference_async.models.change import ParticipantChange
from conference_async.models.conference import Conference, ConferenceChange
from conference_async.models.endpoints import EndpointKind, is_phone, kind_of
from conference_async.models.extras import Extras
from conference_async.models.labels import (
    check_conference,
    check_label,
    check_participant,
    is_call_sid,
    is_conference_sid,
    mint_label,
)
from conference_async.models.new_participant import NewParticipant
from conference_async.models.participant import Participant
from conference_async.models.vocabulary import (
    Beep,
    CallEvent,
    ConferenceEvent,
    ConferenceRecord,
    ConferenceRecordingEvent,
    ConferenceStatus,
    HttpMethod,
    JitterBufferSize,
    MachineDetection,
    ParticipantStatus,
    RecordingChannels,
    RecordingEvent,
    RecordingTrack,
    Region,
    Trim,
)

__all__ = [
    "Beep",
    "CallEvent",
    "Conference",
    "ConferenceChange",
    "ConferenceEvent",
    "ConferenceRecord",
    "ConferenceRecordingEvent",
    "ConferenceStatus",
    "EndpointKind",
    "Extras",
    "HttpMethod",
    "JitterBufferSize",
    "MachineDetection",
    "NewParticipant",
    "Participant",
    "ParticipantChange",
    "ParticipantStatus",
    "RecordingChannels",
    "RecordingEvent",
    "RecordingTrack",
    "Region",
    "Trim",
    "check_conference",
    "check_label",
    "check_participant",
    "is_call_sid",
    "is_conference_sid",
    "is_phone",
    "kind_of",
    "mint_label",
]
