"""One call to one target: written down before, and after."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial

import attrs

from conference_async.client import ConferenceClient
from conference_async.dialer.calling.contacting import Contacting
from conference_async.dialer.calling.known import found_by
from conference_async.dialer.ledger.outcome import LedgerStore, Outcome
from conference_async.errors import LabelInUse, LedgerError, OutcomeUnknown
from conference_async.journal.contacts import Contact
from conference_async.models import NewParticipant, Participant
from conference_async.pace.line import Priority
from conference_async.plain_functions import finished
from conference_async.sending.claims import Claim, Entries, conclude
from conference_async.sending.entries import NO_ROOM, NOT_PLACED, State
from conference_async.sending.intents import elapsed
from conference_async.sending.many import Finding
from conference_async.sending.observing import Told, observed
from conference_async.sending.options import Claiming
from conference_async.sending.sought import Sought

CLAIM_STANDS = 10.0
"""Seconds for which a claim is trusted, fewer than any after which a program is taken for dead.
One that was stopped for longer, or whose machine slept, asks the ledger before anything leaves."""


_TOGETHER = 500
"""Targets in doubt that are looked for at the same time."""


@attrs.frozen
class _Targets(Entries[Outcome]):
    """A ledger's targets, one by one."""

    ledger: LedgerStore

    async def swap(self, before: Outcome, after: Outcome) -> bool:
        """Replace what the ledger has of a target; return whether `after` now stands."""
        return await self.ledger.swap(before, after)

    async def known(self, entry: Outcome) -> Outcome:
        """Return what the ledger has of a target."""
        (known,) = await self.ledger.enrol([entry])
        return known


@attrs.frozen(kw_only=True)
class Executor:
    """Calls targets, and looks for those that may have been called; one ledger row each."""

    client: ConferenceClient
    ledger: LedgerStore
    clock: Callable[[], datetime]

    contacting: Contacting | None = None
    """What keeps to limits; None where there are none."""

    async def call(
        self,
        planned: Outcome,
        new: NewParticipant,
        leaving: Callable[[], object],
        no_room: Callable[[Exception], object] = lambda _error: None,
    ) -> tuple[Outcome, Participant | None]:
        """Call a target, and return what became of it, as the ledger has it now.

        Args:
            planned: The target, which is ``planned`` or ``skipped`` in the ledger.
            new: The request.
            leaving: Called when the request has its slot, before anything is written: until then
                it may be cancelled without a trace.
            no_room: Called with the error if the account, its queue or the conference is full: the
                target is planned, as before, and there is room again when calls end.

        Raises:
            CalledTooOften: The limits of the contact rules do not allow it any more; this target
                is planned, as before.
            LedgerError: The ledger cannot be written to.
            ConferenceError: The account or the client cannot call anybody; this target is
                planned, as before.
            asyncio.CancelledError: The ledger knows what became of it.
        """
        execution = _Execution(self, planned, leaving, no_room)
        work = partial(execution.run, new)
        return await observed(self.client.options.telemetry, "target", work, _told)

    async def look_up(
        self, doubtful: Sequence[Outcome], *, again: bool
    ) -> list[tuple[Outcome, Participant | None]]:
        """Find out what became of targets that may have been called, and write it down.

        They are looked for by their labels and in the account's call log, in few requests, once
        what was placed must be visible. What cannot be told is ``unknown``, for a person to
        decide. If the service cannot be asked, nothing changes, and the next run asks again.

        Args:
            doubtful: Targets that are ``sending`` or ``unknown`` in the ledger, and in nobody's
                hands.
            again: Whether one that was certainly not placed is planned again where the client's
                `retry_unknown` is ``"when-absent"``.

        Raises:
            LedgerError: The ledger cannot be written to.
        """
        findings = await self.client.find_many([self._sought(each, again) for each in doubtful])
        pairs = list(zip(doubtful, findings, strict=True))
        return await asyncio.gather(*(self._found(*pair, again=again) for pair in pairs))

    async def look_up_all(self, *states: State, again: bool) -> AsyncGenerator[Outcome, None]:
        """Find out what became of all targets in some states, and yield what is not to be called.

        Args:
            states: ``sending`` and ``unknown``.
            again: As for `look_up`.

        Raises:
            LedgerError: The ledger cannot be read, or written to.
        """
        some: list[Outcome] = []
        async with aclosing(self.ledger.outcomes(*states)) as outcomes:
            async for outcome in outcomes:
                some.append(outcome)
                if len(some) == _TOGETHER:
                    for found, _ in await self.look_up(some, again=again):
                        if found.state is not State.PLANNED:
                            yield found
                    some = []
        for found, _ in await self.look_up(some, again=again):
            if found.state is not State.PLANNED:
                yield found

    def _sought(self, doubtful: Outcome, dead: bool) -> Sought:  # noqa: FBT001 -- handed on
        now = datetime.now(UTC)
        since = now - self.clock()  # by the clock that wrote it, which a test may set
        sent_at = doubtful.sent_at and doubtful.sent_at + since
        ended_at = doubtful.ended_at and doubtful.ended_at + since
        if sent_at is not None and doubtful.state is State.SENDING:
            longest = timedelta(seconds=CLAIM_STANDS + self.client.options.timeout)
            last = ended_at or sent_at
            ended_at = last + longest
            if dead:  # whatever it had sent is with the service by now
                ended_at = min(ended_at, max(last, now))
        return Sought.at(
            doubtful.conference,
            doubtful.label,
            sent_at=sent_at,
            ended_at=ended_at,
            to=doubtful.to,
            from_=doubtful.caller,
        )

    async def _found(
        self, doubtful: Outcome, finding: Finding, *, again: bool
    ) -> tuple[Outcome, Participant | None]:
        now, participant = self.clock(), finding.participant
        if participant is not None:
            after = doubtful.placed(participant, now, found_by(participant))
        elif finding.clash is not None:
            after = doubtful.unknown(
                "its label belongs to somebody who was in the conference before; give each target "
                "a label of its own, and let a person decide",
                now,
            )
        elif finding.unread:
            return attrs.evolve(doubtful, reason=f"it could not be looked up: {finding}"), None
        elif finding.absent:
            after = doubtful.unknown(f"nothing was placed: {finding}", now)
            if again and self.client.options.retry_unknown == "when-absent":
                after = after.again(f"nothing was placed, so it is called again: {finding}")
        else:
            after = doubtful.unknown(
                f"it may have been called: {finding}; look yourself, or let a person decide", now
            )
        await self.swap(doubtful, after)
        return after, participant

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
        if not await conclude(_Targets(self.ledger), claim, after):
            raise LedgerError("another program changed the ledger; nothing more is dialled")


