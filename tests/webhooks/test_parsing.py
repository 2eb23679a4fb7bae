"""Every callback of the service becomes its typed event, and nothing it says can break that."""

import copy
import json
import pickle
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference_async.webhooks import call_events as calls
from conference_async.webhooks import events, parsing
from conference_async.webhooks.parsing import parse_event, read_event
from conference_async.webhooks.states import (
    AnsweredBy,
    CallStatus,
    EndReason,
    LeaveReason,
    RecordingStatus,
)

CALL = "CA" + "1" * 32
ROOM = "CF" + "2" * 32
ACCOUNT = "AC" + "3" * 32
STAMP = "Fri, 02 Oct 2026 10:11:12 +0000"
MOMENT = datetime(2026, 10, 2, 10, 11, 12, tzinfo=UTC)

IN_A_ROOM = {
    "AccountSid": ACCOUNT,
    "ConferenceSid": ROOM,
    "FriendlyName": "standup",
    "SequenceNumber": "7",
    "Timestamp": STAMP,
}
ROOM_FIELDS: dict[str, Any] = {
    "account_sid": ACCOUNT,
    "conference_sid": ROOM,
    "friendly_name": "standup",
    "sequence_number": 7,
    "timestamp": MOMENT,
}
PERSON = {
    "CallSid": CALL,
    "ParticipantLabel": "alice",
    "Muted": "true",
    "Hold": "false",
    "Coaching": "false",
    "EndConferenceOnExit": "true",
    "StartConferenceOnEnter": "true",
}
PERSON_FIELDS: dict[str, Any] = {
    "call_sid": CALL,
    "label": "alice",
    "muted": True,
    "hold": False,
    "coaching": False,
    "end_conference_on_exit": True,
    "start_conference_on_enter": True,
}
ON_A_CALL = {
    "AccountSid": ACCOUNT,
    "CallSid": CALL,
    "From": "+15017122661",
    "To": "+15558675310",
    "Direction": "outbound-api",
    "SequenceNumber": "0",
    "Timestamp": STAMP,
}
CALL_FIELDS: dict[str, Any] = {
    "account_sid": ACCOUNT,
    "call_sid": CALL,
    "from_": "+15017122661",
    "to": "+15558675310",
    "direction": "outbound-api",
    "sequence_number": 0,
    "timestamp": MOMENT,
}
RECORDED = {
    "AccountSid": ACCOUNT,
    "RecordingSid": "RE" + "4" * 32,
    "RecordingStatus": "completed",
    "RecordingUrl": "https://example.com/recording",
    "RecordingDuration": "61",
    "RecordingChannels": "1",
    "RecordingStartTime": STAMP,
    "RecordingSource": "Conference",
}
RECORDED_FIELDS: dict[str, Any] = {
    "account_sid": ACCOUNT,
    "recording_sid": "RE" + "4" * 32,
    "status": RecordingStatus.COMPLETED,
    "url": "https://example.com/recording",
    "duration": 61,
    "channels": 1,
    "start_time": MOMENT,
    "source": "Conference",
}


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("participant-join", events.ParticipantJoined),
        ("participant-leave", events.ParticipantLeft),
        ("participant-mute", events.ParticipantMuted),
        ("participant-unmute", events.ParticipantUnmuted),
        ("participant-hold", events.ParticipantHeld),
        ("participant-unhold", events.ParticipantUnheld),
        ("participant-modify", events.ParticipantModified),
        ("participant-speech-start", events.SpeechStarted),
        ("participant-speech-stop", events.SpeechStopped),
    ],
)
def test_participant_events(word: str, kind: type[events.ParticipantEvent]) -> None:
    """Each participant event has its type, with the participant's state in it."""
    event = parse_event({**IN_A_ROOM, **PERSON, "StatusCallbackEvent": word})

    assert event == kind(**ROOM_FIELDS, **PERSON_FIELDS, extra={"StatusCallbackEvent": word})
    assert event.kind == word
    assert event.subject == ROOM


def told(params: dict[str, str], **own: str) -> events.Event:
    """Return the event of some parameters, without what no field is for."""
    return attrs.evolve(parse_event({**params, **own}), extra={})


def test_leaving() -> None:
    """Leaving says how the call stood and why."""
    event = told(
        {**IN_A_ROOM, **PERSON},
        StatusCallbackEvent="participant-leave",
        ParticipantCallStatus="no-answer",
        ReasonParticipantLeft="participant_add_failed",
    )

    assert event == events.ParticipantLeft(
        **ROOM_FIELDS,
        **PERSON_FIELDS,
        call_status=CallStatus.NO_ANSWER,
        reason=LeaveReason.PARTICIPANT_ADD_FAILED,
    )


