"""Names of what is exported, and the only values that they may have.

Those without our prefix are the stable semantic conventions for HTTP clients:
https://opentelemetry.io/docs/specs/semconv/http/
"""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from conference_async.errors import ConferenceError, NotSent, OutcomeUnknown, RequestRefused
from conference_async.sending.observing import PutOff

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The bounds of the buckets that the conventions advise for the duration of requests."""

WAITS: Final = (0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
"""The bounds of the buckets for waits: at one call per second, a thousand creates take long."""

METHOD: Final = "http.request.method"
RESEND_COUNT: Final = "http.request.resend_count"
STATUS_CODE: Final = "http.response.status_code"
ERROR_TYPE: Final = "error.type"
PEER_ADDRESS: Final = "network.peer.address"
PEER_PORT: Final = "network.peer.port"
PROTOCOL_VERSION: Final = "network.protocol.version"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
URL_FULL: Final = "url.full"

ACCOUNT_SID: Final = "conference_async.account_sid"
CALL_SID: Final = "conference_async.call_sid"
CALL_STATUS: Final = "conference_async.call_status"
CONFERENCE_SID: Final = "conference_async.conference_sid"
ERROR_CODE: Final = "conference_async.error_code"
EVENT: Final = "conference_async.event"
OPERATION: Final = "conference_async.operation"
OUTCOME: Final = "conference_async.outcome"
REQUEST_ID: Final = "conference_async.request_id"
VERDICT: Final = "conference_async.verdict"
WAIT: Final = "conference_async.wait"

ALLOWED: Final = frozenset(
    {METHOD, RESEND_COUNT, STATUS_CODE, ERROR_TYPE, PEER_ADDRESS, PEER_PORT, PROTOCOL_VERSION}
    | {SERVER_ADDRESS, SERVER_PORT, URL_FULL, ACCOUNT_SID, CALL_SID, CALL_STATUS, CONFERENCE_SID}
    | {ERROR_CODE, EVENT, OPERATION, OUTCOME, REQUEST_ID, VERDICT, WAIT}
)
"""The attributes that are exported. Each has a value of a small vocabulary of ours, a number that
counts or classifies, a SID, or an address of the service; none has text of a user's."""

Value: TypeAlias = str | int

_ACCOUNT = "/2010-04-01/Accounts/{AccountSid}"
_CONFERENCES = f"{_ACCOUNT}/Conferences"
_PARTICIPANTS = f"{_CONFERENCES}/{{ConferenceSid}}/Participants"
_TEMPLATES = {
    "create": f"{_PARTICIPANTS}.json",
    "list": f"{_PARTICIPANTS}.json",
    "fetch": f"{_PARTICIPANTS}/{{CallSid}}.json",
    "update": f"{_PARTICIPANTS}/{{CallSid}}.json",
    "delete": f"{_PARTICIPANTS}/{{CallSid}}.json",
    "conference.list": f"{_CONFERENCES}.json",
    "conference.fetch": f"{_CONFERENCES}/{{ConferenceSid}}.json",
    "conference.update": f"{_CONFERENCES}/{{ConferenceSid}}.json",
    "call.fetch": f"{_ACCOUNT}/Calls/{{CallSid}}.json",
    "calls.list": f"{_ACCOUNT}/Calls.json",
}
_OPERATIONS = {
    "create": "create participant",
    "once": "create participant once",
    "list": "list participants",
    "fetch": "fetch participant",
    "update": "update participant",
    "delete": "delete participant",
    "conference.list": "list conferences",
    "conference.fetch": "fetch conference",
    "conference.update": "update conference",
    "call.fetch": "fetch call",
    "calls.list": "list calls",
    "find": "find participant",
    "find.many": "find participants",
    "credentials": "get credentials",
    "campaign": "run campaign",
    "target": "call target",
}
_WORDS = {"2010-04-01", "Accounts", "Calls", "Conferences", "Participants"}
_SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}")
_PARAMETER = re.compile(r"[A-Za-z]+(?:%3[CE])?")
_REDACTED = "REDACTED"


def allowed(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    """Return the attributes that are exported and known."""
    return {
        name: value for name, value in attributes.items() if value is not None and name in ALLOWED
    }


def span_name(operation: str) -> str:
    """Return the name of the span of a logical call."""
    return _OPERATIONS.get(operation, operation)


def attempt_name(operation: str, method: str) -> str:
    """Return the name of the span of an attempt: method and template."""
    template = _TEMPLATES.get(operation)
    return method if template is None else f"{method} {template}"


def sid(text: object) -> str | None:
    """Return a SID, and nothing else."""
    return text if isinstance(text, str) and _SID.fullmatch(text) else None


def server_of(base_url: str) -> dict[str, Value]:
    """Return host and port of a client's base URL, as attributes."""
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {SERVER_ADDRESS: parts.hostname or "", SERVER_PORT: port}


def redacted(base_url: str, path: str) -> str:
    """Return a request's URL with what a user chose taken out of it.

    The service's own words and SIDs stay. A conference's name, a label, a path in front of the
    service's, and whatever a parameter of the query says do not.

    Args:
        base_url: Scheme and host, and maybe a path.
        path: Path and query of the request.
    """
    base = urlsplit(base_url)
    host = f"[{base.hostname}]" if ":" in (base.hostname or "") else base.hostname or ""
    port = "" if base.port is None else f":{base.port}"
    path, _, query = path.partition("?")
    shown = "/".join(map(_shown, (base.path + path).split("/")))
    names = [pair.partition("=")[0] for pair in query.split("&") if pair]
    said = "&".join(
        f"{name if _PARAMETER.fullmatch(name) else _REDACTED}={_REDACTED}" for name in names
    )
    return f"{base.scheme}://{host}{port}{shown}{'?' if said else ''}{said}"


def _shown(segment: str) -> str:
    word = segment.removesuffix(".json")
    return segment if not word or word in _WORDS or sid(word) else _REDACTED


def error_type(error: BaseException) -> str:
    """Return the class of an error: its name if it is one of ours, else with its module."""
    kind = type(error)
    plain = isinstance(error, ConferenceError) or kind.__module__ == "builtins"
    return kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"


def outcome_of(error: BaseException) -> str:
    """Return how an operation ended that raised: as far as anybody can know."""
    if OutcomeUnknown.behind(error) is not None:
        return "unknown"
    if not isinstance(error, Exception):
        return "cancelled"
    if isinstance(error, PutOff):
        return "put_off"
    if isinstance(error, NotSent):
        return "not_sent"
    return "refused" if isinstance(error, RequestRefused) else "failed"
