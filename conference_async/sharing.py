"""What all users of one place have in common: made for the first of them, closed after the last."""

import asyncio
import os
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import attrs

from conference_async.rooted import Rooted

T = TypeVar("T")


@attrs.define
class _Shared(Generic[T]):
    thing: T
    users: int = 0


_shares: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Shared[Any]]] = (
    WeakKeyDictionary()
)


class Share(Rooted, Generic[T]):
    """One user's share of something that is the same for all who name the same place.

    It is of the event loop that runs, and of this process: another loop, or a process that was
    forked, has one of its own.

    Args:
        place: What names it.
        make: Makes it.
    """

    def __init__(self, place: Hashable, make: Callable[[], T]) -> None:
        self._place = place
        self._make = make
        self._home: tuple[asyncio.AbstractEventLoop, int] | None = None

    @property
    def held(self) -> T | None:
        """The thing, if this user has a share in it on the loop that runs, in this process."""
        loop = asyncio.get_running_loop()
        if self._home != (loop, os.getpid()):
            return None
        thing: T = _shares[loop][self._key].thing
        return thing

    def take(self) -> T:
        """Return the thing, of which this user is one from now on."""
        if (held := self.held) is not None:
            return held
        loop = asyncio.get_running_loop()
        others = _shares.setdefault(loop, {})
        if self._key not in others:
            others[self._key] = _Shared(self._make())
        shared: _Shared[T] = others[self._key]
        shared.users += 1
        self._home = loop, os.getpid()
        return shared.thing

    def leave(self) -> T | None:
        """Be a user no longer; return the thing if it was the last one, so that it is closed."""
        thing = self.held
        if thing is None:
            return None
        others, self._home = _shares[asyncio.get_running_loop()], None
        others[self._key].users -= 1
        if others[self._key].users:
            return None
        del others[self._key]
        return thing

    @property
    def _key(self) -> Hashable:
        return self._place, os.getpid()
