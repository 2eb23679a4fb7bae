"""How an attempt can end, what may follow, and what is reported of it."""

from enum import Enum, auto
from typing import NamedTuple

import attrs

from conference_async.privacy import described

_TOO_MANY_REQUESTS = 429
_ADDING_FAILED = 16030  # "internal failure adding the participant": nobody knows how far it got


class AttemptOutcome(Enum):
    """How one attempt ended, as far as anyone can know."""

    DONE = "done"
    """2xx with a readable body."""

    NOT_LEFT = "not sent"
    """It failed before the request was written: nothing happened."""

    TOO_MANY = "too many requests"
    """429: by the service's word never processed."""

    OUTDATED = "outdated credentials"
    """401, by the service's word never processed, and there are other credentials by now."""

    REFUSED = "refused"
    """Another 4xx: answered, and nothing was placed."""

    SERVER_ERROR = "server error"
    """5xx, or 408: it may have been processed all the same."""

    NO_ANSWER = "no answer"
    """A time-out, a disconnect or a cancellation after the request may have left."""

    ABSENT = "not placed"
    """It had no readable answer, and the call log showed later that nothing was placed."""

    UNREADABLE = "unreadable reply"
    """2xx without a readable body, or a redirect."""

    @property
    def in_doubt(self) -> bool:
        """Whether a create that ended so may have placed a call."""
        return self in {
            AttemptOutcome.SERVER_ERROR,
            AttemptOutcome.NO_ANSWER,
            AttemptOutcome.UNREADABLE,
        }


class Ending(NamedTuple):
    """How one attempt ended, as the verdict needs it."""

    outcome: AttemptOutcome
    code: int | None = None
    """The service's error code, if it gave one."""

    retry_after: float | None = None
    """The seconds that the service asked to wait, if it did."""


class Verdict(Enum):
    """The next step after an attempt."""

    RETURN = auto()
    """It is done: return what came."""

    RETRY = auto()
    """Wait, then attempt again."""

    RECONCILE = auto()
    """Look for the label before anything else."""

    RAISE = auto()
    """Raise the error of the last attempt."""


# Members that every request looks up, which takes several times as long in their class.
DONE = AttemptOutcome.DONE
RETURN, RETRY = Verdict.RETURN, Verdict.RETRY


def outcome_of(status: int, code: int | None) -> AttemptOutcome:
    """Return how an attempt ended that was answered with this HTTP status and error code."""
    if code == _ADDING_FAILED:
        return AttemptOutcome.SERVER_ERROR
    if 200 <= status < 300:  # noqa: PLR2004 -- the class of statuses
        return AttemptOutcome.DONE
    if status == _TOO_MANY_REQUESTS:
        return AttemptOutcome.TOO_MANY
    if status >= 500 or status == 408:  # noqa: PLR2004 -- the class of statuses; 408 comes from gateways
        return AttemptOutcome.SERVER_ERROR
    if status >= 400:  # noqa: PLR2004 -- the class of statuses
        return AttemptOutcome.REFUSED
    return AttemptOutcome.UNREADABLE


@attrs.frozen(kw_only=True)
class AttemptEvent:
    """One attempt of one operation, as it ended.

    It holds no phone number and no secret, so it may be logged, counted and sent elsewhere.
    """

    kind: str
    """The operation: ``create``, ``fetch``, ``list``, ``update``, ``delete``,
    ``conference.fetch``, ``conference.list``, ``conference.update``, ``call.fetch`` or
    ``calls.list``."""

    number: int
    """1 for the first attempt of the operation."""

    label: str | None
    """The label that a create carried; None for other operations."""

    queue_wait: float
    """Seconds spent in line, waiting out back-offs, and waiting for a place."""

    pace_wait: float
    """Seconds from the front of the line until it left: on the way, and until its slot came."""

    sent_at: float = attrs.field(repr=repr)
    """When it left, in seconds of the running loop's clock: the instant that is paced."""

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

    outcome: AttemptOutcome
    """How the attempt ended."""

    verdict: str
    """The next step: ``return``, ``retry``, ``reconcile``, ``raise`` or ``cancelled``."""

    reason: str
    """Why, in words: what failed, or nothing."""

    def __repr__(self) -> str:
        return described(self)
