"""The place of one process in the queue of those that dial in bulk for an account."""

import math

from conference_async.pace.contract import SECOND
from conference_async.pace.slots import Queuing, Reservation

_LEAD = 0.25
"""Seconds before its slot at which a bulk create asks for it, at the least: the round trip and what
may delay it fit in."""

_PASSED_AT_MOST = 4
"""How often its slot may go to interactive creates of others: until it has one, about nine of them
passed it, as in line."""

_ANY = 1e9
"""Seconds within which any slot begins."""


class Queue:
    """When this process has to ask for its next bulk slot, and how near that must be.

    It asks half an interval before the slot of which it was told, so that all processes together
    have no more than one reserved beside the one under way; or a quarter of a second before it,
    where slots follow each other faster than anybody notices. If an interactive create took one of
    those before it, its own is not near yet: it is told of the last in the queue, and who is behind
    it, and asks one interval later, has that slot.
    """

    def __init__(self) -> None:
        self.at: float = -math.inf
        """When about our next bulk slot begins, on the loop's clock; minus infinity if we were told
        of none."""
        self._passed = 0

    @property
    def waits(self) -> bool:
        """Whether we were told of a slot."""
        return self.at > -math.inf

    def asks_at(self, rate: float) -> float:
        """Return the instant at which to ask for it, at so many slots per second."""
        return self.at - _lead(rate)

    def asks(self, now: float, rate: float, *, more: bool) -> Queuing:
        """Return what to ask with.

        Whose slot went to others too often has the next one, near or not.

        Args:
            now: The loop's time.
            rate: The slots per second.
            more: Whether another bulk create waits behind.
        """
        if self.at + 1 / rate < now:  # nobody was here to ask for it: it went to another
            self.leave()
        near = _near(rate) if self._passed < _PASSED_AT_MOST else _ANY
        return Queuing(within=near, told=self.waits, more=more)

    @staticmethod
    def reach(rate: float) -> float:
        """Return the seconds from now to the end of all slots that are reserved, at the most."""
        return _near(rate) + 1 / rate

    def hears(self, reservation: Reservation, offset: float) -> None:
        """Take note of the answer.

        Args:
            reservation: What the store said.
            offset: The seconds by which the loop's clock is ahead of the store's.
        """
        self._passed = 0 if reservation.taken else self._passed + self.waits
        told = reservation.expected
        self.at = -math.inf if told is None else told / SECOND + offset

    def leave(self) -> None:
        """Forget the slot."""
        self.at, self._passed = -math.inf, 0


def _lead(rate: float) -> float:
    return max(_LEAD, 0.5 / rate)


def _near(rate: float) -> float:
    return _lead(rate) + 0.5 / rate  # for those who are early, and for slots that are late
