"""The names of the service's page, typed in a second time."""

import copy
import pickle
from typing import Any, get_args

import attrs
import pytest

from conference_async import models
from conference_async.models import (
    Conference,
    ConferenceChange,
    NewParticipant,
    Participant,
    ParticipantChange,
    ParticipantStatus,
)
from conference_async.wire import wire_name

CREATE = [
    "From",
    "To",
    "StatusCallback",
    "StatusCallbackMethod",
    "StatusCallbackEvent",
    "Label",
    "Timeout",
    "Record",
    "Muted",
    "Beep",
    "StartConferenceOnEnter",
    "EndConferenceOnExit",
    "WaitUrl",
    "WaitMethod",
    "EarlyMedia",
    "MaxParticipants",
    "ConferenceRecord",
    "ConferenceTrim",
    "ConferenceStatusCallback",
    "ConferenceStatusCallbackMethod",
    "ConferenceStatusCallbackEvent",
    "RecordingChannels",
    "RecordingStatusCallback",
    "RecordingStatusCallbackMethod",
    "SipAuthUsername",
    "SipAuthPassword",
    "Region",
    "ConferenceRecordingStatusCallback",
    "ConferenceRecordingStatusCallbackMethod",
    "RecordingStatusCallbackEvent",
    "ConferenceRecordingStatusCallbackEvent",
    "Coaching",
    "CallSidToCoach",
    "JitterBufferSize",
    "Byoc",
    "CallerId",
    "CallReason",
    "RecordingTrack",
    "TimeLimit",
    "MachineDetection",
    "MachineDetectionTimeout",
    "MachineDetectionSpeechThreshold",
    "MachineDetectionSpeechEndThreshold",
    "MachineDetectionSilenceTimeout",
    "AmdStatusCallback",
    "AmdStatusCallbackMethod",
    "Trim",
    "CallToken",
    "ClientNotificationUrl",
    "CallerDisplayName",
]
NEWER_THAN_THE_PAGE = [
    "RecordingConfigurationId",
    "Passports",
    "EmergencyCallerPosition",
    "EmergencyCallerLocation",
    "EmergencyName",
    "EmergencyAddress",
    "EmergencyZipCode",
    "EmergencyCity",
    "EmergencyState",
    "EmergencyCountry",
]
UPDATE = [
    "Muted",
    "Hold",
    "HoldUrl",
    "HoldMethod",
    "AnnounceUrl",
    "AnnounceMethod",
    "WaitUrl",
    "WaitMethod",
    "BeepOnExit",
    "EndConferenceOnExit",
    "Coaching",
    "CallSidToCoach",
]
PROPERTIES = [
    "account_sid",
    "call_sid",
    "label",
    "call_sid_to_coach",
    "coaching",
    "conference_sid",
    "date_created",
    "date_updated",
    "end_conference_on_exit",
    "muted",
    "hold",
    "start_conference_on_enter",
    "status",
    "queue_time",
    "uri",
]
CONFERENCE = [
    "sid",
    "account_sid",
    "api_version",
    "friendly_name",
    "region",
    "status",
    "date_created",
    "date_updated",
    "uri",
    "subresource_uris",
    "reason_conference_ended",
    "call_sid_ending_conference",
]


def names(cls: type[attrs.AttrsInstance]) -> list[str]:
    """Return the names of a value's fields."""
    return [field.name for field in attrs.fields(cls)]


def test_the_page_has_fifty_twelve_and_fifteen_names() -> None:
    """The tables above are whole."""
    assert (len(CREATE), len(UPDATE), len(PROPERTIES)) == (50, 12, 15)


@pytest.mark.parametrize(
    ("cls", "parameters"),
    [
        (NewParticipant, [*CREATE, *NEWER_THAN_THE_PAGE]),
        (ParticipantChange, UPDATE),
        (ConferenceChange, ["Status", "AnnounceUrl", "AnnounceMethod"]),
    ],
)
def test_request_has_every_parameter_in_the_order_of_the_page(
    cls: type[attrs.AttrsInstance], parameters: list[str]
) -> None:
    """Each field stands for one parameter, and none is missing."""
    assert [*map(wire_name, names(cls))] == [*parameters, "Extra"]


@pytest.mark.parametrize(
    ("cls", "properties"),
    [
        (Participant, [*PROPERTIES, "extra", "reconciled", "evidence", "repeated"]),
        (Conference, [*CONFERENCE, "extra"]),
    ],
)
def test_resource_has_every_property(cls: type[attrs.AttrsInstance], properties: list[str]) -> None:
    """Each property of the page is a field of the same name."""
    assert names(cls) == properties


def test_vocabulary_is_that_of_the_page() -> None:
    """The words of every list are the page's."""
    expected = {
        "Beep": "true false onEnter onExit",
        "CallEventName": "initiated ringing answered completed",
        "ConferenceEventName": "start end join leave mute hold modify speaker announcement",
        "ConferenceRecord": "true false record-from-start do-not-record",
        "ConferenceRecordingEventName": "in-progress completed failed absent",
        "EmergencyCountry": "US CA",
        "HttpMethod": "GET POST",
        "JitterBufferSize": "off small medium large",
        "MachineDetection": "Enable DetectMessageEnd",
        "RecordingChannels": "mono dual",
        "RecordingEventName": "started in-progress paused resumed stopped completed failed absent",
        "RecordingTrack": "inbound outbound both",
        "Region": "us1 us2 ie1 de1 sg1 br1 au1 jp1",
        "Trim": "trim-silence do-not-trim",
    }

    for name, words in expected.items():
        assert get_args(getattr(models, name)) == tuple(words.split())
    assert [*ParticipantStatus] == [
        "queued",
        "connecting",
        "ringing",
        "connected",
        "complete",
        "failed",
    ]
    assert [*models.ConferenceStatus] == ["init", "in-progress", "completed"]


def test_the_door_is_a_sorted_list() -> None:
    """Everything that is exported exists, and the list is sorted."""
    assert sorted(models.__all__) == models.__all__
    assert all(hasattr(models, name) for name in models.__all__)


@pytest.mark.parametrize(
    "value",
    [
        NewParticipant(
            from_="+15017122661",
            to="+15558675310",
            status_callback_event="ringing",
            status_callback="https://example.com",
            extra={"NewNames": ["a", "b"]},
        ),
        ParticipantChange(muted=True),
        ConferenceChange(status="completed"),
        Participant(status=ParticipantStatus.QUEUED, extra={"new": [1]}),
        Conference(status="init", subresource_uris={"participants": "/2010-04-01/x"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_pickle_copy_compare_and_hash(value: Any) -> None:
    """A value comes whole out of a pickle and a copy, and cannot be changed."""
    twins = [pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)]

    assert all(twin == value and hash(twin) == hash(value) for twin in twins)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.extra = {}
