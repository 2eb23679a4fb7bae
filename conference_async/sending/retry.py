"""The next step after an attempt: pure functions from what happened to a verdict."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import attrs

from conference_async.backoff import Backoff, is_seconds
from conference_async.bounds import check_count
from conference_async.errors import ConfigurationError
from conference_async.privacy import described
from conference_async.sending.attempts import AttemptOutcome, Ending, Verdict

_LABEL_IN_USE = 16026
_NEVER_PROCESSED = {AttemptOutcome.NOT_LEFT, AttemptOutcome.TOO_MANY, AttemptOutcome.OUTDATED}

RetryUnknown: TypeAlias = bool | Literal["when-absent"]
"""Whether to send again what is in doubt: never, always, or where nothing was placed."""


def check_retry_unknown(
    _instance: object, attribute: "attrs.Attribute[RetryUnknown]", value: object
) -> None:
    """Refuse what is no `RetryUnknown`."""
    if not isinstance(value, bool) and value != "when-absent":
        raise ConfigurationError(
            f"{attribute.name} must be False, True or 'when-absent', not {value!r}"
        )


def _at_least_one(_instance: "RetryPolicy", attribute: "attrs.Attribute[int]", value: int) -> None:
    check_count(attribute.name, value)


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
    """Attempts in all, 1 for never repeating. One that was answered 401, and is repeated with
    other credentials, is not counted."""

    base: float = attrs.field(default=0.5, validator=is_seconds)
    """The bound of the first delay, in seconds."""

    maximum: float = attrs.field(default=30.0, validator=is_seconds)
    """The bound of every delay, in seconds."""

    lookups: int = attrs.field(default=5, validator=_at_least_one)
    """How often to look for the label of a create whose outcome is in doubt."""

    settled: float = attrs.field(default=30.0, validator=is_seconds)
    """Seconds after the last attempt from which what it placed is visible: under its label, and in
    the account's call log, which is read no earlier. The service says of the log only that it is
    eventually consistent, and gives no number."""

    def __repr__(self) -> str:
        return described(self)

    def bound(self, failures: int, retry_after: float | None = None) -> float:
        """Return the longest wait in seconds after so many failures in a row."""
        if retry_after is not None:
            return min(max(retry_after, 0.0), self.maximum)
        return Backoff(self.base, self.maximum).bound(failures)

    def delay(self, failures: int, retry_after: float | None = None) -> float:
        """Return the wait in seconds before the next attempt."""
        if retry_after is not None:
            return self.bound(failures, retry_after)
        return Backoff(self.base, self.maximum, jitter=True).delay(failures)


def judge_create(
    history: Sequence[Ending],
    *,
    more: bool,
    own_label: bool,
    looked: bool,
    absent: bool = False,
    repeat_unknown: RetryUnknown,
) -> Verdict:
    """Return what to do after the attempts of a create, oldest first.

    An attempt that may have left is never simply repeated. Only `repeat_unknown`, the caller's
    explicit choice, repeats it, and only after a look-up found nothing; ``"when-absent"`` only
    after one that showed that nothing was placed.

    Args:
        history: Every attempt so far, at least one.
        more: Whether another attempt is allowed: attempts, retry budget and deadline.
        own_label: Whether the label was minted here, so that nobody else can hold it.
        looked: Whether it was looked for since the last attempt, and not found.
        absent: Whether that look showed that nothing was placed.
        repeat_unknown: Whether to repeat what is in doubt.
    """
    last = history[-1]
    doubt = any(each.outcome.in_doubt for each in history)
    if last.outcome is AttemptOutcome.DONE:
        return Verdict.RETURN
    if last.outcome in _NEVER_PROCESSED and more:
        return Verdict.RETRY
    clash = last.code == _LABEL_IN_USE and own_label
    doubt |= clash
    if not doubt:
        return Verdict.RAISE
    if not looked:
        return Verdict.RECONCILE
    if repeat_unknown == "when-absent":
        repeat = absent and (last.outcome.in_doubt or clash)
    else:
        repeat = repeat_unknown and last.outcome.in_doubt
    return Verdict.RETRY if repeat and more else Verdict.RAISE


def judge_repeatable(last: Ending, *, more: bool) -> Verdict:
    """Return what to do after an attempt at a request that is safe to repeat.

    Args:
        last: How it ended.
        more: Whether another attempt is allowed: attempts, retry budget and deadline.
    """
    outcome = last.outcome
    if outcome is AttemptOutcome.DONE:
        return Verdict.RETURN
    repeatable = outcome not in {AttemptOutcome.REFUSED, AttemptOutcome.UNREADABLE}
    return Verdict.RETRY if repeatable and more else Verdict.RAISE
