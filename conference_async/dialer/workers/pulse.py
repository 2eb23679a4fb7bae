"""The words of a worker for whoever watches it from outside: a line a minute, and one per event.

Every line is a log record with its facts beside it (`extra`): ``event`` says which kind it is. No
record holds a phone number, a label or a secret.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable

from conference_async.client import ConferenceClient
from conference_async.dialer.ledger.outcome import Outcome
from conference_async.privacy import one_line
from conference_async.sending.entries import State

EVERY = 60.0
"""Seconds between two lines."""

_log = logging.getLogger("conference_async.dialer")


class Pulse:
    """Counts what becomes of a worker's targets.

    Args:
        client: What calls.
        in_hand: Returns how many targets the worker holds.
    """

    def __init__(self, client: ConferenceClient, in_hand: Callable[[], int]) -> None:
        self._client = client
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

    async def beat(self) -> None:
        """Say what was done, every minute, until it is cancelled."""
        self._said = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(EVERY)
            self.say()

    def say(self) -> None:
        """Say what was done since the last time."""
        ended, self._ended = self._ended, Counter[State]()
        said, self._said = self._said, asyncio.get_running_loop().time()
        snapshot, in_hand = self._client.limit.snapshot(), self._in_hand()
        counts = {state.value: ended[state] for state in _SAID}
        _log.info(
            "in %.0f s %s; %d in hand; at %g per second",
            self._said - said,
            ", ".join(f"{number} {state}" for state, number in counts.items() if number)
            or "nothing",
            in_hand,
            snapshot.cps,
            extra={
                "event": "worker.pulse",
                "seconds": round(self._said - said, 1),
                **counts,
                "in_hand": in_hand,
                "waiting": snapshot.waiting,
                "cps": snapshot.cps,
                "effective_cps": snapshot.effective_cps,
                "queue_time": snapshot.queue_time,
                "live": snapshot.live,
            },
        )


_SAID = (State.PLACED, State.REFUSED, State.UNKNOWN, State.SKIPPED, State.PLANNED)
"""The states that a target may have when a worker is done with it; planned ones are put off."""
