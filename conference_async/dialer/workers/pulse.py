"""The words of a worker for whoever watches it from outside: a line a minute, and one per event.

Every line is a log record with its facts beside it (`extra`): ``event`` says which kind it is. No
record holds a phone number, a label or a secret.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from conference_async.client import ConferenceClient
from conference_async.dialer.ledger.outcome import Outcome
from conference_async.pace.contract import LimitSnapshot
from conference_async.privacy import one_line
from conference_async.sending.entries import State

EVERY = 60.0
"""Seconds between two lines."""

_log = logging.getLogger("conference_async.dialer")


class Pulse:
    """Counts what becomes of a worker's targets.

    Args:
        clients: What calls; of several, their sums are said.
        in_hand: Returns how many targets the worker holds.
    """

    def __init__(self, clients: Sequence[ConferenceClient], in_hand: Callable[[], int]) -> None:
        self._limits = [client.limit for client in clients]
        self._in_hand = in_hand
        self._ended = Counter[State]()
        self._said = math.nan

    def note(self, campaign: str, number: int, outcome: Outcome) -> None:
        """Take note of what became of a target.

        Args:
            campaign: The campaign's ledger.
            number: The target's row there, by its number.
            outcome: What became of it.
        """
        self._ended[outcome.state] += 1
        if outcome.state not in {State.REFUSED, State.UNKNOWN}:
            return
        reason = one_line(outcome.reason or "no reason is known")
        _log.log(
            logging.WARNING if outcome.state is State.UNKNOWN else logging.INFO,
            "row %d of the campaign %r is %s: %s",
            number,
            one_line(campaign),
            outcome.state,
            reason,
            extra={
                "event": f"target.{outcome.state}",
                "campaign": campaign,
                "row": number,
                "reason": reason,
            },
        )

    @contextmanager
    def beating(self) -> Generator[None]:
        """Say what was done, every minute and in the end."""
        task = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            task.cancel()
            self.say()

    async def _beat(self) -> None:
        self._said = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(EVERY)
            self.say()

    def say(self) -> None:
        """Say what was done since the last time."""
        ended, self._ended = self._ended, Counter[State]()
        said, self._said = self._said, asyncio.get_running_loop().time()
        limits, in_hand = [limit.snapshot() for limit in self._limits], self._in_hand()
        cps = sum(limit.cps for limit in limits)
        counts = {state.value: ended[state] for state in _SAID}
        _log.info(
            "in %.0f s %s; %d in hand; at %g per second",
            self._said - said,
            ", ".join(f"{number} {state}" for state, number in counts.items() if number)
            or "nothing",
            in_hand,
            cps,
            extra={
                "event": "worker.pulse",
                "seconds": round(self._said - said, 1),
                **counts,
                "in_hand": in_hand,
                "waiting": sum(limit.waiting for limit in limits),
                "cps": cps,
                "effective_cps": sum(limit.effective_cps for limit in limits),
                "queue_time": max(limit.queue_time for limit in limits),
                "live": sum(live) if (live := _counted(limits)) else None,
            },
        )


def _counted(limits: list[LimitSnapshot]) -> list[int]:
    return [limit.live for limit in limits if limit.live is not None]


_SAID = (State.PLACED, State.REFUSED, State.UNKNOWN, State.SKIPPED, State.PLANNED)
"""The states that a target may have when a worker is done with it; planned ones are put off."""
