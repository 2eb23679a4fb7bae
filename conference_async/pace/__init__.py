"""Holding creates to the account's calls per second: in one process, or in many.

What a limit of your own needs: `SharedLimit` over a `SlotStore`, which is a `QueueStore` too if
bulk creates of many processes hold no interactive one up, and a `LineStore` if it counts live
calls; or the protocol `Limit`, with `LiveLimit` for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from conference_async.pace.contract import LiveLimit, Turn

if TYPE_CHECKING:
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

# A limit of one process has no store, and loads nothing of one.
_HOMES = {
    **dict.fromkeys(("Pace", "QueueStore", "Queuing", "Reservation"), "slots"),
    **dict.fromkeys(("LineBook", "LineCount", "LineNews", "LineStore", "LineWish"), "lines"),
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"conference_async.pace.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'conference_async.pace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
