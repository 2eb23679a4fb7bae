"""One operation: a request, and the attempts at it, each an object of its own.

The create and the request that is safe to repeat stand side by side on this: they differ in what
they wait for before an attempt, and in what follows one.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from conference_async.errors import (
    ConferenceError,
    ConnectionFailed,
    NotSent,
    RequestTimeout,
    UnexpectedReply,
)
from conference_async.pace.line import Priority
from conference_async.plain_functions import failure_of
from conference_async.sending.attempts import (
    DONE,
    AttemptEvent,
    AttemptOutcome,
    Ending,
    Verdict,
    outcome_of,
)
from conference_async.sending.congestion import Congestion
from conference_async.sending.form import OneShotForm
from conference_async.sending.messages import Reply, Request, TransportFailure, describe
from conference_async.sending.observing import Exchange, note
from conference_async.sending.options import Options
from conference_async.sending.transport import Transport
from conference_async.wire import error_code, refusal

if TYPE_CHECKING:
    from conference_async.sending.authorization import Authorization

_log = logging.getLogger("conference_async.sending")
_REFUSED = 400
_NOT_AUTHORIZED = 401
_DONE = Ending(DONE)
_UNANSWERED = frozenset(each for each in AttemptOutcome if each.in_doubt) | {AttemptOutcome.ABSENT}


class Attempt:
    """One attempt: what was sent, when, and how it ended.

    It begins when it gets in line. Instants are seconds of the loop's clock.

    Attributes:
        number: 1 for the first of its operation.
        form: What it sends, which knows whether it left; None before that, and for a request
            without a body.
        entered: When it got in line.
        in_front: When it began to wait for its slot; None where it needs none.
        sent: When its form left, or when it set out if it did not.
        ended: When it had ended.
        result: What came, once it has ended.
        ending: What that means, once it has ended.
        cause: What stood in the way of an answer that can be read, if anything did.
    """

    __slots__ = (
        "cause",
        "ended",
        "ending",
        "entered",
        "form",
        "in_front",
        "number",
        "result",
        "sent",
    )

    def __init__(self, number: int, now: float) -> None:
        self.number: int = number
        self.form: OneShotForm | None = None
        self.entered: float = now
        self.sent: float = now
        self.ended: float = now
        self.in_front: float | None = None
        self.result: Reply | TransportFailure
        self.cause: BaseException | None = None
        self.ending: Ending

    @property
    def left(self) -> bool:
        """Whether any byte of its form may have reached the network."""
        return self.form is not None and self.form.left_at is not None

    def end(self, result: Reply | TransportFailure, now: float) -> None:
        """Take what came, and name what that means."""
        self.result, self.ended = result, now
        if self.form is not None and self.form.left_at is not None:
            self.sent = self.form.left_at
        if isinstance(result, TransportFailure):
            self.cause = result.error
            self.ending = Ending(
                AttemptOutcome.NO_ANSWER if result.left else AttemptOutcome.NOT_LEFT
            )
        elif 200 <= result.status < 300:  # noqa: PLR2004 -- the class of statuses
            self.ending = _DONE
        else:
            code = error_code(result.body) if result.status >= _REFUSED else None
            self.ending = Ending(outcome_of(result.status, code), code, result.retry_after)

    def unreadable(self, error: UnexpectedReply) -> None:
        """Note that what was answered cannot be read."""
        if isinstance(self.result, Reply):
            self.result.sign(error)
        self.cause = error
        self.ending = Ending(AttemptOutcome.UNREADABLE)

    @property
    def request_id(self) -> str | None:
        """The service's name for it, where an answer came."""
        return self.result.request_id if isinstance(self.result, Reply) else None

    def event(self, kind: str, label: str | None, verdict: Verdict | None) -> AttemptEvent:
        """Return what is reported of it."""
        reply = self.result if isinstance(self.result, Reply) else None
        in_front = self.sent if self.in_front is None else self.in_front
        return AttemptEvent(
            kind=kind,
            number=self.number,
            label=label,
            queue_wait=in_front - self.entered,
            pace_wait=self.sent - in_front,
            sent_at=self.sent,
            duration=self.ended - self.sent,
            status=reply.status if reply else None,
            code=self.ending.code,
            request_id=reply.request_id if reply else None,
            concurrent_requests=reply.concurrent_requests if reply else None,
            outcome=self.ending.outcome,
            verdict="cancelled" if verdict is None else verdict.name.lower(),
            reason=describe(self.cause) if self.cause else self.ending.outcome.value,
        )


