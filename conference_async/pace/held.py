"""A slot that a process has reserved, with the line that comes with it."""

import math

import attrs

from conference_async.pace.line import Priority
from conference_async.pace.slots import Reservation


@attrs.frozen(kw_only=True)
class Held:
    """A slot on the running loop's clock, in seconds."""

    at: float
    """When it begins."""

    until: float = math.inf
    """When it is too late to use it: one interval later, so that no second sees more than one
    start too many."""

    reservation: Reservation | None = None
    """The store's name for it; None for a slot of our own while the store is gone."""

    line: str | None = None
    """The name of the line that comes with it, where lines are counted."""

    least: Priority = Priority.BULK
    """The last priority that may use it: bulk creates may not have a line that is reserved."""

    wanted: bool = True
    """Whether the store may want it back: it has not declined, and others hardly reserved since."""
