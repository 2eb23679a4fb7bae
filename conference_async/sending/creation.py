"""Creating a participant: the state machine that never dials twice and never loses a target."""

import asyncio
import logging
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from functools import partial

from conference_async.errors import DeadlineExceeded, LabelInUse, OutcomeUnknown, UnexpectedReply
from conference_async.models import NewParticipant, PlacedParticipant, mint_label
from conference_async.pace.contract import Turn
from conference_async.pace.line import next_ticket
from conference_async.plain_functions import failure_of, finished
from conference_async.sending.attempts import DONE, RETURN, Verdict
from conference_async.sending.evidence import Search
from conference_async.sending.lookup import same_label
from conference_async.sending.messages import Reply, Request, describe
from conference_async.sending.observing import Observer, Told, carrying, observed
from conference_async.sending.operation import Attempt
from conference_async.sending.options import Claiming
from conference_async.sending.register import Key, Sent
from conference_async.sending.retry import judge_create
from conference_async.sending.sender import Sender
from conference_async.sending.sought import Sought, callers_of
from conference_async.sending.taken_lines import TakenLines
from conference_async.wire import decode_participant, encode_form, participants_path

_log = logging.getLogger("conference_async.sending")


class Creation:
    """One create, from its place in line to a known, or known to be unknown, outcome.

    Args:
        sender: What to send through.
        conference: A conference SID or a friendly name.
        new: Whom to dial.
        deadline_at: The instant of the loop's clock by which all of it must end, where that is
            not the options' deadline from now.
    """

    def __init__(
        self,
        sender: Sender,
        conference: str,
        new: NewParticipant,
        *,
        deadline_at: float | None = None,
    ) -> None:
        minted = mint_label() if new.label is None and sender.options.mint_labels else None
        self._sender = sender
        self._conference = conference
        self._new = new
        self._label = new.label or minted
        self._own_label = minted is not None
        before_send = sender.options.before_send
        self._claiming = before_send if isinstance(before_send, Claiming) else None
        self._taken_over: Exception | None = None
        self._ticket = next_ticket()
        self._at_wire: Turn | None = None
        self._sent: Sent | None = None
        self._search: Search | None = None
        self._lines = None if sender.lines is None else TakenLines(sender.lines)
        self._operation = sender.begin(
            Request(
                "create",
                "POST",
                participants_path(sender.account_sid, conference),
                encode_form(new, label=minted),
            ),
            self._label,
        )
        if deadline_at is not None:
            self._operation.deadline_at = deadline_at

    def run(self) -> Awaitable[PlacedParticipant]:
        """Return the participant that was placed.

        Raises:
            NotSent: Nothing was sent.
            RequestRefused: The service said no, and nothing was placed.
            OutcomeUnknown: It may have been placed.
            asyncio.CancelledError: With an `OutcomeUnknown` as its cause if it was in flight.
        """
        observer = self._sender.options.telemetry
        if observer is not None:
            return observed(observer, "create", partial(self._watched, observer), told_of)
        return self._run()

    async def _watched(self, observer: Observer) -> PlacedParticipant:
        request = self._operation.request
        request.form = carrying(request.form or b"", observer)
        return await self._run()

    async def _run(self) -> PlacedParticipant:
        """Return the participant, or raise what says whether the phone may be ringing."""
        try:
            while True:
                attempt = await self._attempt()
                participant = self._read(attempt) or await self._look(attempt)
                if participant is not None:
                    self._placed(participant.call_sid)
                    return participant
                if self._claiming is not None:
                    self._claiming.in_doubt = self._operation.in_doubt
                await self._operation.again()
        except OutcomeUnknown:
            raise
        except BaseException as error:
            if isinstance(error, LabelInUse) or not self._operation.may_be_done:
                self._placed("")
                raise
            if isinstance(error, Exception):
                raise self._unknown(describe(error)) from error
            # A cancellation, or what ends the program: it goes on, and carries what is to be asked.
            raise error from self._unknown(f"it was stopped in flight ({describe(error)})")

    async def _look(self, attempt: Attempt) -> PlacedParticipant | None:
        """Return what an attempt without a readable answer has placed; None to make another one.

        Raises:
            ConferenceError: Another one is of no use, or not allowed.
        """
        operation = self._operation
        verdict = self._judge(looked=False)
        operation.report(verdict)
        looked = verdict is Verdict.RECONCILE
        # From here on the phone may be ringing. It is looked for before anything else is
        # decided: a repeat would ring it twice, and an error would lose who was called.
        if looked:
            search = self._search = Search(self._sender, self._sought())
            found = await search.until_settled(operation.deadline_at)
            if found is not None:
                return found
            verdict = self._judge(looked=True, absent=search.absent)
            if search.absent:
                self._placed("")
                if verdict is Verdict.RETRY:
                    operation.settle()
        if verdict is not Verdict.RAISE:
            return None
        # An earlier attempt in doubt outlives what the last one met: "refused" or "not sent" is
        # true of the last one only, and whoever reads it would dial again.
        if looked or operation.in_doubt:
            raise self._unknown(_what_came(attempt), attempt) from attempt.cause
        raise operation.error("conference") from attempt.cause

    def _read(self, attempt: Attempt) -> PlacedParticipant | None:
        """Return the participant that an attempt was answered with, if it was; learn from it."""
        if attempt.ending.outcome is not DONE or not isinstance(attempt.result, Reply):
            return None
        try:
            participant = _answer(attempt.result.body, self._label)
        except UnexpectedReply as error:
            attempt.unreadable(error)
            return None
        self._operation.report(RETURN)
        learn = self._sender.limit.observe
        if failure := failure_of(learn, participant.queue_time or 0):
            _log.error("the limit's observe() raised; the call goes on", exc_info=failure)
        return participant

    def _judge(self, *, looked: bool, absent: bool = False) -> Verdict:
        return judge_create(
            [each.ending for each in self._operation.ended],
            more=self._operation.more(absent=absent),
            own_label=self._own_label,
            looked=looked,
            absent=absent,
            repeat_unknown=self._sender.options.retry_unknown,
        )

    async def _attempt(self) -> Attempt:
        """Make one attempt, with a slot and a place of its own."""
        operation = self._operation
        attempt = operation.attempt
        while True:
            waiting = self._front if operation.deadline_at is None else self._wait
            turn = await waiting(attempt)
            try:
                if operation.deadline_at is not None and operation.seconds_left <= 0:
                    operation.leave()
                    raise self._too_late()
                # What counts for the pace is the instant at which the form leaves, whatever lay
                # between: so the slot is taken by the form, when it stands at the wire.
                if await operation.send(partial(self._may_leave, turn)):
                    return attempt
                if self._taken_over is not None:
                    raise self._taken_over
            finally:
                # The form knows, whatever ended this: an answer, a failure or a cancellation.
                # What has not left used no slot, and what may have left keeps it.
                if not attempt.left:
                    turn.give_back()
                elif self._lines is not None:
                    self._lines.left(turn, attempt.ending)

    async def _may_leave(self, turn: Turn) -> bool:
        if turn is self._at_wire:  # a connection died while the form waited for its slot
            turn.give_back()
        self._at_wire = turn
        claiming = self._claiming
        # The way here took long, or we did not run. To line up again would be as long a way.
        if claiming is not None and not claiming.stands() and not await self._is_ours(claiming):
            return False
        deadline_at = self._operation.deadline_at
        if not await (turn.start() if deadline_at is None else _started_by(deadline_at, turn)):
            return False
        if claiming is not None and not claiming.stands():
            return False
        if self._operation.seconds_left <= 0:  # nothing that was waited for took any time
            return False
        if self._sent is None or self._sent.call_sid is not None:
            self._sent = self._sender.register.sending(self._new.to, self._key)
        return True

    async def _is_ours(self, claiming: Claiming) -> bool:
        """Return whether a claim that may stand no more does; what it raises is kept."""
        scope = asyncio.timeout_at(self._operation.deadline_at)
        try:
            async with scope:
                await claiming(self._label, self._operation.attempt.number)
        except Exception as error:  # noqa: BLE001 -- raised once the form has turned back
            if not scope.expired():
                self._taken_over = error
            return False
        return True

    def _placed(self, call_sid: str) -> None:
        """Take note of the call that was placed; of none if it is empty."""
        if self._sent is not None:
            self._sent.call_sid = call_sid
        if self._lines is not None:
            self._lines.placed(call_sid)

    async def _wait(self, attempt: Attempt) -> Turn:
        """Take a place and a slot, within the deadline."""
        self._refuse_if_late()
        scope = asyncio.timeout_at(self._operation.deadline_at)
        try:
            async with scope:
                return await self._front(attempt)
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise self._too_late() from error

    def _too_late(self) -> DeadlineExceeded:
        options = self._sender.options
        wanted = "slot" if self._sender.lines is None else "slot and line"
        return DeadlineExceeded(
            f"create: its {wanted} did not come within the deadline of {options.deadline:g} s, so "
            "nothing was sent; raise deadline=, or send fewer creates at this CPS",
            estimate=self._sender.limit.estimate(options.priority),
        )

    def _refuse_if_late(self) -> None:
        """Refuse a first attempt whose slot cannot come in time; a later one keeps its place."""
        if self._operation.ended:
            return
        estimate = self._sender.limit.estimate(self._sender.options.priority)
        left = self._operation.seconds_left
        if left <= 0:
            raise self._too_late()
        if estimate > left:
            raise DeadlineExceeded(
                f"create: the earliest free slot is {estimate:.3g} s away and the deadline "
                f"{left:.3g} s, so nothing was sent; raise deadline=, or dial fewer at this CPS",
                estimate=estimate,
            )

    async def _front(self, attempt: Attempt) -> Turn:
        """Take a place and a slot; return the turn, to give the slot back if it is not used.

        The place is taken at the front of the line, so that only one create at a time holds one
        of those that other requests need while it waits to set out to its slot.
        """
        options, operation = self._sender.options, self._operation
        if self._lines is not None:
            self._lines.wanted()
        entered, taken = False, None
        try:
            async with self._sender.limit.turn(options.priority, self._ticket) as turn:
                if not operation.take():
                    await operation.enter()
                entered = True
                attempt.in_front = asyncio.get_running_loop().time()
                await turn.slot()
                taken = turn
            # The line is free from here on: a slow `before_send` delays this create only.
            if options.before_send is not None:
                await finished(options.before_send(self._label, attempt.number))
        except BaseException:
            try:
                if taken is not None:
                    taken.give_back()
            finally:
                if entered:
                    operation.leave()
            raise
        return taken

    async def living(self) -> PlacedParticipant | None:
        """Return the participant if it is found by its label, looking a few times.

        Raises:
            LabelInUse: It finds somebody who was there before this create.
        """
        return await Search(self._sender, self._sought()).living()

    @property
    def _key(self) -> Key:
        return self._label, self._conference

    def _sought(self) -> Sought:
        """Return what is to be looked for, by all that is known of it."""
        operation, new = self._operation, self._new
        sent, ended = (
            (operation.first_unanswered or operation.attempt).sent,
            operation.attempt.ended,
        )
        return Sought(
            conference=self._conference,
            label=self._label,
            minted=self._own_label,
            to=new.to,
            callers=callers_of(new),
            sent=sent,
            doubted=(operation.first_in_doubt or operation.attempt).sent,
            ended=ended,
            record=self._sent,
            known=self._sender.register.here(new.to, self._key, sent, ended, besides=self._sent),
        )

    def _sent_ago(self) -> timedelta:
        """Return how long ago the first attempt was sent that may have placed somebody."""
        sent = (self._operation.first_unanswered or self._operation.attempt).sent
        return timedelta(seconds=asyncio.get_running_loop().time() - sent)

    def _unknown(self, what: str, attempt: Attempt | None = None) -> OutcomeUnknown:
        search = self._search
        error = OutcomeUnknown(
            f"create in {self._conference!r} with label {self._label!r}: {what}",
            conference=self._conference,
            label=self._label,
            account_sid=self._sender.account_sid,
            attempts=len(self._operation.ended),
            sent_at=datetime.now(UTC) - self._sent_ago(),
            evidence=search.looks if search is not None else (),
            request_id=attempt.request_id if attempt else None,
        )
        error.sought = self._sought()
        _log.warning("%s", error)
        return error


def told_of(placed: PlacedParticipant) -> Told:
    """Return what telemetry is told of a participant."""
    outcome = "repeated" if placed.repeated else "reconciled" if placed.reconciled else "placed"
    return Told(outcome, placed.call_sid, placed.conference_sid)


async def _started_by(deadline_at: float, turn: Turn) -> bool:
    """Return whether a turn's slot came before an instant."""
    try:
        async with asyncio.timeout_at(deadline_at):
            return await turn.start()
    except TimeoutError:
        return False


def _answer(body: bytes, label: str | None) -> PlacedParticipant:
    """Return the participant that a reply is about, which must be the one of our label."""
    participant = decode_participant(body)
    if not same_label(label, participant.label):
        # The answer to another request: a proxy or a connection has lost count.
        raise UnexpectedReply(
            f"the reply is about another label, {participant.label!r}; check any proxy in between"
        )
    return participant


def _what_came(attempt: Attempt) -> str:
    """Return what came of an attempt in doubt, in words."""
    if isinstance(attempt.result, Reply):
        unread = attempt.cause
        why = attempt.ending.outcome.value if unread is None else str(unread)
        return f"the service answered {attempt.result.status} ({why})"
    return f"no whole answer came ({describe(attempt.result.error)})"
