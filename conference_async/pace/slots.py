"""The row that a shared store keeps for one account, and the arithmetic of handing out its slots.

All instants are microseconds of the *store's* clock. A client only hears how long to wait,
so that no machine's clock matters.
"""

import math
from typing import Protocol

import attrs

from conference_async.errors import ConfigurationError
from conference_async.plain_values import plain

SECOND = 1_000_000
"""One second in the units of the store's clock."""

LOWEST_HOLDS = 60 * SECOND
"""How long a rate holds against higher ones, after the last slot of its process."""

STEP_BACK = 1 * SECOND
"""A clock that went back further than this has been set: what the row says is worth nothing."""


@attrs.frozen(kw_only=True)
class Reservation:
    """One slot of the account's pace, ours until it is used, given back or too late."""

    wait: float
    """Seconds from the store's answer to the slot; 0 if a create may start at once."""

    slot: int
    """The instant of the slot in microseconds of the store's clock, which may begin anywhere."""

    after: int = 0
    """The instant of the slot after it, by which the store knows whether another was taken."""

    cps: float
    """The calls per second that hold for the account: the lowest that a process asked for."""

    factor: float = 1.0
    """How far below `cps` the account stays while a queue at the service drains."""

    queue_time: int = 0
    """The wait in milliseconds that the service reported when `factor` was last changed."""

    unchanged: float = math.inf
    """Seconds since `factor` was last changed, by any process."""

    asked: float | None = attrs.field(default=None, eq=False)
    """When the store was asked, on the loop's clock, where a question has to wait for its turn
    first; None if none has."""


class SlotStore(Protocol):
    """The store in which the processes of one account meet; `SharedLimit` makes a limit of it.

    The reservation must be atomic. A store that can lock a value has only to keep a `Pace` and
    call `Pace.reserve` under the lock. An exception other than `ConfigurationError` means that
    the store cannot be reached now: it is asked again, after half a second at most.
    """

    async def open(self) -> None:
        """Connect if that has to be done: what it takes shall not make the answer look late."""
        ...

    async def reserve(self, *, cps: float, floor: float) -> Reservation:
        """Take the next slot.

        Args:
            cps: The calls per second that this process was given.
            floor: Seconds before which nothing may start if the store has lost its state.
        """
        ...

    async def give_back(self, reservation: Reservation) -> bool:
        """Free a slot that will not be used; False if a later one was taken, which keeps it."""
        ...

    async def report(self, *, factor: float, queue_time: int) -> None:
        """Share a new slow-down factor and the queue time in milliseconds it came from."""
        ...

    async def aclose(self) -> None:
        """Close what is open; the next call opens it again."""
        ...


@attrs.frozen(kw_only=True)
class Pace:
    """The one row that a store keeps for an account."""

    after: int
    """The instant of the next free slot."""

    seen: int
    """The clock when the row was last written."""

    cps: float
    """The calls per second that hold."""

    held_until: int
    """The instant after which a higher `cps` is believed."""

    factor: float = 1.0
    """As in `Reservation`."""

    queue_time: int = 0
    """As in `Reservation`."""

    changed: int = 0
    """When `factor` was last changed; 0 if never."""

    @staticmethod
    def reserve(
        row: "Pace | None", *, now: int, cps: float, floor: float
    ) -> tuple["Pace", Reservation]:
        """Return the row after taking the next slot, and the slot.

        Args:
            row: What the store holds, None if nothing.
            now: What the store's clock says, read while the row was locked.
            cps: As for `SlotStore.reserve`.
            floor: As for `SlotStore.reserve`.
        """
        if row is None or row.seen > now + STEP_BACK:
            slot = now + math.ceil(floor * SECOND) + (STEP_BACK if row else 0)
            row = Pace(after=slot, seen=now, cps=cps, held_until=slot)
        slot = max(now, row.after)
        if cps <= row.cps or now > row.held_until:
            row = attrs.evolve(row, cps=cps, held_until=slot + LOWEST_HOLDS)
        row = attrs.evolve(row, seen=now, after=slot + math.ceil(SECOND / (row.cps * row.factor)))
        return row, Reservation(
            wait=(slot - now) / SECOND,
            slot=slot,
            after=row.after,
            cps=row.cps,
            factor=row.factor,
            queue_time=row.queue_time,
            unchanged=max(0, now - row.changed) / SECOND,
        )

    def give_back(self, reservation: Reservation) -> "Pace | None":
        """Return the row with the slot free again, None if it was not the last one taken."""
        if self.after != reservation.after:
            return None
        return attrs.evolve(self, after=reservation.slot)

    def report(self, *, now: int, factor: float, queue_time: int) -> "Pace":
        """Return the row with another slow-down."""
        return attrs.evolve(self, factor=factor, queue_time=queue_time, changed=now)


def check_account(account: object) -> str:
    """Return the name of an account if a store can keep a row under it.

    Raises:
        ConfigurationError: It cannot.
    """
    if not isinstance(account, str) or not account or "\0" in account:
        raise ConfigurationError(
            f"account must name whose pace it is, such as the account's SID, not {account!r}"
        )
    return plain(account)
