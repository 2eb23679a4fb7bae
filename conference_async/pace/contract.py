"""The contract between a limit, which paces creates, and those who wait for it."""

from collections.abc import Awaitable, Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias, runtime_checkable

import attrs

from conference_async.bounds import is_number
from conference_async.errors import ConfigurationError
from conference_async.pace.line import Priority
from conference_async.privacy import described

MAX_CPS = 30.0
"""The most calls per second that an account can have."""

SECOND = 1_000_000
"""One second in the units of a store's clock."""


@attrs.frozen(kw_only=True)
class LimitSnapshot:
    """The state of a limit at one moment."""

    cps: float
    """The configured calls per second."""

    effective_cps: float
    """The calls per second now, lower than `cps` while a growing call queue drains."""

    waiting: int
    """How many creates stand in line."""

    next_start: float
    """Seconds until the earliest free slot; 0 when a create could start at once."""

    queue_time: int
    """The wait in milliseconds that the service last reported for a call of this account."""

    live: int | None = None
    """How many lines are taken, as far as is known: live calls, and creates on their way. None
    where lines are not counted."""

    max_live: int | None = None
    """The configured lines of the account; None where they are not counted."""

    effective_max_live: int | None = None
    """The lines now: fewer than `max_live` after the service refused a call for want of one."""

    def __repr__(self) -> str:
        return described(self)


class Turn(Protocol):
    """The way of one create from the front of the line to the wire."""

    def slot(self) -> Coroutine[Any, Any, None]:
        """Wait, at the front of the line, until the create has to set out to its slot."""
        ...

    def start(self) -> Coroutine[Any, Any, bool]:
        """Wait for the slot; False if none can come as things are, and the create must go back.

        To be called last, when all that is left is to write the request: this is the instant
        that is paced.
        """
        ...

    def give_back(self) -> None:
        """Note that the create did not start, so that the next can have what it took."""
        ...


LookAtCalls: TypeAlias = Callable[[], Awaitable[AbstractSet[str]]]
"""Returns the SIDs of the account's live calls, queued and ringing ones included."""


@runtime_checkable
class LiveLimit(Protocol):
    """What a `Limit` has beside, if it counts the account's live calls (``max_live=``)."""

    @property
    def max_live(self) -> int | None:
        """How many calls of the account may be live at once; None if they are not counted."""
        ...

    def look_with(self, look: LookAtCalls) -> None:
        """Take what a client can find the account's live calls with.

        It is used while a create waits for a line, twice in a second at most.
        """
        ...

    def answered(self, turn: Turn, *, call_sid: str | None = None, code: int | None = None) -> None:
        """Note what the service made of a create: a call, or nothing.

        Without an answer this is not called, and the line stays taken until it is known whether
        there is such a call.

        Args:
            turn: The create's, which has started.
            call_sid: The call; None if the create was refused.
            code: The error code that it was refused with, if it had one.
        """
        ...

    def apply(self, event: object) -> None:
        """Note that a call ended, if that is what an event of a `Receiver` says."""
        ...


class Limit(Protocol):
    """The object that paces creates: `CreateLimit`, a shared limit, `Unpaced`, or your own."""

    @property
    def cps(self) -> float:
        """The configured calls per second."""
        ...

    def turn(self, priority: Priority, ticket: int) -> AbstractAsyncContextManager[Turn]:
        """Wait for the front of the line and hold it inside the ``async with``.

        Args:
            priority: Interactive creates pass before bulk ones.
            ticket: The order within a priority, from `next_ticket`; a repeated attempt keeps it.
        """
        ...

    def estimate(self, priority: Priority) -> float:
        """Return the seconds until a create of this priority could start, at the least."""
        ...

    def observe(self, queue_time: int) -> None:
        """Take note of a ``queue_time`` in milliseconds that the service reported."""
        ...

    def snapshot(self) -> LimitSnapshot:
        """Return what the limit is doing now."""
        ...


def check_cps(cps: float) -> float:
    """Return `cps` if it is a rate that an account can have: more than 0, at most 30.

    Raises:
        ConfigurationError: It is not.
    """
    if not is_number(cps) or not 0 < cps <= MAX_CPS:
        raise ConfigurationError(
            f"cps must be more than 0 and at most {MAX_CPS:g}, not {cps!r}: "
            "the calls per second of your account, shown in the service's console"
        )
    return float(cps)


def check_lines(max_live: int | None, reserved: int) -> None:
    """Refuse lines that no account can have.

    Raises:
        ConfigurationError: `max_live` is not None and no int of 1 or more, or `reserved` is not
            from 0 to one less, or is given alone.
    """
    if max_live is not None and (type(max_live) is not int or max_live < 1):
        raise ConfigurationError(f"max_live must be an int of 1 or more, or None, not {max_live!r}")
    if type(reserved) is not int or not 0 <= reserved < (max_live or 1):
        raise ConfigurationError(
            f"reserved must be an int from 0 to one less than max_live, not {reserved!r}"
        )
