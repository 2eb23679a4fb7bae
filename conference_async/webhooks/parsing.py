"""From a callback's parameters to an event. Only this module knows the parameters' names."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

import attrs

from conference_async.webhooks import call_events as calls
from conference_async.webhooks import events
from conference_async.webhooks.events import Event, UnknownEvent
from conference_async.webhooks.states import (
    AnsweredBy,
    CallStatus,
    EndReason,
    LeaveReason,
    RecordingStatus,
)

_Reader: TypeAlias = Callable[[str], object]
_Fields: TypeAlias = dict[str, tuple[str, _Reader]]

_LONGEST_NUMBER = 18


def _text(value: str) -> str | None:
    return value or None


def _number(value: str) -> int | None:
    # int() alone also reads other scripts, underscores and numbers of any length.
    if value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER:
        return int(value)
    return None


_flag: _Reader = {"true": True, "false": False}.get


# Events come many to the second, and reading a date takes longer than the rest of an event.
@lru_cache(maxsize=1024)
def moment(value: str) -> datetime | None:
    """Return the instant that a date of the service names, in UTC; None if it is no date."""
    try:
        found = parsedate_to_datetime(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _written_moment(value: str) -> datetime | None:
    """Return the instant of the wire form; None if it is none."""
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _one_of(words: type[StrEnum]) -> _Reader:
    known: dict[str, StrEnum] = {word.value: word for word in words}
    return lambda value: known.get(value, value) or None


_EVENT: _Fields = {
    "AccountSid": ("account_sid", _text),
    "SequenceNumber": ("sequence_number", _number),
    "Timestamp": ("timestamp", moment),
}
_CONFERENCE: _Fields = _EVENT | {
    "ConferenceSid": ("conference_sid", _text),
    "FriendlyName": ("friendly_name", _text),
}
_PARTICIPANT: _Fields = _CONFERENCE | {
    "CallSid": ("call_sid", _text),
    "ParticipantLabel": ("label", _text),
    "Muted": ("muted", _flag),
    "Hold": ("hold", _flag),
    "Coaching": ("coaching", _flag),
    "EndConferenceOnExit": ("end_conference_on_exit", _flag),
    "StartConferenceOnEnter": ("start_conference_on_enter", _flag),
}
_ANNOUNCEMENT: _Fields = _CONFERENCE | {
    "AnnounceUrl": ("announce_url", _text),
    "CallSid": ("call_sid", _text),
    "ParticipantLabel": ("label", _text),
}
_CALL: _Fields = _EVENT | {
    "CallSid": ("call_sid", _text),
    "CallStatus": ("status", _one_of(CallStatus)),
    "From": ("from_", _text),
    "To": ("to", _text),
    "Direction": ("direction", _text),
    "AnsweredBy": ("answered_by", _one_of(AnsweredBy)),
    "StirStatus": ("stir_status", _text),
}
_RECORDING: _Fields = _EVENT | {
    "RecordingSid": ("recording_sid", _text),
    "RecordingStatus": ("status", _one_of(RecordingStatus)),
    "RecordingUrl": ("url", _text),
    "RecordingDuration": ("duration", _number),
    "RecordingChannels": ("channels", _number),
    "RecordingStartTime": ("start_time", moment),
    "RecordingSource": ("source", _text),
}
_FIELDS: Final[dict[type[Event], _Fields]] = {
    UnknownEvent: _EVENT,
    events.ConferenceStarted: _CONFERENCE,
    events.ConferenceEnded: _CONFERENCE
    | {
        "ReasonConferenceEnded": ("reason", _one_of(EndReason)),
        "Reason": ("reason_text", _text),
        "CallSidEndingConference": ("ended_by_call_sid", _text),
        "ParticipantLabelEndingConference": ("ended_by_label", _text),
    },
    events.ConferenceRecordEnded: _CONFERENCE
    | {
        "RecordingUrl": ("recording_url", _text),
        "Duration": ("duration", _number),
        "RecordingFileSize": ("file_size", _number),
    },
    events.ParticipantJoined: _PARTICIPANT,
    events.ParticipantLeft: _PARTICIPANT
    | {
        "ParticipantCallStatus": ("call_status", _one_of(CallStatus)),
        "ReasonParticipantLeft": ("reason", _one_of(LeaveReason)),
    },
    events.ParticipantMuted: _PARTICIPANT,
    events.ParticipantUnmuted: _PARTICIPANT,
    events.ParticipantHeld: _PARTICIPANT,
    events.ParticipantUnheld: _PARTICIPANT,
    events.ParticipantModified: _PARTICIPANT,
    events.SpeechStarted: _PARTICIPANT,
    events.SpeechStopped: _PARTICIPANT,
    events.AnnouncementEnded: _ANNOUNCEMENT,
    events.AnnouncementFailed: _ANNOUNCEMENT | {"ReasonAnnouncementFailed": ("reason", _text)},
    calls.CallInitiated: _CALL,
    calls.CallRinging: _CALL,
    calls.CallAnswered: _CALL,
    calls.CallEnded: _CALL
    | {
        "CallDuration": ("call_duration", _number),
        "Duration": ("duration", _number),
        "SipResponseCode": ("sip_response_code", _number),
        "RecordingSid": ("recording_sid", _text),
        "RecordingUrl": ("recording_url", _text),
        "RecordingDuration": ("recording_duration", _number),
    },
    calls.MachineDetected: _EVENT
    | {
        "CallSid": ("call_sid", _text),
        "AnsweredBy": ("answered_by", _one_of(AnsweredBy)),
        "MachineDetectionDuration": ("detection_duration", _number),
    },
    calls.CallRecording: _RECORDING
    | {"CallSid": ("call_sid", _text), "RecordingTrack": ("track", _text)},
    calls.ConferenceRecording: _RECORDING | {"ConferenceSid": ("conference_sid", _text)},
}
_NAMES: Final = {kind: {name for name, _ in _FIELDS[kind].values()} for kind in _FIELDS}
_WRITTEN: Final = {
    kind: [
        (name, _written_moment if reader is moment else reader)
        for name, reader in fields.values()
        if reader is not _text
    ]
    for kind, fields in _FIELDS.items()
}
"""The fields that may stand in the wire form as a text, and are none."""

_BY_NAME: Final = {kind.__name__: kind for kind in _FIELDS}
_REQUIRED: Final = {
    kind: [field.name for field in attrs.fields(kind) if field.default is attrs.NOTHING]
    for kind in _FIELDS
}
_CONFERENCE_KINDS: Final = {
    kind.kind: kind for kind in _FIELDS if issubclass(kind, events.ConferenceEvent)
}
_CALL_KINDS: Final[dict[str, type[Event]]] = {
    CallStatus.QUEUED: calls.CallInitiated,
    CallStatus.INITIATED: calls.CallInitiated,
    CallStatus.RINGING: calls.CallRinging,
    CallStatus.IN_PROGRESS: calls.CallAnswered,
    CallStatus.COMPLETED: calls.CallEnded,
    CallStatus.BUSY: calls.CallEnded,
    CallStatus.FAILED: calls.CallEnded,
    CallStatus.NO_ANSWER: calls.CallEnded,
    CallStatus.CANCELED: calls.CallEnded,
}


def parse_event(params: Mapping[str, str] | Iterable[tuple[str, str]]) -> Event:
    """Return the event that a callback's parameters report; never raises.

    Args:
        params: The decoded parameters: of the form or the URL's query, or of both, the form's
            last. Of a repeated name the last one counts.

    Returns:
        The event; `UnknownEvent` if its kind is not known here, or if the SID that its kind
        cannot do without is missing.
    """
    params = dict(params)
    kind = _kind_of(params)
    found, extra = _read(params, _FIELDS[kind])
    if any(found.get(name) is None for name in _REQUIRED[kind]):
        kind = UnknownEvent
        found, extra = _read(params, _EVENT)
    return kind(**found, extra=extra)


def read_event(text: str | bytes, *, id: str | None = None) -> Event:  # noqa: A002 -- the field's name
    """Return the event whose wire form `Event.to_json` wrote; never loses anything of it.

    Args:
        text: The JSON.
        id: The event's place in the log that it was read from, which the wire form leaves out.

    Returns:
        The event. Fields that this version does not know are in `Event.extra`; an event that it
        does not know, or of another version of the wire form, is an `UnknownEvent` with all of
        its fields there.

    Raises:
        ValueError: It is no JSON object, or what its event cannot do without is missing.
    """
    found = _object(text)
    version, named = found.pop("version", None), found.pop("event", None)
    kind: type[Event] = UnknownEvent
    if version == 1 and isinstance(named, str):
        kind = _BY_NAME.get(named, UnknownEvent)
    extra = _moved_out(found, kind)
    if kind is UnknownEvent and named != "UnknownEvent":
        extra["event"] = str(named)
    for name in _REQUIRED[kind]:
        if found.get(name) is None:
            raise ValueError(f"the wire form of an event is incomplete: {kind.__name__}")
    return kind(**found, id=id, extra=extra)


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        fields: object = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ValueError("the wire form of an event is a JSON object")  # noqa: TRY004 -- the one error of unreadable text
    return cast("dict[str, Any]", fields)


def _moved_out(found: dict[str, Any], kind: type[Event]) -> dict[str, str]:
    """Turn what was written into the fields of an event, and return what is none of them.

    Whatever waits for a process that starts passes here: what is in order is left alone.
    """
    extra = found.pop("extra", {})
    if not isinstance(extra, dict):
        extra = {"extra": json.dumps(extra)}
    if not found.keys() <= _NAMES[kind]:
        for name in found.keys() - _NAMES[kind]:
            value = found.pop(name)
            extra[name] = value if isinstance(value, str) else json.dumps(value)
    for name, reader in _WRITTEN[kind]:
        value = found.get(name)
        if isinstance(value, str):
            found[name] = reader(value)
            if found[name] is None:
                extra[name] = value
    return cast("dict[str, str]", extra)


def _kind_of(params: Mapping[str, str]) -> type[Event]:
    # The deprecated recording event alone is named by EventName.
    name = params.get("StatusCallbackEvent") or params.get("EventName")
    if name is not None:
        return _CONFERENCE_KINDS.get(name, UnknownEvent)
    if "RecordingStatus" in params:
        return calls.ConferenceRecording if "ConferenceSid" in params else calls.CallRecording
    if "CallStatus" in params:
        return _CALL_KINDS.get(params["CallStatus"], UnknownEvent)
    return calls.MachineDetected if "AnsweredBy" in params else UnknownEvent


def _read(
    params: Mapping[str, str], fields: _Fields
) -> tuple[dict[str, Any], dict[str, str]]:  # the readers, not the checkers, know the types
    found: dict[str, Any] = {}
    extra: dict[str, str] = {}
    for name, value in params.items():
        known = fields.get(name)
        content = known[1](value) if known else None
        if known and content is not None:
            found[known[0]] = content
        elif value or not known:
            extra[name] = value
    return found, extra
