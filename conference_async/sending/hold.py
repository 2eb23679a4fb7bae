"""A claim that is renewed for as long as its create is under way."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

from conference_async.errors import ConferenceError
from conference_async.plain_functions import finished
from conference_async.sending.claims import Claim
from conference_async.sending.intents import LEASE, Intent, elapsed
from conference_async.sending.options import Claiming

STANDS = LEASE * 2 / 3
"""Seconds for which a claim is trusted at the wire without asking the journal."""

RENEWED_EVERY = LEASE / 3


class Taken(Exception):
    """Another execution has the key."""


class Hold(Claiming):
    """A claim that is renewed for as long as its create is under way."""

    def __init__(
        self,
        claim: Claim[Intent],
        before_send: Callable[[str | None, int], Awaitable[object]] | None,
    ) -> None:
        self.claim = claim
        self._before_send = before_send
        self._confirmed = -math.inf
        self._renewing: asyncio.Task[None] | None = None

    async def __call__(self, label: str | None, number: int) -> None:
        """Claim the key when the create has its slot, or see to it that it is still ours."""
        begun = elapsed()
        if self.claim.entry is None:
            if not await self.claim.make(label):
                self.claim.entry = None
                raise Taken
            self._confirmed = begun
            self._renewing = asyncio.create_task(self._renew())
        elif not self.stands():
            if not await self.claim.stands():
                raise Taken
            self._confirmed = begun
        if self._before_send is not None:
            await finished(self._before_send(label, number))

    def stands(self) -> bool:
        """Return whether nobody can have taken us for dead, at the last moment before it leaves."""
        return elapsed() - self._confirmed < STANDS

    async def conclude(self, after: Intent) -> bool:
        """Write down what became of it."""
        return await self.claim.conclude(after)

    def release(self) -> None:
        """Stop renewing."""
        if self._renewing is not None:
            self._renewing.cancel()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWED_EVERY)
            begun = elapsed()
            with suppress(ConferenceError):  # the next renewal may succeed
                if not await self.claim.stands():
                    return
                self._confirmed = begun
