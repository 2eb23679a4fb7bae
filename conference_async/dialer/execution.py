"""One call to one target: written down before, and after."""

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime

import attrs

from conference_async.client import ConferenceClient
from conference_async.dialer.ledger import MOVES, LedgerStore, Outcome, State
from conference_async.errors import (
    CallQueueFull,
    ConferenceError,
    LabelInUse,
    LedgerError,
    NotAuthorized,
    NotSent,
    OutcomeUnknown,
    RequestRefused,
    TooManyRequests,
)
from conference_async.line import Priority
from conference_async.models import NewParticipant, Participant

HOLD = 10.0
"""Seconds for which a claim is trusted. Who slept longer asks the ledger whether it still stands:
another may have taken the program for dead."""

NOT_PLACED = (NotSent, TooManyRequests, CallQueueFull)
"""Nothing happened, and it may work later."""


@attrs.frozen(kw_only=True)
class Executor:
    """Calls targets, and looks for those that may have been called; one ledger row each."""

    client: ConferenceClient
    ledger: LedgerStore
    clock: Callable[[], datetime]

    async def call(
        self, planned: Outcome, new: NewParticipant, leaving: Callable[[], object]
    ) -> tuple[Outcome, Participant | None]:
        """Call a target, and return what became of it, as the ledger has it now.

        Args:
            planned: The target, which is ``planned`` or ``skipped`` in the ledger.
            new: The request.
            leaving: Called when the request has its slot, before anything is written: until then
                it may be cancelled without a trace.

        Raises:
            LedgerError: The ledger cannot be written to.
            ConferenceError: The account or the client cannot call anybody; this target is
                planned, as before.
            asyncio.CancelledError: The ledger knows what became of it.
        """
        return await _Execution(self, planned, leaving).run(new)

    async def look_up(self, doubtful: Outcome) -> tuple[Outcome, Participant | None]:
        """Look for the label of a target that may have been called, and write down what is found.

        Not finding it proves nothing: the call may be over. Then it is ``unknown``, for a person
        to decide. If the service cannot be asked, nothing changes, and the next run asks again.

        Args:
            doubtful: The target, which is ``sending`` or ``unknown`` in the ledger.

        Raises:
            LedgerError: The ledger cannot be written to.
        """
        policy = self.client.options.retry
        view = self.client.with_options(retry=attrs.evolve(policy, attempts=1), deadline=None)
        failure: ConferenceError | None = None
        found: Participant | None = None
        for number in range(policy.lookups):
            await asyncio.sleep(policy.bound(number) if number else 0)
            try:
                found = await view.find_placed(doubtful.conference, doubtful.label or "")
                failure = None
            except ConferenceError as error:
                failure = error
            if found is not None:
                break
        if failure is not None:
            return attrs.evolve(doubtful, reason=f"it could not be looked up: {failure}"), None
        if found is not None:
            after = doubtful.placed(found, self.clock(), "found by its label")
        else:
            after = doubtful.unknown(
                "it was about to be sent when the run ended, and its label is not found: look at "
                "the account's call log, or let a person decide",
                self.clock(),
            )
        await self.swap(doubtful, after)
        return after, found

    async def swap(self, before: Outcome, after: Outcome) -> None:
        """Replace what the ledger has of a target.

        Raises:
            LedgerError: It cannot, or has something else than `before`.
        """
        if not await self.ledger.swap(before, after):
            raise LedgerError("another program changed the ledger; nothing more is dialled")

    async def conclude(self, claim: Outcome, after: Outcome) -> None:
        """Write down what became of a target that we claimed.

        What somebody else guessed meanwhile, taking us for dead, gives way to what we know.

        Raises:
            LedgerError: It cannot be written, or another execution has the target.
        """
        if await self.ledger.swap(claim, after):
            return
        (known,) = await self.ledger.enrol([claim])
        if known.token == claim.token and after.state in MOVES[known.state]:
            await self.swap(known, after)
            return
        raise LedgerError("another program changed the ledger; nothing more is dialled")


class _Execution:
    """One call to one target, with a token of its own."""

    def __init__(self, executor: Executor, planned: Outcome, leaving: Callable[[], object]) -> None:
        self._executor = executor
        self._planned = planned
        self._leaving = leaving
        self._claim: Outcome | None = None
        self._held_at = executor.clock()

    async def run(self, new: NewParticipant) -> tuple[Outcome, Participant | None]:
        executor, planned = self._executor, self._planned
        if planned.label is not None:
            new = attrs.evolve(new, label=planned.label)
        result = await self._create(new)
        claim = self._claim
        if claim is None:
            if isinstance(result, NOT_PLACED):
                return attrs.evolve(planned, reason=str(result)), None
            raise result if isinstance(result, Exception) else LedgerError("nothing was written")
        if isinstance(result, LabelInUse) and planned.label is not None:
            return await executor.look_up(claim)
        if isinstance(result, Participant):
            found = "found by its label" if result.reconciled else None
            after = claim.placed(result, executor.clock(), found)
            await executor.conclude(claim, after)
            return after, result
        after = self._failed(claim, result)
        await executor.conclude(claim, after)
        if after.state is State.PLANNED and not isinstance(result, NOT_PLACED):
            raise result
        return after, None

    async def _create(self, new: NewParticipant) -> Participant | Exception:
        view = self._executor.client.with_options(
            priority=Priority.BULK, before_send=self._before_send, mint_labels=True, deadline=None
        )
        try:
            return await view.conferences(self._planned.conference).participants.create(new)
        except asyncio.CancelledError as cancelled:
            if self._claim is not None:
                after = self._failed(self._claim, OutcomeUnknown.behind(cancelled))
                # The claim may not have been written; then there is nothing to take back.
                await asyncio.shield(self._executor.ledger.swap(self._claim, after))
            raise
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 -- written down first, then raised where it must
            return error

    async def _before_send(self, label: str | None, number: int) -> None:
        executor = self._executor
        if self._claim is None:
            self._leaving()
            self._claim = self._planned.claimed(secrets.token_hex(8), label, executor.clock())
            await executor.swap(self._planned, self._claim)
            self._held_at = executor.clock()
        elif abs((executor.clock() - self._held_at).total_seconds()) > HOLD:
            await self._claim_again(self._claim, number)
            self._held_at = executor.clock()
        if executor.client.options.before_send is not None:
            await executor.client.options.before_send(label, number)

    async def _claim_again(self, claim: Outcome, number: int) -> None:
        executor = self._executor
        if await executor.ledger.swap(claim, claim):
            return
        if number == 1:
            await executor.conclude(claim, claim.not_sent("its turn came too late"))
        raise LedgerError("another program took the target over; it is not called from here")

    def _failed(self, claim: Outcome, error: Exception | None) -> Outcome:
        now = self._executor.clock()
        if isinstance(error, OutcomeUnknown):
            return claim.unknown(str(error), now)
        if isinstance(error, RequestRefused) and not isinstance(
            error, (NotAuthorized, *NOT_PLACED)
        ):
            return claim.refused(str(error), now)
        return claim.not_sent(str(error or "cancelled before it was sent"))
