"""Creating a participant: the state machine that never dials twice and never loses a target."""

import asyncio
import logging
import math
from datetime import timedelta

import attrs

from conference_async.errors import (
    ConferenceError,
    ConfigurationError,
    DeadlineExceeded,
    LabelInUse,
    OutcomeUnknown,
    UnexpectedReply,
)
from conference_async.limits import Turn
from conference_async.line import next_ticket
from conference_async.lookup import Found, live_participant
from conference_async.masking import mask
from conference_async.models import NewParticipant, Participant, mint_label
from conference_async.retry import Attempted, Outcome, Verdict, judge_create
from conference_async.sender import Exchange, Sender, describe, seconds_left, what_came
from conference_async.transport import Failure, OneShotForm, Reply, Request
from conference_async.wire import decode_participant, encode_form, participants_path

TOLD = 10.0
"""Seconds until `before_send` is awaited again: one that outlasts slots must not go on for ever."""

_DATE_ROUNDING = 2.0
_log = logging.getLogger("conference_async.creation")


class Creation:
    """One create, from its place in line to a known, or known to be unknown, outcome.

    Args:
        sender: What to send through.
        conference: A conference SID or a friendly name.
        new: Whom to dial.
    """

    def __init__(self, sender: Sender, conference: str, new: NewParticipant) -> None:
        minted = mint_label() if new.label is None and sender.options.mint_labels else None
        self._sender = sender
        self._conference = conference
        self._label = new.label or minted
        self._own_label = minted is not None
        self._request = Request(
            kind="create",
            method="POST",
            path=participants_path(sender.account_sid, conference),
            form=encode_form(new, label=minted),
        )
        self._ticket = next_ticket()
        self._history: list[Attempted] = []
        self._sent_at = 0.0
        self._deadline_at = sender.deadline_at()

    async def run(self) -> Participant:
        """Return the participant that was placed.

        Raises:
            NotSent: Nothing was sent.
            RequestRefused: The service said no, and nothing was placed.
            OutcomeUnknown: It may have been placed.
            asyncio.CancelledError: With an `OutcomeUnknown` as its cause if it was in flight.
        """
        try:
            return await self._run()
        except asyncio.CancelledError as cancelled:
            if self._in_doubt:
                raise cancelled from self._unknown("it was cancelled in flight")
            raise
        except (OutcomeUnknown, LabelInUse):
            raise
        except Exception as error:
            if self._in_doubt:
                raise self._unknown(describe(error)) from error
            raise

    async def _run(self) -> Participant:
        sender = self._sender
        while True:
            exchange = await self._attempt()
            read = self._read(exchange)
            if isinstance(read, Participant):
                self._note(exchange, None, Verdict.RETURN)
                sender.learn(read.queue_time or 0)
                return read
            outcome = Outcome.UNREADABLE if isinstance(read, UnexpectedReply) else None
            verdict, looked = self._note(exchange, outcome), False
            if verdict is Verdict.RECONCILE:
                found = await self.reconcile(self._deadline_at)
                if found is not None:
                    return found
                verdict, looked = self._judge(looked=True), True
            if verdict is Verdict.RAISE:
                if looked or self._in_doubt:
                    raise self._unknown(what_came(exchange, read), exchange.result) from read
                raise sender.error(exchange, "conference") from read
            sender.spend(exchange.attempted)
            if self._history[-1].outcome.in_doubt:
                pause = sender.options.retry.delay(len(self._history))
                await asyncio.sleep(min(pause, seconds_left(self._deadline_at)))

    @staticmethod
    def _read(exchange: Exchange) -> Participant | BaseException | None:
        """Return the participant that a reply holds, or what stands in the way of one."""
        if isinstance(exchange.result, Failure):
            return exchange.result.error
        if exchange.attempted.outcome is not Outcome.DONE:
            return None
        try:
            return exchange.result.read(decode_participant)
        except UnexpectedReply as error:
            return error

    def _note(
        self, exchange: Exchange, outcome: Outcome | None, verdict: Verdict | None = None
    ) -> Verdict:
        attempted = exchange.attempted
        if outcome is not None:
            attempted = attrs.evolve(attempted, outcome=outcome)
            exchange = attrs.evolve(exchange, attempted=attempted)
        self._history.append(attempted)
        verdict = verdict or self._judge(looked=False)
        self._sender.report(exchange, len(self._history), verdict, self._label)
        return verdict

    def _judge(self, *, looked: bool) -> Verdict:
        return judge_create(
            self._history,
            more=self._sender.more(self._history, self._deadline_at),
            own_label=self._own_label,
            looked=looked or self._label is None,
            repeat_unknown=self._sender.options.retry_unknown,
        )

    @property
    def _in_doubt(self) -> bool:
        return any(attempted.outcome.in_doubt for attempted in self._history)

    async def _attempt(self) -> Exchange:
        sender, loop = self._sender, asyncio.get_running_loop()
        entered = loop.time()
        turn, in_front = await self._wait()
        form = OneShotForm(self._request.form or b"")
        try:
            sent = loop.time()
            if not self._in_doubt:
                self._sent_at = sent
            if (left := seconds_left(self._deadline_at)) <= 0:
                raise self._too_late()
            times = {"entered": entered, "in_front": in_front, "sent": sent}
            timeout = min(sender.options.timeout, left)
            try:
                result = await sender.transport.send(self._request, form, timeout)
            except asyncio.CancelledError as cancelled:
                if form.left:
                    failure = Failure(left=True, error=cancelled)
                    exchange = sender.settle(self._request, failure, **times)
                    self._history.append(exchange.attempted)
                    sender.report(exchange, len(self._history), None, self._label)
                raise
        finally:
            if not form.left:
                turn.give_back()
            sender.congestion.leave()
        return sender.settle(self._request, result, **times)

    async def _wait(self) -> tuple[Turn, float]:
        """Take a place and a slot, within the deadline."""
        options, limit = self._sender.options, self._sender.limit
        if self._deadline_at is None:
            return await self._front()
        self._refuse_if_late(limit.estimate(options.priority))
        scope = asyncio.timeout_at(self._deadline_at)
        try:
            async with scope:
                return await self._front()
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise self._too_late() from error

    def _too_late(self) -> DeadlineExceeded:
        options = self._sender.options
        return DeadlineExceeded(
            f"create: its slot did not come within the deadline of {options.deadline:g} s, so "
            "nothing was sent; raise deadline=, or send fewer creates at this CPS",
            estimate=self._sender.limit.estimate(options.priority),
        )

    async def _front(self) -> tuple[Turn, float]:
        """Take a place and a slot; return the turn, to give the slot back if it is not used.

        The place is taken at the front of the line, so that only one create at a time holds one
        of those that other requests need while it waits for its slot, and so that nothing but
        the slot stands between a create and its start.
        """
        sender, loop = self._sender, asyncio.get_running_loop()
        options, congestion = sender.options, sender.congestion
        told_at = -math.inf
        while True:
            async with sender.limit.turn(options.priority, self._ticket) as turn:
                await congestion.enter()
                try:
                    in_front = loop.time()
                    await turn.slot()
                except BaseException:
                    congestion.leave()
                    raise
            try:
                if options.before_send is not None and loop.time() - told_at > TOLD:
                    await options.before_send(self._label, len(self._history) + 1)
                    told_at = loop.time()
                started = await turn.start()
            except BaseException:
                turn.give_back()
                congestion.leave()
                raise
            if started:
                return turn, in_front
            congestion.leave()

    def _refuse_if_late(self, estimate: float) -> None:
        left = seconds_left(self._deadline_at)
        if estimate > left and not self._history:
            raise DeadlineExceeded(
                f"create: the earliest free slot is {estimate:.3g} s away and the deadline "
                f"{left:.3g} s, so nothing was sent; raise deadline=, or dial fewer at this CPS",
                estimate=estimate,
            )

    async def reconcile(self, deadline_at: float | None) -> Participant | None:
        """Return what the label finds, looking again with growing pauses; None if nothing.

        Args:
            deadline_at: The instant of the loop's clock at which to give up, or None.

        Raises:
            LabelInUse: It finds somebody who was there before this create.
        """
        sender, label, policy = self._sender, self._label, self._sender.options.retry
        once = attrs.evolve(sender.options, deadline=None, retry=attrs.evolve(policy, attempts=1))
        ask = attrs.evolve(sender, options=once).request
        try:
            async with asyncio.timeout_at(deadline_at):
                for number in range(policy.lookups):
                    await asyncio.sleep(policy.bound(number) if number else 0)
                    try:
                        found = await live_participant(
                            ask, sender.account_sid, self._conference, label or ""
                        )
                    except ConfigurationError:  # the client is closed meanwhile
                        return None
                    except ConferenceError as error:
                        _log.debug("looking for label %s failed: %s", mask(label or ""), error)
                        continue
                    if found is not None:
                        return self._ours(found)
        except TimeoutError:
            _log.debug("looking for label %s took until the deadline", mask(label or ""))
        return None

    def _ours(self, found: Found) -> Participant:
        """Return what the label found, unless it was there before this create was sent.

        Both instants are the service's own, so that no clock of ours can be wrong.
        """
        created, seen = found.participant.date_created, found.seen_at
        if not self._own_label and created is not None and seen is not None:
            age = asyncio.get_running_loop().time() - self._sent_at + _DATE_ROUNDING
            if created < seen - timedelta(seconds=age):
                raise LabelInUse(
                    f"create: label {self._label!r} belongs to a participant who was in the "
                    "conference before, so nothing was placed; give each participant its own label",
                    status=400,
                    code=16026,
                )
        return attrs.evolve(found.participant, reconciled=True)

    def _unknown(self, what: str, result: Reply | Failure | None = None) -> OutcomeUnknown:
        error = OutcomeUnknown(
            f"create in {self._conference!r} with label {self._label!r}: {what}. It may have been "
            "placed. Before dialling again ask `await error.reconcile(client)`, look at the "
            "account's call log, or let a person decide",
            conference=self._conference,
            label=self._label,
            attempts=len(self._history),
            request_id=result.request_id if isinstance(result, Reply) else None,
        )
        _log.warning("%s", error)
        return error
