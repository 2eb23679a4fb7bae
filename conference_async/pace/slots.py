"""The row that a shared store keeps for one account, and the arithmetic of handing out its slots.

All instants are microseconds of the *store's* clock. A client only hears how long to wait,
so that no machine's clock matters.
"""

import math
from typing import Protocol, runtime_checkable

import attrs

from conference_async.errors import ConfigurationError
from conference_async.pace.contract import SECOND
from conference_async.plain_values import plain

LOWEST_HOLDS = 60 * SECOND
"""How long a rate holds against higher ones, after the last slot of its process."""

STEP_BACK = 1 * SECOND
"""A clock that went back further than this has been set: what the row says is worth nothing."""


@attrs.frozen(kw_only=True)
class Queuing:
    """What a process says that asks for a slot for a bulk create.

    So that an interactive create finds a slot that is near, bulk creates have theirs only shortly
    before. Their processes are told which slot will be about theirs, and ask when that is near; the
    answer says which will be the next.
    """

    within: float
    """How many seconds from now the slot may begin at most."""

    told: bool = False
    """Whether it was told of a slot. If not it has none before those who were."""

    more: bool = False
    """Whether it will ask for another slot, too."""

    @property
    def near(self) -> int:
        """The microseconds of `within`."""
        return math.ceil(self.within * SECOND)


@attrs.frozen(kw_only=True)
class Reservation:
    """One slot of the account's pace, ours until it is used, given back or too late."""

    wait: float
    """Seconds from the store's answer to the slot; 0 if a create may start at once."""

    slot: int
    """The instant of the slot in microseconds of the store's clock, which may begin anywhere."""

    taken: bool = True
    """Whether the slot is ours. If not, it is the one that is expected."""

    expected: int | None = None
    """When about the next slot begins that a bulk create can have; None if none was asked for."""

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


@runtime_checkable
class QueueStore(Protocol):
    """What a store has beside a `SlotStore` so that bulk creates hold up no interactive one.

    A store that keeps a `Pace` has only to hand `queuing` on to `Pace.reserve`.
    """

    async def reserve_queued(self, *, cps: float, floor: float, queuing: Queuing) -> Reservation:
        """Take the next slot if it is near enough, as `SlotStore.reserve` does, or none."""
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

    told: int = 0
    """The instant after the last slot that somebody was told to ask for when it is near."""

    @staticmethod
    def reserve(
        row: "Pace | None", *, now: int, cps: float, floor: float, queuing: Queuing | None = None
    ) -> tuple["Pace", Reservation]:
        """Return the row after taking the next slot, and the slot.

        Args:
            row: What the store holds, None if nothing.
            now: What the store's clock says, read while the row was locked.
            cps: As for `SlotStore.reserve`.
            floor: As for `SlotStore.reserve`.
            queuing: As for `QueueStore.reserve_queued`; None to take the slot, near or not.
        """
        fresh = row is None or row.seen > now + STEP_BACK
        if row is None or fresh:
            slot = now + math.ceil(floor * SECOND) + (STEP_BACK if row else 0)
            row = Pace(after=slot, seen=now, cps=cps, held_until=slot)
        slot = max(now, row.after)
        if cps <= row.cps or now > row.held_until:
            row = attrs.evolve(row, cps=cps, held_until=slot + LOWEST_HOLDS)
        # Where no slot is taken yet, whoever was told of one did not ask for it: all that is void.
        told = row.told if row.after > now else 0
        taken = (
            fresh
            or queuing is None
            or (slot - now <= queuing.near and (queuing.told or told <= row.after))
        )
        after = slot + row.interval if taken else row.after
        if queuing and (queuing.more or not taken):
            told = max(after, told) + row.interval
        row = attrs.evolve(row, seen=now, after=after, told=told)
        return row, row.answer(slot if taken else row.last_told, queuing)

    @property
    def interval(self) -> int:
        """The microseconds between two slots."""
        return math.ceil(SECOND / (self.cps * self.factor))

    @property
    def last_told(self) -> int:
        """The last slot that somebody was told to ask for."""
        return self.told - self.interval

    def answer(
        self, slot: int, queuing: Queuing | None = None, asked: float | None = None
    ) -> Reservation:
        """Return what whoever asked is told, from the row as it was written.

        Args:
            slot: The slot that was taken, or `last_told`.
            queuing: What was asked.
            asked: As in `Reservation`.
        """
        taken = slot < self.after
        told = queuing is not None and (queuing.more or not taken)
        return Reservation(
            wait=(slot - self.seen) / SECOND,
            slot=slot,
            taken=taken,
            expected=self.last_told if told else None,
            after=self.after,
            cps=self.cps,
            factor=self.factor,
            queue_time=self.queue_time,
            unchanged=max(0, self.seen - self.changed) / SECOND,
            asked=asked,
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
