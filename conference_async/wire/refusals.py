"""Replies that say no, as errors that say what to do."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import cast

from conference_async.errors import (
    CallQueueFull,
    ConferenceFull,
    ConferenceNotActive,
    ConferenceNotFound,
    LabelInUse,
    NotAuthorized,
    NotFound,
    ParticipantNotFound,
    RequestRefused,
    ServiceFailed,
    TooManyCalls,
    TooManyRequests,
)

_BY_CODE: Mapping[int, type[RequestRefused]] = {
    10001: NotAuthorized,
    10004: TooManyCalls,
    16001: ConferenceNotActive,
    16020: ConferenceFull,
    16021: TooManyCalls,
    16022: ConferenceNotActive,
    16026: LabelInUse,
    20003: NotAuthorized,
    20005: NotAuthorized,
    20006: NotAuthorized,
    20403: NotAuthorized,
    20429: TooManyRequests,
    22005: CallQueueFull,
}
GONE: tuple[int, ...] = (
    HTTPStatus.NOT_FOUND,
    *(code for code, kind in _BY_CODE.items() if kind is ConferenceNotActive),
)
"""The status and the codes of what is asked of a conference that is over."""

_BY_STATUS: Mapping[int, type[RequestRefused]] = {
    HTTPStatus.UNAUTHORIZED: NotAuthorized,
    HTTPStatus.FORBIDDEN: NotAuthorized,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.TOO_MANY_REQUESTS: TooManyRequests,
}
_NOT_FOUND: Mapping[str, type[NotFound]] = {
    "conference": ConferenceNotFound,
    "participant": ParticipantNotFound,
}
_ADVICE_BY_CLASS: Mapping[type[RequestRefused], str] = {
    NotAuthorized: "check the account SID, the token or API key, their region, and the account",
    ConferenceNotActive: "create with a friendly name to open a new conference",
    ConferenceFull: "raise max_participants up to 250, or use another conference",
    LabelInUse: "fetch that participant by its label, or choose another label",
    TooManyRequests: "nothing was processed; send fewer requests at the same time, then repeat",
    TooManyCalls: "wait until a call ends, give the limit max_live=, or have the cap raised",
    CallQueueFull: "wait until the queued calls are placed, or have the account's CPS raised",
    NotFound: "check the SID",
    ConferenceNotFound: "check the SID and the account; completed conferences cannot be changed",
    ParticipantNotFound: "the participant may have left, or the conference may be over",
}
_ADVICE_BY_CODE: Mapping[int, str] = {
    13240: "coach a call that is in this conference",
    16024: "use a label of at most 128 characters that is no Call SID and has no '/'",
    16027: "take the participant to be coached off hold first",
    16028: "coach a call that is in this conference",
    16030: "adding failed at the service; look for the participant before you repeat",
    20004: "address the conference by its SID, not by its friendly name",
    20007: "ask for pages of at most 1000",
    20008: "test credentials do not work here; use those of the account",
    21201: "give `to`",
    21203: "allow international calls in the account's settings",
    21210: "call from a number of the account, or verify this one as a caller ID first",
    21211: "check the number in `to`",
    21212: "check the number in `from_`",
    21213: "give `from_`",
    21215: "allow calls to that country in the account's geographic permissions",
    21216: "the service blocks calls to that number",
    21219: "a trial account calls verified numbers only",
    21481: "start the list from its first page again",
}
_MOST_WORDS = 500


def refusal(
    status: int, body: bytes, *, request_id: str | None, resource: str
) -> RequestRefused | ServiceFailed:
    """Return the error that a reply of status 400 or more stands for.

    Args:
        status: The HTTP status.
        body: The reply; any bytes will do, for proxies in between answer as they like.
        request_id: The service's ``Twilio-Request-Id``, if the reply had one.
        resource: What was addressed: ``participant`` or ``conference``: the two kinds of 404.
    """
    reply = _parsed(body)
    code = _number(reply.get("code"))
    said = _text(reply.get("message")) or _text(reply.get("detail")) or _text(reply.get("title"))
    summary = f"the service answered {status}" + (f", error {code}" if code else "")
    if said:
        summary += f": {said.rstrip('.')}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        advice = "try again later"
        return ServiceFailed(
            f"{summary}; {advice}", status=status, code=code, request_id=request_id
        )
    cls = _BY_CODE.get(code or 0) or _BY_STATUS.get(status, RequestRefused)
    if cls is NotFound:
        cls = _NOT_FOUND.get(resource, NotFound)
    more_info = _text(reply.get("more_info")) or _text(reply.get("type")) or None
    advice = (
        _ADVICE_BY_CODE.get(code or 0)
        or _ADVICE_BY_CLASS.get(cls)
        or (f"see {more_info}" if more_info else "see the service's list of error codes")
    )
    return cls(
        f"{summary}; {advice}",
        status=status,
        code=code,
        service_message=said,
        more_info=more_info,
        details=_object(reply.get("details")),
        request_id=request_id,
    )


def error_code(body: bytes) -> int | None:
    """Return the service's error code that a reply carries, or None."""
    return _number(_parsed(body).get("code"))


def _parsed(body: bytes) -> dict[str, object]:
    try:
        return _object(json.loads(body))
    except (ValueError, RecursionError):
        return {}


def _object(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str:
    return value[:_MOST_WORDS] if isinstance(value, str) else ""
