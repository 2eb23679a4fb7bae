"""The values that travel between a caller and the service; they know nothing of how they travel.

Every one is frozen, made by keyword, checked when it is made, and can be pickled and copied.
"""

from conference_async.models.change import ParticipantChange
from conference_async.models.conference import Conference, ConferenceChange
from conference_async.models.endpoints import EndpointKind, check_target, is_e164, is_phone, kind_of
from conference_async.models.extras import Extras
from conference_async.models.filters import ConferenceFilters, ParticipantFilters
from conference_async.models.labels import (
    check_conference,
    check_intent,
    check_label,
    check_participant,
    is_call_sid,
    is_conference_sid,
    is_minted,
    mint_label,
)
from conference_async.models.logged_call import LoggedCall
from conference_async.models.new_participant import NewParticipant
from conference_async.models.page import Page
from conference_async.models.participant import Participant, PlacedParticipant
from conference_async.models.vocabulary import (
    Beep,
    CallEventName,
    ConferenceEventName,
    ConferenceRecord,
    ConferenceRecordingEventName,
    ConferenceStatus,
    EmergencyCountry,
    Evidence,
    HttpMethod,
    JitterBufferSize,
    MachineDetection,
    ParticipantStatus,
    RecordingChannels,
    RecordingEventName,
    RecordingTrack,
    Region,
    Trim,
)

__all__ = [
    "Beep",
    "CallEventName",
    "Conference",
    "ConferenceChange",
    "ConferenceEventName",
    "ConferenceFilters",
    "ConferenceRecord",
    "ConferenceRecordingEventName",
    "ConferenceStatus",
    "EmergencyCountry",
    "EndpointKind",
    "Evidence",
    "Extras",
    "HttpMethod",
    "JitterBufferSize",
    "LoggedCall",
    "MachineDetection",
    "NewParticipant",
    "Page",
    "Participant",
    "ParticipantChange",
    "ParticipantFilters",
    "ParticipantStatus",
    "PlacedParticipant",
    "RecordingChannels",
    "RecordingEventName",
    "RecordingTrack",
    "Region",
    "Trim",
    "check_conference",
    "check_intent",
    "check_label",
    "check_participant",
    "check_target",
    "is_call_sid",
    "is_conference_sid",
    "is_e164",
    "is_minted",
    "is_phone",
    "kind_of",
    "mint_label",
]
