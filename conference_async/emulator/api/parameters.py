"""The parameters of each request, and the error that the API answers to a bad value."""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from conference_async.emulator.forms import Form
from conference_async.emulator.replies import ApiError

CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}")
CONFERENCE_SID = re.compile(r"CF[0-9a-fA-F]{32}")
_INTEGER = re.compile(r"[0-9]{1,15}")
_UNSPELLABLE = re.compile(r"[\s\x00-\x1f\x7f]")
_LONGEST_LABEL = 128
_INVALID = 20422

Rule = Callable[[str, str], None]


def check(form: Form, rules: Mapping[str, Rule]) -> None:
    """Check every value of `form` that has a rule; parameters without one are ignored.

    Raises:
        ApiError: The first value that the API refuses.
    """
    for name, values in form.values.items():
        if rule := rules.get(name):
            for value in values:
                rule(name, value)


def label(name: str, value: str) -> None:
    """Refuse a label that is empty, too long, has a slash, or looks like a Call SID."""
    wrong = (
        not value
        or len(value) > _LONGEST_LABEL
        or "/" in value
        or "%2f" in value.lower()
        or CALL_SID.fullmatch(value)
    )
    if wrong:
        raise ApiError(16024, f"Invalid parameter: {name}")


def _refuse(name: str, code: int) -> ApiError:
    status = 422 if code == _INVALID else 400
    return ApiError(code, f"Invalid parameter: {name}", status=status)


def _one_of(*words: str, code: int = _INVALID) -> Rule:
    allowed = {word.lower() for word in words}

    def rule(name: str, value: str) -> None:
        if value.lower() not in allowed:
            raise _refuse(name, code)

    return rule


def _some_of(*words: str, code: int = _INVALID) -> Rule:
    allowed = set(words)

    def rule(name: str, value: str) -> None:
        if not allowed.issuperset(value.split()):
            raise _refuse(name, code)

    return rule


def _integer(lowest: int, highest: int = 10**15, *, code: int = _INVALID) -> Rule:
    def rule(name: str, value: str) -> None:
        if not _INTEGER.fullmatch(value) or not lowest <= int(value) <= highest:
            raise _refuse(name, code)

    return rule


def _matching(pattern: str, *, code: int = _INVALID) -> Rule:
    shape = re.compile(pattern, re.DOTALL)

    def rule(name: str, value: str) -> None:
        if not shape.fullmatch(value):
            raise _refuse(name, code)

    return rule


def _url(value: str) -> str | None:
    """Return the host of an absolute URL that can be called, or None if it is none."""
    try:
        parts = urlsplit(value)
        reachable = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        return None
    return parts.hostname if reachable and not _UNSPELLABLE.search(value) else None


def _callback(name: str, value: str) -> None:
    """Refuse a callback that is no URL, or whose host has an underscore; empty means none."""
    host = _url(value)
    if value and (host is None or "_" in host):
        raise _refuse(name, 21205)


def _fetched(name: str, value: str) -> None:
    """Refuse what is no URL; empty means none."""
    if value and _url(value) is None:
        raise _refuse(name, _INVALID)


def _anything(_name: str, _value: str) -> None:
    """Accept every value."""