def test_conference_events() -> None:
    """A conference's start, end and deprecated recording have their types and reasons."""
    assert told(IN_A_ROOM, StatusCallbackEvent="conference-start") == events.ConferenceStarted(
        **ROOM_FIELDS
    )
    assert told(
        IN_A_ROOM,
        StatusCallbackEvent="conference-end",
        ReasonConferenceEnded="last-participant-left",
        Reason="The last participant left",
        CallSidEndingConference=CALL,
        ParticipantLabelEndingConference="alice",
    ) == events.ConferenceEnded(
        **ROOM_FIELDS,
        reason=EndReason.LAST_PARTICIPANT_LEFT,
        reason_text="The last participant left",
        ended_by_call_sid=CALL,
        ended_by_label="alice",
    )
    assert told(
        IN_A_ROOM,
        EventName="conference-record-end",
        RecordingUrl="https://example.com/r",
        Duration="9",
        RecordingFileSize="1000",
    ) == events.ConferenceRecordEnded(
        **ROOM_FIELDS, recording_url="https://example.com/r", duration=9, file_size=1000
    )


def test_announcements() -> None:
    """An announcement may be for the room or for one in it, and may fail."""
    params = {**IN_A_ROOM, "AnnounceUrl": "https://example.com/a"}

    assert told(params, StatusCallbackEvent="announcement-end") == events.AnnouncementEnded(
        **ROOM_FIELDS, announce_url="https://example.com/a"
    )
    assert told(
        params,
        StatusCallbackEvent="announcement-fail",
        CallSid=CALL,
        ParticipantLabel="alice",
        ReasonAnnouncementFailed="No",
    ) == events.AnnouncementFailed(
        **ROOM_FIELDS,
        announce_url="https://example.com/a",
        call_sid=CALL,
        label="alice",
        reason="No",
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (CallStatus.QUEUED, calls.CallInitiated),
        (CallStatus.INITIATED, calls.CallInitiated),
        (CallStatus.RINGING, calls.CallRinging),
        (CallStatus.IN_PROGRESS, calls.CallAnswered),
        (CallStatus.COMPLETED, calls.CallEnded),
        (CallStatus.BUSY, calls.CallEnded),
        (CallStatus.FAILED, calls.CallEnded),
        (CallStatus.NO_ANSWER, calls.CallEnded),
        (CallStatus.CANCELED, calls.CallEnded),
    ],
)
def test_call_progress(status: CallStatus, kind: type[calls.CallEvent]) -> None:
    """Each state of a call has its event, every way of ending the same one."""
    event = told(ON_A_CALL, CallStatus=status.value, StirStatus="A", AnsweredBy="human")

    assert event == kind(
        **CALL_FIELDS, status=status, stir_status="A", answered_by=AnsweredBy.HUMAN
    )
    assert event.subject == CALL


def test_the_end_of_a_call() -> None:
    """The end of a call tells its length, the carrier's answer and the recording."""
    event = told(
        ON_A_CALL,
        CallStatus="completed",
        CallDuration="61",
        Duration="2",
        SipResponseCode="200",
        RecordingSid="RE1",
        RecordingUrl="https://example.com/r",
        RecordingDuration="60",
    )

    assert event == calls.CallEnded(
        **CALL_FIELDS,
        status=CallStatus.COMPLETED,
        call_duration=61,
        duration=2,
        sip_response_code=200,
        recording_sid="RE1",
        recording_url="https://example.com/r",
        recording_duration=60,
    )


def test_machine_detection() -> None:
    """The result of machine detection comes without a call status."""
    event = parse_event(
        {
            "CallSid": CALL,
            "AccountSid": ACCOUNT,
            "AnsweredBy": "machine_end_beep",
            "MachineDetectionDuration": "4200",
        }
    )

    assert event == calls.MachineDetected(
        account_sid=ACCOUNT,
        call_sid=CALL,
        answered_by=AnsweredBy.MACHINE_END_BEEP,
        detection_duration=4200,
    )
    assert event.subject == CALL


