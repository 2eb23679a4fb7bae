"""What can be set for a client, or for a view of it, and what an attempt reports."""

from collections.abc import Awaitable, Callable

import attrs

from conference_async.errors import ConfigurationError
from conference_async.line import Priority
from conference_async.masking import mask
from conference_async.retry import Outcome, RetryPolicy


@attrs.frozen(kw_only=True)
class AttemptEvent:
    """One attempt of one operation, as it ended.

    It holds no phone number and no secret, so it may be logged, counted and sent elsewhere.
    """

    kind: str
    """The operation: ``create``, ``fetch``, ``list``, ``update``, ``delete``,
    ``conference.fetch``, ``conference.list`` or ``conference.update``."""

    number: int
    """1 for the first attempt of the operation."""

    label: str | None = attrs.field(repr=lambda label: mask(repr(label)))
    """The label that a create carried; None for other operations."""

    queue_wait: float
    """Seconds spent in line, waiting out back-offs, and waiting for a place."""

    pace_wait: float
    """Seconds spent at the front of the line until the next slot of the CPS."""

    sent_at: float
    """When it was sent, in seconds of the running loop's clock."""

    duration: float
    """Seconds from there until it ended."""

    status: int | None
    """The HTTP status, or None where no reply came."""

    code: int | None
    """The service's error code, or None."""

    request_id: str | None
    """The reply's ``Twilio-Request-Id``."""

    concurrent_requests: int | None
    """The reply's ``Twilio-Concurrent-Requests``: how many the account had under way."""

    outcome: Outcome
    """How the attempt ended."""

    verdict: str
    """What follows: ``return``, ``retry``, ``reconcile``, ``raise`` or ``cancelled``."""

    reason: str
    """Why, in words: what failed, or nothing."""


def _positive(_instance: "Options", attribute: "attrs.Attribute[float]", value: float) -> None:
    try:
        fits = 0 < value < float("inf")
    except TypeError:
        fits = False
    if not fits:
        raise ConfigurationError(f"{attribute.name} must be more than 0 seconds, not {value!r}")


@attrs.frozen(kw_only=True)
class Options:
    """Settings of one view of a client; see `ConferenceClient` for their meaning."""

    timeout: float = attrs.field(default=30.0, validator=_positive)
    deadline: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(_positive)
    )
    retry: RetryPolicy = attrs.Factory(RetryPolicy)
    retry_unknown: bool = False
    mint_labels: bool = True
    priority: Priority = attrs.field(default=Priority.INTERACTIVE, converter=Priority)
    on_attempt: Callable[[AttemptEvent], object] | None = None
    before_send: Callable[[str | None, int], Awaitable[object]] | None = None
