"""How a call ended, and whether to call again."""

import asyncio
import logging
from collections.abc import Callable

import attrs

from conference_async.dialer.execution import Executor
from conference_async.dialer.ledger import Outcome
from conference_async.dialer.policy import Redial
from conference_async.models import Participant

WATCHED = 5000
"""Calls whose end is waited for at the same time."""

_log = logging.getLogger("conference_async.dialer")


@attrs.frozen(kw_only=True)
class Redialler:
    """Waits for the end of calls, and plans the next one where the policy says so."""

    redial: Redial
    executor: Executor
    halted: asyncio.Event
    """Set when the run ends: then nothing is waited for, and nothing planned again."""

    permits: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(WATCHED))

    async def follow(
        self, outcome: Outcome, participant: Participant, watched: Callable[[], object]
    ) -> Outcome:
        """Return what was placed with how the call ended, or as planned again.

        Args:
            outcome: What the ledger has.
            participant: The participant that was placed.
            watched: Called once one of the `permits` is held; the caller releases it.
        """
        await self.permits.acquire()
        watched()
        status = await self._status(participant)
        if status is None:
            return outcome
        again = status in self.redial.on and outcome.attempts < self.redial.attempts
        if again and not self.halted.is_set():
            after = outcome.again(f"{status}, to be called again")
        else:
            after = outcome.noted(status)
        await self.executor.swap(outcome, after)
        return after

    async def _status(self, participant: Participant) -> str | None:
        watch = asyncio.ensure_future(self.redial.watch(participant))
        halted = asyncio.create_task(self.halted.wait())
        try:
            await asyncio.wait({watch, halted}, return_when=asyncio.FIRST_COMPLETED)
            return watch.result() if watch.done() and not watch.cancelled() else None
        except Exception:  # noqa: BLE001 -- a caller's mistake in a callback must not end the run
            _log.exception("watching call %s failed; it is not called again", participant.call_sid)
            return None
        finally:
            halted.cancel()
            watch.cancel()