def test_recordings() -> None:
    """The recording of a call and that of a conference are told apart by their SID."""
    one = parse_event({**RECORDED, "CallSid": CALL, "RecordingTrack": "both"})
    all_ = parse_event({**RECORDED, "ConferenceSid": ROOM})

    assert one == calls.CallRecording(**RECORDED_FIELDS, call_sid=CALL, track="both")
    assert all_ == calls.ConferenceRecording(**RECORDED_FIELDS, conference_sid=ROOM)
    assert (one.subject, all_.subject) == (CALL, ROOM)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"StatusCallbackEvent": "participant-waved", **IN_A_ROOM},
        {"StatusCallbackEvent": "participant-join", **IN_A_ROOM},
        {"StatusCallbackEvent": "conference-end"},
        {"CallStatus": "levitating", "CallSid": CALL},
        {"CallStatus": "ringing", "CallSid": ""},
        {"RecordingStatus": "completed", "CallSid": CALL},
        {"AnsweredBy": "human"},
    ],
)
def test_unknown_events(params: dict[str, str]) -> None:
    """An unknown kind, or one without its SID, is a generic event that keeps everything."""
    event = parse_event(params)

    assert isinstance(event, events.UnknownEvent)
    assert event.subject is None
    known = {"AccountSid", "SequenceNumber", "Timestamp"}
    assert event.extra == {name: params[name] for name in params if name not in known}


def test_unknown_words_and_parameters() -> None:
    """A new word is kept as it came, and a new parameter, or an own one, is in `extra`."""
    event = parse_event(
        [
            ("campaign", "spring"),
            *{**IN_A_ROOM, **PERSON}.items(),
            ("StatusCallbackEvent", "participant-leave"),
            ("ReasonParticipantLeft", "abducted"),
            ("Novelty", ""),
        ]
    )

    assert isinstance(event, events.ParticipantLeft)
    assert event.reason == "abducted"
    assert event.extra == {
        "campaign": "spring",
        "StatusCallbackEvent": "participant-leave",
        "Novelty": "",
    }


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("SequenceNumber", "sequence_number", "-1"),
        ("SequenceNumber", "sequence_number", "1_000"),
        ("SequenceNumber", "sequence_number", "٣"),
        ("SequenceNumber", "sequence_number", "9" * 5000),
        ("Timestamp", "timestamp", "yesterday"),
        ("Timestamp", "timestamp", "Fri, 99 Oct 2026 10:11:12 +0000"),
        ("Timestamp", "timestamp", "Fri, 31 Dec 9999 23:59:59 -2300"),
        ("Muted", "muted", "perhaps"),
    ],
)
def test_unreadable_values(name: str, field: str, value: str) -> None:
    """An unreadable value is None in its field, and kept in `extra` as it came."""
    event = parse_event(
        {**IN_A_ROOM, **PERSON, "StatusCallbackEvent": "participant-join"} | {name: value}
    )

    assert isinstance(event, events.ParticipantJoined)
    assert getattr(event, field) is None
    assert event.extra[name] == value


@pytest.mark.parametrize(
    "stamp",
    [
        "Fri, 02 Oct 2026 10:11:12 +0000",
        "Fri, 02 Oct 2026 10:11:12 GMT",
        "Fri, 02 Oct 2026 10:11:12 -0000",
        "Fri, 02 Oct 2026 12:11:12 +0200",
    ],
)
def test_times_are_utc(stamp: str) -> None:
    """Every spelling of an instant is the same aware time in UTC."""
    event = parse_event({**IN_A_ROOM, "Timestamp": stamp})

    assert event.timestamp == MOMENT
    assert event.timestamp.tzinfo is UTC


@pytest.mark.skipif(sys.platform == "win32", reason="there is no tzset on Windows")
def test_times_without_a_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown zone is read as UTC, wherever the machine stands."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "XXX+5")
        time.tzset()
        event = parse_event({"Timestamp": "Fri, 02 Oct 2026 10:11:13 -0000"})
    time.tzset()

    assert event.timestamp == MOMENT + timedelta(seconds=1)


def test_blank_values() -> None:
    """A parameter without a value is as good as absent."""
    event = parse_event(
        {**IN_A_ROOM, "StatusCallbackEvent": "conference-start", "FriendlyName": ""}
    )

    assert event == events.ConferenceStarted(
        **ROOM_FIELDS | {"friendly_name": None}, extra={"StatusCallbackEvent": "conference-start"}
    )


names = st.sampled_from(
    sorted({name for fields in parsing._FIELDS.values() for name in fields})
) | st.text(max_size=8)
values = st.sampled_from(
    ["true", CALL, ROOM, "participant-join", "ringing", STAMP, "7", "human"]
) | st.text(max_size=12)


@given(
    params=st.dictionaries(names, values),
    kind=st.sampled_from(sorted(parsing._CONFERENCE_KINDS)) | st.none(),
)
def test_never_raises(params: dict[str, str], kind: str | None) -> None:
    """Every form makes an event that can be shown, and loses nothing."""
    event = parse_event(params | ({"StatusCallbackEvent": kind} if kind else {}))

    assert repr(event)
    assert pickle.loads(pickle.dumps(event)) == event
    assert hash(copy.copy(event)) == hash(event)
    read = parsing._FIELDS[type(event)]
    for name, value in params.items():
        assert value == "" or name in event.extra or name in read