_BOOLEAN = _matching("true|false")
_METHOD = _one_of("GET", "POST", code=21209)
_TRIM = _one_of("trim-silence", "do-not-trim", code=13239)
_COACHED = _matching(CALL_SID.pattern, code=13240)
_DATE = _matching(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
_POSITION = _matching(
    r"(?=.{3,150}\Z)[+-]?(?:90(?:\.0+)?|0*[0-8]?[0-9](?:\.[0-9]+)?)"
    r" [+-]?(?:180(?:\.0+)?|(?:1[0-7][0-9]|0?[0-9]?[0-9])(?:\.[0-9]+)?)"
)
_MOMENT = _matching(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?:T[0-9:.]+Z?)?")

CREATE: Mapping[str, Rule] = {
    "AmdStatusCallback": _callback,
    "AmdStatusCallbackMethod": _METHOD,
    "Beep": _one_of("true", "false", "onEnter", "onExit"),
    "Byoc": _matching("BY[0-9a-fA-F]{32}", code=21300),
    "CallSidToCoach": _COACHED,
    "CallerDisplayName": _matching(".{2,255}"),
    "ClientNotificationUrl": _fetched,
    "Coaching": _BOOLEAN,
    "ConferenceRecord": _one_of("true", "false", "record-from-start", "do-not-record"),
    "ConferenceRecordingStatusCallback": _callback,
    "ConferenceRecordingStatusCallbackEvent": _some_of(
        "in-progress", "completed", "failed", "absent", code=21626
    ),
    "ConferenceRecordingStatusCallbackMethod": _METHOD,
    "ConferenceStatusCallback": _callback,
    "ConferenceStatusCallbackEvent": _some_of(
        *("start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"),
        code=21626,
    ),
    "ConferenceStatusCallbackMethod": _METHOD,
    "ConferenceTrim": _TRIM,
    "EarlyMedia": _BOOLEAN,
    "EmergencyCallerPosition": _POSITION,
    "EmergencyCountry": _one_of("US", "CA"),
    "EndConferenceOnExit": _BOOLEAN,
    "JitterBufferSize": _one_of("off", "small", "medium", "large"),
    "Label": label,
    "MachineDetection": _one_of("Enable", "DetectMessageEnd", code=21234),
    "MachineDetectionSilenceTimeout": _integer(2000, 10_000, code=21234),
    "MachineDetectionSpeechEndThreshold": _integer(500, 5000, code=21234),
    "MachineDetectionSpeechThreshold": _integer(1000, 6000, code=21234),
    "MachineDetectionTimeout": _integer(1, code=21234),
    "MaxParticipants": _integer(2, 250),
    "Muted": _BOOLEAN,
    "Passports": _matching(r"[0-9A-Za-z+/=._-]+(?:,[0-9A-Za-z+/=._-]+){0,4}"),
    "Record": _BOOLEAN,
    "RecordingChannels": _one_of("mono", "dual"),
    "RecordingStatusCallback": _callback,
    "RecordingStatusCallbackEvent": _some_of(
        *("started", "in-progress", "paused", "resumed", "stopped"),
        *("completed", "failed", "absent"),
        code=21626,
    ),
    "RecordingStatusCallbackMethod": _METHOD,
    "RecordingTrack": _one_of("inbound", "outbound", "both"),
    "Region": _one_of("us1", "us2", "ie1", "de1", "sg1", "br1", "au1", "jp1"),
    "StartConferenceOnEnter": _BOOLEAN,
    "StatusCallback": _callback,
    "StatusCallbackEvent": _some_of("initiated", "ringing", "answered", "completed", code=21626),
    "StatusCallbackMethod": _METHOD,
    "TimeLimit": _integer(1),
    "Timeout": _integer(5, 600, code=21208),
    "Trim": _TRIM,
    "WaitMethod": _METHOD,
    "WaitUrl": _fetched,
}
"""Create a participant; the rules of caller and target are in `endpoints`.

``Passports``, ``RecordingConfigurationId`` and ``Emergency…`` are newer than the service's page. Of
the latter it cuts off what is too long."""

_RECORDED_BY_PARAMETERS = frozenset(
    {
        *("Record", "RecordingChannels", "RecordingTrack", "Trim", "RecordingStatusCallback"),
        *("RecordingStatusCallbackMethod", "RecordingStatusCallbackEvent"),
    }
)


def check_recording(form: Form) -> None:
    """Check that a recording is described in one way.

    Raises:
        ApiError: A recording configuration stands beside the parameters that it takes the place of.
    """
    if "RecordingConfigurationId" in form and _RECORDED_BY_PARAMETERS.intersection(form.values):
        raise _refuse("RecordingConfigurationId", _INVALID)


UPDATE: Mapping[str, Rule] = {
    "AnnounceMethod": _METHOD,
    "AnnounceUrl": _fetched,
    "BeepOnExit": _BOOLEAN,
    "CallSidToCoach": _COACHED,
    "Coaching": _BOOLEAN,
    "EndConferenceOnExit": _BOOLEAN,
    "Hold": _BOOLEAN,
    "HoldMethod": _METHOD,
    "HoldUrl": _fetched,
    "Muted": _anything,  # by the API's word, anything but true is false here
    "WaitMethod": _METHOD,
    "WaitUrl": _fetched,
}
"""Update a participant."""

UPDATE_CONFERENCE: Mapping[str, Rule] = {
    "AnnounceMethod": _METHOD,
    "AnnounceUrl": _fetched,
    "Status": _one_of("completed"),
}
"""Update a conference."""

UPDATE_CALL: Mapping[str, Rule] = {"Status": _one_of("canceled", "completed")}
"""Update a call; sending it elsewhere (``Url``, ``Twiml``) is not part of this."""

LIST: Mapping[str, Rule] = {"Coaching": _BOOLEAN, "Hold": _BOOLEAN, "Muted": _BOOLEAN}
"""List participants."""

LIST_CONFERENCES: Mapping[str, Rule] = {
    "DateCreated": _DATE,
    "DateCreated<": _DATE,
    "DateCreated>": _DATE,
    "DateUpdated": _DATE,
    "DateUpdated<": _DATE,
    "DateUpdated>": _DATE,
    "Status": _one_of("init", "in-progress", "completed"),
}
"""List conferences; dates are whole days."""

LIST_CALLS: Mapping[str, Rule] = {
    "EndTime": _MOMENT,
    "EndTime<": _MOMENT,
    "EndTime>": _MOMENT,
    "StartTime": _MOMENT,
    "StartTime<": _MOMENT,
    "StartTime>": _MOMENT,
    "Status": _one_of(
        *("queued", "ringing", "in-progress", "canceled"),
        *("completed", "failed", "busy", "no-answer"),
    ),
}
"""List calls; times are days or ``YYYY-MM-DDTHH:MM:SSZ``."""
