"""No pace: what stands in for a limit where no phone can ring."""

import math
from contextlib import AbstractAsyncContextManager
from typing import Self

from conference_async.pace.contract import LimitSnapshot, Turn
from conference_async.pace.line import Priority


class Unpaced:
    """No limit at all: for emulators and benchmarks, never for an account with phones behind it."""

    cps: float = math.inf

    def turn(self, priority: Priority, ticket: int) -> AbstractAsyncContextManager[Turn]:  # noqa: ARG002 -- the protocol's signature
        """Return what can be entered at once."""
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def slot(self) -> None:
        """Return at once."""

    async def start(self) -> bool:
        """Return at once that there is nothing to wait for."""
        return True

    def give_back(self) -> None:
        """Do nothing: there are always more slots."""

    def estimate(self, priority: Priority) -> float:  # noqa: ARG002 -- the protocol's signature
        """Return 0."""
        return 0.0

    def observe(self, queue_time: int) -> None:
        """Do nothing."""

    def snapshot(self) -> LimitSnapshot:
        """Return that nothing is held back."""
        return LimitSnapshot(
            cps=math.inf, effective_cps=math.inf, waiting=0, next_start=0.0, queue_time=0
        )
