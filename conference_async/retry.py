"""What to do after an attempt: pure functions from what happened to a verdict."""

import math
import random
from collections.abc import Sequence
from enum import Enum, auto

import attrs

from conference_async.errors import ConfigurationError

_TOO_MANY_REQUESTS = 429
_LABEL_IN_USE = 16026
_ADDING_FAILED = 16030  # "internal failure adding the participant": nobody knows how far it got


class Outcome(Enum):
    """How one attempt ended, as far as anyone can know."""

    DONE = "done"
    """2xx with a readable body."""

    NOT_LEFT = "not sent"
    """It failed before the request was written: nothing happened."""

    TOO_MANY = "too many requests"
    """429: by the service's word never processed."""

    REFUSED = "refused"
    """Another 4xx: answered, and nothing was placed."""

    SERVER_ERROR = "server error"
    """5xx, or 408: it may have been processed all the same."""

    NO_ANSWER = "no answer"
    """A time-out, a disconnect or a cancellation after the request may have left."""

    UNREADABLE = "unreadable reply"
    """2xx without a readable body, or a redirect."""

    @property
    def in_doubt(self) -> bool:
        """Whether a create that ended so may have placed a call."""
        return self in {Outcome.SERVER_ERROR, Outcome.NO_ANSWER, Outcome.UNREADABLE}


@attrs.frozen
class Attempted:
    """One attempt of a logical call, as the verdict needs it."""

    outcome: Outcome
    code: int | None = None
    """The service's error code, if it gave one."""

    retry_after: float | None = None
    """The seconds that the service asked to wait, if it did."""


class Verdict(Enum):
    """What to do next."""

    RETURN = auto()
    """It is done: return what came."""

    RETRY = auto()
    """Wait, then attempt again."""

    RECONCILE = auto()
    """Look for the label before anything else."""

    RAISE = auto()
    """Raise the error of the last attempt."""


def _seconds(_instance: "RetryPolicy", attribute: "attrs.Attribute[float]", value: float) -> None:
    if not 0 <= value < math.inf:
        raise ConfigurationError(f"{attribute.name} must be 0 or more seconds, not {value!r}")


def _at_least_one(_instance: "RetryPolicy", attribute: "attrs.Attribute[int]", value: int) -> None:
    if value < 1:
        raise ConfigurationError(f"{attribute.name} must be 1 or more, not {value!r}")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often and how soon to repeat what is safe to repeat.

    Delays grow from `base` to `maximum` by powers of two with full jitter: each is drawn evenly
    from zero to its bound, so that many callers do not come back at the same instant. A
    ``Retry-After`` from the service is obeyed instead, up to `maximum`.

    Raises:
        ConfigurationError: A bound is negative, or `attempts` or `lookups` less than 1.
    """

    attempts: int = attrs.field(default=4, validator=_at_least_one)
    """Attempts in all, 1 for never repeating."""

    base: float = attrs.field(default=0.5, validator=_seconds)
    """The bound of the first delay, in seconds."""

    maximum: float = attrs.field(default=30.0, validator=_seconds)
    """The bound of every delay, in seconds."""

    lookups: int = attrs.field(default=5, validator=_at_least_one)
    """How often to look for the label of a create whose outcome is in doubt."""

    def bound(self, failures: int, retry_after: float | None = None) -> float:
        """Return the longest wait in seconds after so many failures in a row, at least 1."""
        if retry_after is not None:
            return min(max(retry_after, 0.0), self.maximum)
        return min(self.maximum, self.base * 2.0 ** min(failures - 1, 60))

    def delay(self, failures: int, retry_after: float | None = None) -> float:
        """Return the wait in seconds before the next attempt."""
        bound = self.bound(failures, retry_after)
        return bound if retry_after is not None else bound * random.random()  # noqa: S311 -- jitter is no secret


def judge_create(
    history: Sequence[Attempted], *, more: bool, own_label: bool, looked: bool, repeat_unknown: bool
) -> Verdict:
    """Return what to do after the attempts of a create, oldest first.

    An attempt that may have left is never simply repeated. Only `repeat_unknown`, the caller's
    explicit choice, repeats it, and only after a look-up found nothing.

    Args:
        history: Every attempt so far, at least one.
        more: Whether another attempt is allowed: attempts, retry budget and deadline.
        own_label: Whether the label was minted here, so that nobody else can hold it.
        looked: Whether the label was looked up since the last attempt, and not found.
        repeat_unknown: Whether to repeat what is in doubt.
    """
    last = history[-1]
    doubt = any(each.outcome.in_doubt for each in history)
    if last.outcome is Outcome.DONE:
        return Verdict.RETURN
    if last.outcome in {Outcome.NOT_LEFT, Outcome.TOO_MANY} and more:
        return Verdict.RETRY
    if last.code == _LABEL_IN_USE and own_label:
        doubt = True
    if not doubt:
        return Verdict.RAISE
    if not looked:
        return Verdict.RECONCILE
    return Verdict.RETRY if repeat_unknown and last.outcome.in_doubt and more else Verdict.RAISE


def judge_repeatable(history: Sequence[Attempted], *, more: bool) -> Verdict:
    """Return what to do after the attempts of a request that is safe to repeat.

    Args:
        history: Every attempt so far, oldest first, at least one.
        more: Whether another attempt is allowed: attempts, retry budget and deadline.
    """
    outcome = history[-1].outcome
    if outcome is Outcome.DONE:
        return Verdict.RETURN
    repeatable = outcome not in {Outcome.REFUSED, Outcome.UNREADABLE}
    return Verdict.RETRY if repeatable and more else Verdict.RAISE


def outcome_of(status: int, code: int | None) -> Outcome:
    """Return how an attempt ended that was answered with this HTTP status and error code."""
    if code == _ADDING_FAILED:
        return Outcome.SERVER_ERROR
    if 200 <= status < 300:  # noqa: PLR2004 -- the class of statuses
        return Outcome.DONE
    if status == _TOO_MANY_REQUESTS:
        return Outcome.TOO_MANY
    if status >= 500 or status == 408:  # noqa: PLR2004 -- the class of statuses; 408 comes from gateways
        return Outcome.SERVER_ERROR
    if status >= 400:  # noqa: PLR2004 -- the class of statuses
        return Outcome.REFUSED
    return Outcome.UNREADABLE
