"""Text and numbers of the application's, without the class that it made of them.

A member of ``class Room(str, Enum)`` is equal to its text and hashes like it, yet an f-string and
`str` write ``Room.STANDUP``. So whoever takes text takes it plain: what is checked, compared and
remembered is then what is sent.
"""

from typing import Any, TypeVar

T = TypeVar("T")

PLAIN = frozenset[type]({str, bool, int, type(None)})
"""The classes of what is plain, for those who have so much of it that a call counts."""


def plain(value: T) -> T:
    """Return a `str` or an `int` as it is in itself, if its class is another; else the value."""
    if type(value) in PLAIN:
        return value
    bare: Any = value
    if isinstance(value, str):
        bare = str.__str__(value)
    elif isinstance(value, int):
        bare = int.__index__(value)
    return bare  # type: ignore[no-any-return]  # it is equal to the value, and stands in for it