class Operation:
    """A request, the attempts at it, and whether there may be another.

    Attributes:
        attempt: The attempt that is under way, or ended last.
        ended: The attempts that have ended, the first one first.
        deadline_at: The instant of the loop's clock by which all of it must end, or None.
        request: What each attempt sends.
        take: Takes the place that `send` sends from if it is free, and returns whether it was.

    Args:
        request: What to send.
        label: The label that a create carries.
        transport: What makes each attempt.
        congestion: Where each attempt takes its place, and what it tells how it ended.
        options: The bounds of one attempt and of all.
        authorization: What signs each attempt in, where credentials change; None where they do
            not, and the transport has them.
    """

    def __init__(
        self,
        request: Request,
        label: str | None,
        transport: Transport,
        congestion: Congestion,
        options: Options,
        authorization: "Authorization | None" = None,
    ) -> None:
        self._now = asyncio.get_running_loop().time
        now = self._now()
        self.deadline_at: float | None = (
            None if options.deadline is None else now + options.deadline
        )
        self.attempt: Attempt = Attempt(1, now)
        self.ended: list[Attempt] = []
        self.request: Request = request
        self._label = label
        self._transport = transport
        self._authorization = authorization
        self._renewed = False
        self._congestion = congestion
        self.take: Callable[[], bool] = congestion.take
        self._misses_before = congestion.misses
        self._options = options

    @property
    def in_doubt(self) -> bool:
        """Whether an attempt may have been processed without a readable answer."""
        return self.first_in_doubt is not None

    @property
    def first_in_doubt(self) -> Attempt | None:
        """The first attempt that may have been processed, as far as is known."""
        return next((each for each in self.ended if each.ending.outcome.in_doubt), None)

    @property
    def first_unanswered(self) -> Attempt | None:
        """The first attempt without a readable answer, whatever was found out later."""
        return next((each for each in self.ended if each.ending.outcome in _UNANSWERED), None)

    @property
    def may_be_done(self) -> bool:
        """Whether an attempt was processed, or may have been."""
        return self.in_doubt or any(each.ending.outcome is DONE for each in self.ended)

    @property
    def seconds_left(self) -> float:
        """The seconds until the deadline; infinite without one."""
        return math.inf if self.deadline_at is None else self.deadline_at - self._now()

    async def enter(self) -> None:
        """Wait for the place that `send` sends from, and take it.

        Raises:
            ConnectionFailed: The service cannot be reached, and this operation has been waiting
                for as many attempts of others as it may make.
        """
        options = self._options
        # Whoever said how long to wait, or is in no hurry, is not failed by what others met.
        hurried = options.deadline is None and options.priority is Priority.INTERACTIVE
        patience = options.retry.attempts
        await self._congestion.enter(self._misses_before + patience if hurried else None)

    def leave(self) -> None:
        """Free the place without sending."""
        self._congestion.leave()

    async def send(self, may_leave: Callable[[], Awaitable[bool]] | None = None) -> bool:
        """Send the attempt from the place that was taken for it, and free the place.

        A cancellation is passed on, after what had left by then was noted and reported.

        Args:
            may_leave: Awaited at the last moment; False turns the attempt back.

        Returns:
            Whether the attempt was made. One that was turned back has not begun.
        """
        attempt = self.attempt
        form = self.request.form
        if form is not None:
            latest = math.inf if self.deadline_at is None else self.deadline_at
            attempt.form = OneShotForm(form, may_leave, latest)
        attempt.sent = self._now()
        until, header = self._until(attempt.sent), None
        try:
            if self._authorization is not None:
                header = await self._authorization.header(until - attempt.sent)
                until = self._until(self._now())
            result = await self._transport.send(self.request, attempt.form, until, header)
        except NotSent as error:  # there are no credentials to send it with
            result = TransportFailure(left=False, error=error)
        except BaseException as error:
            self._congestion.leave()
            if attempt.left:
                attempt.end(TransportFailure(left=True, error=error), self._now())
                self.ended.append(attempt)
                self.report(None)
            raise
        if attempt.form is not None and attempt.form.turned_back:
            self._congestion.leave()
            return False
        attempt.end(result, self._now())
        self.ended.append(attempt)
        cause = describe(attempt.cause) if attempt.cause else ""
        self._congestion.leave(attempt.ending, cause)
        if header is not None and isinstance(result, Reply):
            await self._heed(header, result.status)
        return True

    def _until(self, now: float) -> float:
        """Return by when an attempt that begins now has to end."""
        until = now + self._options.timeout
        return until if self.deadline_at is None else min(until, self.deadline_at)

    async def _heed(self, header: str, status: int) -> None:
        """Tell what signed the attempt in how it was taken; if it was not, get other credentials.

        Once per operation: the service has processed nothing that it answered 401.
        """
        attempt, authorization = self.attempt, self._authorization
        if authorization is None:
            return
        if status != _NOT_AUTHORIZED:
            authorization.admitted()
        elif not self._renewed:
            self._renewed = True
            try:
                now = self._now()
                replaced = await authorization.replaced(header, self._until(now) - now)
            except BaseException:
                self.report(None)
                raise
            if replaced:
                attempt.ending = Ending(AttemptOutcome.OUTDATED, attempt.ending.code)

    def more(self, *, absent: bool = False) -> bool:
        """Return whether another attempt is wanted, allowed, and can start before the deadline.

        Args:
            absent: Whether the call log showed that none placed anything: then no budget is needed.
        """
        last, number = self.attempt.ending.outcome, self.attempt.number - self._renewed
        if last is DONE or number >= self._options.retry.attempts:
            return False
        if last.in_doubt and not absent and not self._congestion.budget:
            return False
        return max(self._congestion.pause(), self._asked_for or 0.0) < self.seconds_left

    @property
    def _asked_for(self) -> float | None:
        """The seconds that are left of what the service asked to wait; None if it did not ask."""
        last = self.attempt
        if (after := last.ending.retry_after) is None:
            return None
        return max(0.0, last.ended + self._options.retry.bound(last.number, after) - self._now())

    def settle(self) -> None:
        """Take note that no attempt so far has placed anything."""
        for each in self.ended:
            if each.ending.outcome.in_doubt:
                each.ending = each.ending._replace(outcome=AttemptOutcome.ABSENT)

    async def again(self) -> None:
        """Pay for another attempt, wait until it may begin, and begin it.

        A 429, and a failure to connect, cost nothing: they hold up everybody already.
        """
        if self.attempt.ending.outcome.in_doubt:
            self._congestion.budget.spend()
            if (pause := self._asked_for) is None:
                pause = self._options.retry.delay(self.attempt.number)
            await asyncio.sleep(min(pause, self.seconds_left))
        self.attempt = Attempt(self.attempt.number + 1, self._now())

    def report(self, verdict: Verdict | None) -> None:
        """Tell the log and the caller's `on_attempt` how the attempt ended.

        Args:
            verdict: What follows; None if the operation was cancelled.
        """
        on_attempt, observer = self._options.on_attempt, self._options.telemetry
        watched = on_attempt is not None or observer is not None
        if not watched and not _log.isEnabledFor(logging.DEBUG):
            return
        event = self.attempt.event(self.request.kind, self._label, verdict)
        _log.debug("%s", event)
        if on_attempt is not None and (failure := failure_of(on_attempt, event)):
            _log.error("on_attempt raised; the call goes on", exc_info=failure)
        if observer is not None:
            result, base_url = self.attempt.result, self._transport.base_url
            reply = result if isinstance(result, Reply) else None
            note(
                observer.attempted,
                event,
                Exchange(
                    request=self.request, base_url=base_url, reply=reply, cause=self.attempt.cause
                ),
            )

    def error(self, resource: str) -> ConferenceError:
        """Return the error that says what the last attempt met, and what to do next.

        Args:
            resource: What a 404 says is missing: ``participant`` or ``conference``.
        """
        kind, last = self.request.kind, self.attempt
        result = last.result
        if isinstance(result, Reply):
            if last.ending.outcome is AttemptOutcome.UNREADABLE:
                return UnexpectedReply(
                    f"{kind}: the server answered {result.status}, which the API never does; "
                    "check base_url and proxies between",
                    status=result.status,
                    request_id=result.request_id,
                )
            return refusal(
                result.status, result.body, request_id=result.request_id, resource=resource
            )
        if isinstance(result.error, NotSent):
            return NotSent(f"{kind}: {result.error}, so nothing was sent; it is safe to repeat")
        if not result.left:
            return ConnectionFailed(
                f"{kind}: no connection could be made ({describe(result.error)}), so nothing was "
                "sent; check the network, base_url and proxy, then repeat"
            )
        if isinstance(result.error, TimeoutError):
            return RequestTimeout(
                f"{kind}: no answer within {self._options.timeout:g} s; "
                "it is safe to repeat, or to raise timeout="
            )
        return UnexpectedReply(
            f"{kind}: the connection broke before a whole reply came ({describe(result.error)}); "
            "it is safe to repeat"
        )