def _told(called: tuple[Outcome, Participant | None]) -> Told:
    outcome, participant = called
    if participant is None:
        return Told(outcome.state.value)
    return Told(outcome.state.value, participant.call_sid, participant.conference_sid)


class _Execution(Claiming):
    """One call to one target, with a token of its own."""

    _confirmed = -math.inf
    """When the ledger was last asked for the claim, and had it."""

    def __init__(
        self,
        executor: Executor,
        planned: Outcome,
        leaving: Callable[[], object],
        no_room: Callable[[Exception], object] = lambda _error: None,
    ) -> None:
        self._executor = executor
        self._planned = planned
        self._leaving = leaving
        self._no_room = no_room
        self._claim = Claim(_Targets(executor.ledger), planned, planned, executor.clock)
        self._contact: Contact | None = None

    async def run(self, new: NewParticipant) -> tuple[Outcome, Participant | None]:
        executor, planned = self._executor, self._planned
        if planned.label is not None:
            new = attrs.evolve(new, label=planned.label)
        result = await self._create(new)
        if isinstance(result, NO_ROOM):
            self._no_room(result)
        claim = self._claim.entry
        if claim is None:
            await self._not_made()
            if isinstance(result, NOT_PLACED):
                return attrs.evolve(planned, reason=str(result)), None
            raise result if isinstance(result, Exception) else LedgerError("nothing was written")
        if isinstance(result, LabelInUse) and planned.label is not None:
            ((after, found),) = await executor.look_up([claim], again=False)
            return after, found
        if isinstance(result, Participant):
            after = claim.placed(result, executor.clock(), found_by(result))
            await executor.conclude(claim, after)
            return after, result
        after = claim.failed(result, executor.clock())
        await executor.conclude(claim, after)
        absent = isinstance(result, OutcomeUnknown) and result.absent
        if after.state is not State.UNKNOWN or absent:
            await self._not_made()
        if after.state is State.PLANNED and not isinstance(result, NOT_PLACED):
            raise result
        return after, None

    async def _create(self, new: NewParticipant) -> Participant | Exception:
        view = self._executor.client.with_options(
            priority=Priority.BULK, before_send=self, mint_labels=True, deadline=None
        )
        try:
            return await view.conferences(self._planned.conference).participants.create(new)
        except asyncio.CancelledError as cancelled:
            if (claim := self._claim.entry) is not None:
                executor = self._executor
                after = claim.failed(OutcomeUnknown.behind(cancelled), executor.clock())
                # The claim may not have been written; then there is nothing to take back.
                await asyncio.shield(executor.ledger.swap(claim, after))
                if after.state is not State.UNKNOWN:
                    await asyncio.shield(self._not_made())
            else:
                await asyncio.shield(self._not_made())
            raise
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 -- written down first, then raised where it must
            return error

    async def __call__(self, label: str | None, number: int) -> None:
        """Claim the target when the request has its slot, or see to it that it is still ours."""
        executor = self._executor
        claim = self._claim.entry
        if claim is None:
            self._leaving()
            if executor.contacting is not None:
                self._contact = await executor.contacting.claim(self._planned, executor.clock())
            begun = elapsed()
            if not await self._claim.make(label):
                raise LedgerError("another program changed the ledger; nothing more is dialled")
            self._confirmed = begun
        if executor.client.options.before_send is not None:
            await finished(executor.client.options.before_send(label, number))
        if not self.stands():
            begun = elapsed()
            await self._claim_again(label)
            self._confirmed = begun

    def stands(self) -> bool:
        """Return whether nobody can have taken us for dead, at the last moment before it leaves."""
        return elapsed() - self._confirmed <= CLAIM_STANDS

    async def _not_made(self) -> None:
        """Let a call that was not made count no more."""
        contacting, contact = self._executor.contacting, self._contact
        if contacting is not None and contact is not None:
            await contacting.forget(contact)

    async def _claim_again(self, label: str | None) -> None:
        """See to it that the target is still ours, though we may have been taken for dead.

        The hour may have passed, too. As long as nothing may have been placed, all is decided as if
        its turn began now, and what is sent now is to be looked for from now on.
        """
        executor, claim = self._executor, self._claim.entry
        self._leaving()
        if claim is None or self.in_doubt:
            ours = await self._claim.stands()
        else:
            late = claim.not_sent("its turn came too late")
            self._claim = Claim(_Targets(executor.ledger), claim, late, executor.clock)
            ours = await self._claim.make(label)
            if not ours:
                await executor.conclude(claim, late)
        if not ours:
            raise LedgerError("another program took the target over; it is not called from here")