@pytest.mark.parametrize("kind", parsing._FIELDS)
def test_every_field_is_read(kind: type[events.Event]) -> None:
    """No field of an event is left without a parameter, and no parameter without a field."""
    fields = {field.name for field in attrs.fields(kind)} - {"extra", "id"}

    assert {field for field, _ in parsing._FIELDS[kind].values()} == fields


def test_every_kind_is_parsed() -> None:
    """Every event type that there is can come out of the parser."""
    concrete = {
        kind
        for module in (events, calls)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, events.Event) and "kind" in vars(kind)
    } - {events.Event}

    assert set(parsing._FIELDS) - {events.UnknownEvent} == concrete


def test_masked() -> None:
    """An event shows neither numbers nor the values of what it has no field for."""
    event = parse_event({**ON_A_CALL, "CallStatus": "ringing", "CallerCity": "SPRINGFIELD"})

    shown = repr(event)

    assert shown.startswith("CallRinging(")
    assert "***5310" in shown
    assert "CallerCity" in shown
    assert CALL in shown
    for private in ("15558675310", "15017122661", "SPRINGFIELD"):
        assert private not in shown


@given(
    params=st.dictionaries(names, values),
    kind=st.sampled_from(sorted(parsing._CONFERENCE_KINDS)) | st.none(),
)
def test_the_wire_form_loses_nothing(params: dict[str, str], kind: str | None) -> None:
    """An event is the same after it was written and read."""
    event = parse_event(params | ({"StatusCallbackEvent": kind} if kind else {}))

    assert read_event(event.to_json()) == event


def test_the_wire_form_is_as_documented() -> None:
    """A JSON object with a version, the event's name, and the fields that are known."""
    event = parse_event(
        {**IN_A_ROOM, **PERSON, "StatusCallbackEvent": "participant-join", "New": "thing"}
    )

    assert json.loads(event.to_json()) == {
        "version": 1,
        "event": "ParticipantJoined",
        **ROOM_FIELDS,
        **PERSON_FIELDS,
        "timestamp": "2026-10-02T10:11:12+00:00",
        "extra": {"StatusCallbackEvent": "participant-join", "New": "thing"},
    }


def test_older_processes_keep_what_newer_ones_say() -> None:
    """A field, an event or a version that is not known here goes to `extra`, whole."""
    newer = {"version": 1, "event": "CallRinging", "call_sid": CALL, "status": "ringing", "mood": 7}
    other = {"version": 1, "event": "CallParked", "call_sid": CALL}
    later = {"version": 2, "event": "CallRinging", "call_sid": CALL}

    assert read_event(json.dumps(newer)) == calls.CallRinging(
        call_sid=CALL, status=CallStatus.RINGING, extra={"mood": "7"}
    )
    assert read_event(json.dumps(other)) == events.UnknownEvent(
        extra={"event": "CallParked", "call_sid": CALL}
    )
    assert read_event(json.dumps(later)) == events.UnknownEvent(
        extra={"event": "CallRinging", "call_sid": CALL}
    )


@pytest.mark.parametrize(
    ("written", "extra"),
    [
        ({"extra": 7}, {"extra": "7"}),
        ({"extra": ["a"]}, {"extra": '["a"]'}),
        ({"timestamp": "yesterday"}, {"timestamp": "yesterday"}),
        ({"muted": "perhaps"}, {"muted": "perhaps"}),
        ({"sequence_number": "7"}, {}),
    ],
)
def test_a_strange_field_is_no_reason_to_lose_the_event(
    written: dict[str, Any], extra: dict[str, str]
) -> None:
    """What another program wrote into the log stops nobody who reads it."""
    known = {"version": 1, "event": "ParticipantJoined", "conference_sid": ROOM, "call_sid": CALL}

    assert read_event(json.dumps(known | written)).extra == extra


def test_an_event_without_a_name_is_unknown() -> None:
    """Whatever stands in the place of the name."""
    assert read_event('{"version": 1, "event": ["a"]}') == events.UnknownEvent(
        extra={"event": "['a']"}
    )


@pytest.mark.parametrize("text", ["", "[]", "7", '{"version": 1, "event": "CallRinging"}', "{"])
def test_what_is_no_wire_form_is_refused(text: str) -> None:
    """With the one error of unreadable text."""
    with pytest.raises(ValueError, match="wire form of an event"):
        read_event(text)


def test_repr_of_a_call_shows_nobody() -> None:
    """A short number, and a name without its scheme, are people's as well."""
    event = parse_event({"CallSid": "CA1", "CallStatus": "ringing", "From": "alice", "To": "911"})

    assert "from_='***', to='***'" in repr(event)
