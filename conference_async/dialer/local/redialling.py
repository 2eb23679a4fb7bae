"""How a call ended, and whether to call again."""

import asyncio
from collections.abc import Callable

import attrs

from conference_async.dialer.calling.asking import answer_of
from conference_async.dialer.calling.decide import after_call
from conference_async.dialer.calling.execution import Executor
from conference_async.dialer.ledger.outcome import Outcome
from conference_async.dialer.rules.wishes import Redial
from conference_async.models import Participant

WATCHED = 5000
"""Calls whose end is waited for at the same time."""

_ENDS = {
    "complete": "completed",
    "busy": "busy",
    "no-answer": "no-answer",
    "failed": "failed",
    "canceled": "canceled",
}
"""How a call ended, in the words of calls, by the last status of its participant."""


@attrs.frozen(kw_only=True)
class Redialler:
    """Waits for the end of calls, and plans the next one where the campaign asks for it."""

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
        on = frozenset[str]() if self.halted.is_set() else self.redial.on
        after = after_call(outcome, status, attempts=self.redial.attempts, on=on)
        await self.executor.swap(outcome, after)
        return after

    async def _status(self, participant: Participant) -> str | None:
        if participant.evidence == "call-log" and participant.status in _ENDS:
            return _ENDS[participant.status]  # it was over before it was found
        what = f"watching call {participant.call_sid}"
        watch = asyncio.create_task(answer_of(what, lambda: self.redial.watch(participant)))
        halted = asyncio.create_task(self.halted.wait())
        try:
            await asyncio.wait({watch, halted}, return_when=asyncio.FIRST_COMPLETED)
            status = watch.result() if watch.done() else None
            return status if isinstance(status, str) else None
        finally:
            halted.cancel()
            watch.cancel()
