"""Replies that say no."""

import json
from typing import Any

import pytest

from conference_async import errors
from conference_async.wire import refusal


def refused(status: int, resource: str = "participant", **reply: Any) -> Any:
    """Return the error for a reply in JSON."""
    return refusal(status, json.dumps(reply).encode(), request_id="RQ1", resource=resource)


@pytest.mark.parametrize(
    ("status", "code", "cls"),
    [
        (401, 20003, errors.NotAuthorized),
        (403, 20403, errors.NotAuthorized),
        (400, 20003, errors.NotAuthorized),
        (404, 20404, errors.ParticipantNotFound),
        (400, 16026, errors.LabelInUse),
        (400, 16001, errors.ConferenceNotActive),
        (404, 16022, errors.ConferenceNotActive),
        (400, 16020, errors.ConferenceFull),
        (400, 22005, errors.CallQueueFull),
        (400, 10004, errors.TooManyCalls),
        (400, 16021, errors.TooManyCalls),
        (429, 20429, errors.TooManyRequests),
        (400, 20429, errors.TooManyRequests),
        (400, 21211, errors.RequestRefused),
        (405, 20004, errors.RequestRefused),
        (418, 99999, errors.RequestRefused),
        (500, 20500, errors.ServiceFailed),
        (503, 16026, errors.ServiceFailed),
    ],
)
def test_the_code_then_the_status_pick_the_class(
    status: int, code: int, cls: type[errors.ConferenceError]
) -> None:
    """The class follows from what a caller can do next, whatever the HTTP status."""
    error: Any = refused(status, code=code, message="No.")

    assert (error.status, error.code, error.request_id) == (status, code, "RQ1")
    assert str(error).startswith(f"the service answered {status}, error {code}: No; ")
    assert type(error) is cls


def test_not_found_says_what_is_missing() -> None:
    """The resource that was addressed tells the 404s apart, without any code too."""
    assert type(refused(404)) is errors.ParticipantNotFound
    assert type(refused(404, resource="conference")) is errors.ConferenceNotFound
    assert type(refused(404, resource="account")) is errors.NotFound


def test_facts_of_the_reply_are_kept_and_masked() -> None:
    """Help page, words and details are the service's, and no number is readable in them."""
    error = refused(
        400,
        code=21211,
        message="The number +15558675310 is not valid.",
        more_info="https://www.twilio.com/docs/errors/21211",
        details={"why": "x"},
    )

    assert error.service_message == "The number ***5310 is not valid."
    assert error.more_info == "https://www.twilio.com/docs/errors/21211"
    assert error.details == {"why": "x"}
    assert str(error) == (
        "the service answered 400, error 21211: The number ***5310 is not valid; "
        "check the number in `to`"
    )


def test_newer_shape_of_errors_is_read() -> None:
    """The service's newer APIs say ``detail``, ``title`` and ``type``."""
    error = refused(400, type="https://example.com/e", title="Bad", detail="Worse", code=1)
    bare = refused(400, title="Bad")

    assert error.service_message == "Worse"
    assert error.more_info == "https://example.com/e"
    assert str(error).endswith("see https://example.com/e")
    assert str(bare) == "the service answered 400: Bad; see the service's list of error codes"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe", b"[]", b"null", b"[" * 100_000,
     b'{"code": "x", "message": 7, "more_info": [], "details": []}', b'{"code": true}'],
)  # fmt: skip
def test_any_body_will_do(body: bytes) -> None:
    """A proxy may answer as it likes: the status alone makes a clear error."""
    error = refusal(403, body, request_id=None, resource="conference")

    assert isinstance(error, errors.NotAuthorized)
    assert (error.code, error.service_message, error.more_info) == (None, "", None)
    assert str(error).startswith("the service answered 403; check the account SID")


def test_endless_message_is_cut() -> None:
    """A reply cannot fill the log."""
    assert len(refused(400, message="x" * 10_000).service_message) == 500


def test_failure_of_the_service_tells_when_to_repeat() -> None:
    """A 5xx carries its code, and says that later may be better."""
    error = refused(503, code=20503, message="Unavailable")

    assert str(error) == "the service answered 503, error 20503: Unavailable; try again later"
