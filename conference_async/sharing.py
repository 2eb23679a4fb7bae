"""What all users of one place have in common: made for the first of them, closed after the last."""

import asyncio
import os
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import attrs

from conference_async.rooted import Rooted, of_the_parent

T = TypeVar("T")


@attrs.define
class _Shared(Generic[T]):
    thing: T
    users: int = 0


# The users hold it, for what is shared may hold the loop: one that ends is not kept by us.
_shares: WeakKeyDictionary[
    asyncio.AbstractEventLoop, WeakValueDictionary[Hashable, _Shared[Any]]
] = WeakKeyDictionary()


def _inherit() -> None:
    for others in _shares.values():
        of_the_parent.extend(others.values())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_inherit)


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
        self._shared: _Shared[T] | None = None

    @property
    def held(self) -> T | None:
        """The thing, if this user has a share in it on the loop that runs, in this process."""
        if self._shared is None or self._home != (asyncio.get_running_loop(), os.getpid()):
            return None
        return self._shared.thing

    def take(self) -> T:
        """Return the thing, of which this user is one from now on."""
        if (held := self.held) is not None:
            return held
        loop = asyncio.get_running_loop()
        others = _shares.setdefault(loop, WeakValueDictionary())
        shared: _Shared[T] = others.get(self._key) or _Shared(self._make())
        others[self._key] = shared
        shared.users += 1
        self._home, self._shared = (loop, os.getpid()), shared
        return shared.thing

    def leave(self) -> T | None:
        """Be a user no longer; return the thing if it was the last one, so that it is closed."""
        thing, shared = self.held, self._shared
        if thing is None or shared is None:
            return None
        self._home = self._shared = None
        shared.users -= 1
        if shared.users:
            return None
        del _shares[asyncio.get_running_loop()][self._key]
        return thing

    @property
    def _key(self) -> Hashable:
        return self._place, os.getpid()
