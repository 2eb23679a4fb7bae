"""The parameters of each request, and the error that the API answers to a bad value."""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from conference_async.emulator.forms import Form
from conference_async.emulator.replies import ApiError

CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}")
CONFERENCE_SID = re.compile(r"CF[0-9a-fA-F]{32}")
_PHONE = re.compile(r"\+?[0-9]{3,15}")
_OTHER_TARGET = re.compile(r"(?:sips?:[^\s@]+@\S+|client:\S+)", re.IGNORECASE)
_APPLICATION = re.compile(r"app:AP[0-9a-fA-F]{32}(?:\?\S*)?", re.IGNORECASE)
_INTEGER = re.compile(r"[0-9]{1,9}")
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


def check_parties(form: Form) -> None:
    """Check who calls whom.

    Raises:
        ApiError: 21201, 21211 or 21218 for ``To``; 21213 or 21212 for ``From``, ``CallerId``.
    """
    to, from_ = form.text("To"), form.text("From")
    if not to:
        raise ApiError(21201, "No 'To' number is specified")
    if to.lower().startswith("app:"):
        if not _APPLICATION.fullmatch(to):
            raise ApiError(21218, "Invalid ApplicationSid")
    elif not (_PHONE.fullmatch(to) or _OTHER_TARGET.fullmatch(to)):
        raise ApiError(21211, "Invalid 'To' Phone Number")
    if not from_:
        raise ApiError(21213, "No 'From' number is specified")
    if _PHONE.fullmatch(to):
        for name in ("From", "CallerId"):
            caller = form.text(name)
            if caller and not _PHONE.fullmatch(caller):
                raise ApiError(21212, f"Invalid '{name}' Phone Number")


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


def _integer(lowest: int, highest: int = 10**9, *, code: int = _INVALID) -> Rule:
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


def _url(code: int = _INVALID) -> Rule:
    def rule(name: str, value: str) -> None:
        try:
            parts = urlsplit(value)
            valid = parts.scheme in ("http", "https") and parts.hostname and "_" not in parts.netloc
        except ValueError:
            valid = False
        if value and not valid:
            raise _refuse(name, code)

    return rule


def _anything(_name: str, _value: str) -> None:
    """Accept every value."""


_BOOLEAN = _matching("true|false")
_METHOD = _one_of("GET", "POST")
_CALLBACK_METHOD = _one_of("GET", "POST", code=21209)
_CALLBACK = _url(21205)
_TRIM = _one_of("trim-silence", "do-not-trim", code=13239)
_COACHED = _matching(CALL_SID.pattern, code=13240)
_DATE = _matching(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
_MOMENT = _matching(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?:T[0-9:.]+Z?)?")

CREATE: Mapping[str, Rule] = {
    "AmdStatusCallback": _CALLBACK,
    "AmdStatusCallbackMethod": _CALLBACK_METHOD,
    "Beep": _one_of("true", "false", "onEnter", "onExit"),
    "Byoc": _matching("BY[0-9a-fA-F]{32}", code=21300),
    "CallSidToCoach": _COACHED,
    "CallerDisplayName": _matching(".{2,255}"),
    "ClientNotificationUrl": _url(),
    "Coaching": _BOOLEAN,
    "ConferenceRecord": _one_of("true", "false", "record-from-start", "do-not-record"),
    "ConferenceRecordingStatusCallback": _CALLBACK,
    "ConferenceRecordingStatusCallbackEvent": _some_of(
        "in-progress", "completed", "failed", "absent", code=21626
    ),
    "ConferenceRecordingStatusCallbackMethod": _CALLBACK_METHOD,
    "ConferenceStatusCallback": _CALLBACK,
    "ConferenceStatusCallbackEvent": _some_of(
        *("start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"),
        code=21626,
    ),
    "ConferenceStatusCallbackMethod": _CALLBACK_METHOD,
    "ConferenceTrim": _TRIM,
    "EarlyMedia": _BOOLEAN,
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
    "Record": _BOOLEAN,
    "RecordingChannels": _one_of("mono", "dual"),
    "RecordingStatusCallback": _CALLBACK,
    "RecordingStatusCallbackEvent": _some_of(
        *("started", "in-progress", "paused", "resumed", "stopped"),
        *("completed", "failed", "absent"),
        code=21626,
    ),
    "RecordingStatusCallbackMethod": _CALLBACK_METHOD,
    "RecordingTrack": _one_of("inbound", "outbound", "both"),
    "Region": _one_of("us1", "us2", "ie1", "de1", "sg1", "br1", "au1", "jp1"),
    "StartConferenceOnEnter": _BOOLEAN,
    "StatusCallback": _CALLBACK,
    "StatusCallbackEvent": _some_of("initiated", "ringing", "answered", "completed", code=21626),
    "StatusCallbackMethod": _CALLBACK_METHOD,
    "TimeLimit": _integer(1),
    "Timeout": _integer(5, 600, code=21208),
    "Trim": _TRIM,
    "WaitMethod": _METHOD,
    "WaitUrl": _url(),
}
"""Create a participant; ``To``, ``From`` and ``CallerId`` are checked together."""

UPDATE: Mapping[str, Rule] = {
    "AnnounceMethod": _METHOD,
    "AnnounceUrl": _url(),
    "BeepOnExit": _BOOLEAN,
    "CallSidToCoach": _COACHED,
    "Coaching": _BOOLEAN,
    "EndConferenceOnExit": _BOOLEAN,
    "Hold": _BOOLEAN,
    "HoldMethod": _METHOD,
    "HoldUrl": _url(),
    "Muted": _anything,  # by the API's word, anything but true is false here
    "WaitMethod": _METHOD,
    "WaitUrl": _url(),
}
"""Update a participant."""

UPDATE_CONFERENCE: Mapping[str, Rule] = {
    "AnnounceMethod": _METHOD,
    "AnnounceUrl": _url(),
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
