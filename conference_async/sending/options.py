"""The settings of a client, or of a view of it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import attrs

from conference_async.bounds import check_seconds
from conference_async.errors import ConfigurationError
from conference_async.pace.line import Priority
from conference_async.plain_functions import check_callable, check_plain
from conference_async.sending.attempts import AttemptEvent
from conference_async.sending.observing import Observer, check_observer
from conference_async.sending.retry import RetryPolicy, RetryUnknown, check_retry_unknown

if TYPE_CHECKING:
    from conference_async.sending.intents import JournalStore

_STORE = ("known", "swap", "remembered")


def _positive(_instance: "Options", attribute: "attrs.Attribute[float]", value: float) -> None:
    check_seconds(attribute.name, value, zero=False)


def _remembers(
    _instance: "Options", _attribute: "attrs.Attribute[JournalStore | None]", value: object
) -> None:
    if value is not None and not all(callable(getattr(value, name, None)) for name in _STORE):
        raise ConfigurationError(
            "journal must be a Journal or PostgresJournal, as in Journal('calls.db'), not "
            f"{type(value).__name__}"
        )


def _plain(
    _instance: "Options",
    attribute: "attrs.Attribute[Callable[[AttemptEvent], None]]",
    value: Callable[[AttemptEvent], None],
) -> None:
    check_plain(attribute.name, value)


_BeforeSend: TypeAlias = Callable[[str | None, int], Awaitable[object]]


class Claiming:
    """A `before_send` of ours, which claims what is sent: nobody else has it for a while."""

    in_doubt: bool = False
    """Whether an attempt before this one may have placed somebody; the create says so."""

    async def __call__(self, label: str | None, number: int) -> None:
        """Make the claim; or, where it may stand no more, see to it that it does."""
        raise NotImplementedError

    def stands(self) -> bool:
        """Return whether nobody can have taken us for dead, at the last moment before it leaves."""
        raise NotImplementedError


def _callable(
    _instance: "Options", attribute: "attrs.Attribute[_BeforeSend]", value: object
) -> None:
    check_callable(attribute.name, value)


def _flag(_instance: "Options", attribute: "attrs.Attribute[bool]", value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{attribute.name} must be True or False, not {value!r}")


def _policy(
    _instance: "Options", _attribute: "attrs.Attribute[RetryPolicy]", value: object
) -> None:
    if not isinstance(value, RetryPolicy):
        raise ConfigurationError(
            f"retry must be a RetryPolicy, as in RetryPolicy(attempts=3), not {value!r}"
        )


def _priority(value: Priority) -> Priority:
    try:
        return Priority(value)
    except ValueError:
        raise ConfigurationError(
            f"priority must be Priority.INTERACTIVE or Priority.BULK, not {value!r}"
        ) from None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Options:
    """Settings of one view of a client; see `ConferenceClient` for their meaning."""

    timeout: float = attrs.field(default=30.0, validator=_positive)
    deadline: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(_positive)
    )
    retry: RetryPolicy = attrs.field(factory=RetryPolicy, validator=_policy)
    retry_unknown: RetryUnknown = attrs.field(default=False, validator=check_retry_unknown)
    mint_labels: bool = attrs.field(default=True, validator=_flag)
    priority: Priority = attrs.field(default=Priority.INTERACTIVE, converter=_priority)
    on_attempt: Callable[[AttemptEvent], None] | None = attrs.field(
        default=None, validator=attrs.validators.optional(_plain)
    )
    before_send: _BeforeSend | None = attrs.field(
        default=None, validator=attrs.validators.optional(_callable)
    )
    journal: "JournalStore | None" = attrs.field(default=None, validator=_remembers)
    telemetry: Observer | None = attrs.field(default=None, validator=check_observer)
