"""Holding creates to the account's calls per second: in one process, or in many.

What a limit of your own needs: `SharedLimit` over a `SlotStore`, which is a `QueueStore` too if
bulk creates of many processes hold no interactive one up, and a `LineStore` if it counts live
calls; or the protocol `Limit`, with `LiveLimit` for them.
"""

from conference_async.pace.contract import LiveLimit, Turn
from conference_async.pace.lines import LineBook, LineCount, LineNews, LineStore, LineWish
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
