"""Holding creates to the account's calls per second: in one process, or in many.

What a limit of your own needs: `SharedLimit` over a `SlotStore`, which is a `QueueStore` too if
bulk creates of many processes hold no interactive one up, and a `LineStore` if it counts live
calls; or the protocol `Limit`, with `LiveLimit` for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from conference_async.pace.contract import LiveLimit, Turn
from conference_async.pace.lines import LineBook, LineCount, LineNews, LineStore, LineWish

if TYPE_CHECKING:
    from conference_async.pace.slots import Pace, QueueStore, Queuing, Reservation

__all__ = [
    "LineBook",
    "LineCount",
    "LineNews",
    "LineStore",
    "LineWish",
    "LiveLimit",
    "Pace",
    "QueueStore",
    "Queuing",
    "Reservation",
    "Turn",
]

_SLOTS = frozenset({"Pace", "QueueStore", "Queuing", "Reservation"})


def __getattr__(name: str) -> object:
    # A limit of one process has no store, and loads nothing of one.
    if name in _SLOTS:
        return getattr(import_module("conference_async.pace.slots"), name)
    raise AttributeError(f"module 'conference_async.pace' has no attribute {name!r}")
