"""Holding creates to the account's calls per second: in one process, or in many.

What a limit of your own needs: `SharedLimit` over a `SlotStore`, which is a `LineStore` too if it
counts live calls; or the protocol `Limit`, with `LiveLimit` for them.
"""

from conference_async.pace.contract import LiveLimit, Turn
from conference_async.pace.lines import LineBook, LineCount, LineNews, LineStore, LineWish
from conference_async.pace.slots import Pace, Reservation

__all__ = [
    "LineBook",
    "LineCount",
    "LineNews",
    "LineStore",
    "LineWish",
    "LiveLimit",
    "Pace",
    "Reservation",
    "Turn",
]
