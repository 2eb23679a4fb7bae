"""One logical call: a place, attempts, a verdict after each, and the waits between."""

import asyncio
import logging
import math
from contextlib import nullcontext

import attrs

from conference_async.congestion import Congestion
from conference_async.errors import (
    ConferenceError,
    ConnectionFailed,
    RequestTimeout,
    UnexpectedReply,
)
from conference_async.limits import Limit
from conference_async.masking import mask
from conference_async.options import AttemptEvent, Options
from conference_async.retry import Attempted, Outcome, Verdict, judge_repeatable, outcome_of
from conference_async.transport import Failure, Reply, Request, Transport
from conference_async.wire import error_code, refusal

_log = logging.getLogger("conference_async.sender")
_REFUSED = 400
_NOT_FOUND = 404
_UNBOUNDED = nullcontext()
_DONE = Attempted(Outcome.DONE)


@attrs.frozen(kw_only=True)
class Exchange:
    """One attempt that ended, with what its event reports."""

    request: Request
    result: Reply | Failure
    attempted: Attempted
    entered: float
    in_front: float
    sent: float
    ended: float


@attrs.frozen(kw_only=True)
class Sender:
    """What a client and its views send through; views differ in `options` only."""

    transport: Transport
    limit: Limit
    congestion: Congestion
    account_sid: str
    options: Options

    async def request(
        self, request: Request, *, resource: str = "participant", gone_is_done: bool = False
    ) -> Reply:
        """Send what is safe to repeat, and repeat it while that can help.

        Args:
            request: What to send.
            resource: What a 404 says is missing: ``participant`` or ``conference``.
            gone_is_done: Whether a 404 after an unanswered attempt means success, as for delete.

        Raises:
            ConferenceError: Any error of the tree but `OutcomeUnknown`.
        """
        history: list[Attempted] = []
        deadline_at = self.deadline_at()
        try:
            async with _UNBOUNDED if deadline_at is None else asyncio.timeout_at(deadline_at):
                while True:
                    exchange = await self._exchange(request)
                    history.append(exchange.attempted)
                    if gone_is_done and _gone(exchange.result, history):
                        verdict = Verdict.RETURN
                    else:
                        verdict = judge_repeatable(history, more=self.more(history, deadline_at))
                    self.report(exchange, len(history), verdict)
                    if verdict is not Verdict.RETRY:
                        break
                    self.spend(exchange.attempted)
                    if exchange.attempted.outcome.in_doubt:
                        await asyncio.sleep(self.options.retry.delay(len(history)))
        except TimeoutError as error:
            raise RequestTimeout(
                f"{request.kind}: not done within its deadline of {self.options.deadline:g} s, "
                f"after {len(history)} whole attempts; it is safe to repeat"
            ) from error
        if verdict is Verdict.RETURN and isinstance(exchange.result, Reply):
            return exchange.result
        raise self.error(exchange, resource) from cause(exchange.result)

    async def _exchange(self, request: Request) -> Exchange:
        loop = asyncio.get_running_loop()
        entered = loop.time()
        await self.congestion.enter()
        try:
            sent = loop.time()
            form = request.one_shot_form()
            result = await self.transport.send(request, form, self.options.timeout)
        finally:
            self.congestion.leave()
        return self.settle(request, result, entered=entered, in_front=sent, sent=sent)

    def settle(
        self,
        request: Request,
        result: Reply | Failure,
        *,
        entered: float,
        in_front: float,
        sent: float,
    ) -> Exchange:
        """Name how an attempt ended, and let everybody learn from it."""
        if isinstance(result, Failure):
            attempted = Attempted(Outcome.NO_ANSWER if result.left else Outcome.NOT_LEFT)
        elif result.status < _REFUSED:
            outcome = outcome_of(result.status, None)
            attempted = _DONE if outcome is Outcome.DONE else Attempted(outcome)
        else:
            code = error_code(result.body)
            attempted = Attempted(outcome_of(result.status, code), code, result.retry_after)
        match attempted.outcome:
            case Outcome.DONE | Outcome.REFUSED:
                self.congestion.succeeded()
            case Outcome.TOO_MANY | Outcome.NOT_LEFT:
                self.congestion.failed(attempted.retry_after)
            case _:
                pass
        return Exchange(
            request=request,
            result=result,
            attempted=attempted,
            entered=entered,
            in_front=in_front,
            sent=sent,
            ended=asyncio.get_running_loop().time(),
        )

    def deadline_at(self) -> float | None:
        """Return the instant by which a call that starts now must end, or None."""
        if self.options.deadline is None:
            return None
        return asyncio.get_running_loop().time() + self.options.deadline

    def more(self, history: list[Attempted], deadline_at: float | None) -> bool:
        """Return whether another attempt is wanted, allowed, and can start before the deadline."""
        if history[-1].outcome is Outcome.DONE:
            return False
        if len(history) >= self.options.retry.attempts:
            return False
        if history[-1].outcome is not Outcome.TOO_MANY and not self.congestion.budget:
            return False
        resume = asyncio.get_running_loop().time() + self.congestion.pause()
        return deadline_at is None or resume < deadline_at

    def spend(self, attempted: Attempted) -> None:
        """Pay for a retry. A 429 costs nothing: the shared back-off already holds everybody."""
        if attempted.outcome is not Outcome.TOO_MANY:
            self.congestion.budget.spend()

    def learn(self, queue_time: int) -> None:
        """Tell the limit what queue, in milliseconds, the service reported."""
        try:
            self.limit.observe(queue_time)
        except Exception:  # noqa: BLE001 -- a limit's mistake must not lose a call that was placed
            _log.exception("the limit's observe() raised; the call goes on")

    def error(self, exchange: Exchange, resource: str) -> ConferenceError:
        """Return the error that says what the last attempt met, and what to do next."""
        kind, result = exchange.request.kind, exchange.result
        if isinstance(result, Reply):
            if exchange.attempted.outcome is Outcome.UNREADABLE:
                return UnexpectedReply(
                    f"{kind}: the server answered {result.status}, which the API never does; "
                    "check base_url and proxies between",
                    status=result.status,
                    request_id=result.request_id,
                )
            return refusal(
                result.status, result.body, request_id=result.request_id, resource=resource
            )
        if not result.left:
            return ConnectionFailed(
                f"{kind}: no connection could be made ({describe(result.error)}), so nothing was "
                "sent; check the network, base_url and proxy, then repeat"
            )
        if isinstance(result.error, TimeoutError):
            return RequestTimeout(
                f"{kind}: no answer within {self.options.timeout:g} s; "
                "it is safe to repeat, or to raise timeout="
            )
        return UnexpectedReply(
            f"{kind}: the connection broke before a whole reply came ({describe(result.error)}); "
            "it is safe to repeat"
        )

    def report(
        self, exchange: Exchange, number: int, verdict: Verdict | None, label: str | None = None
    ) -> None:
        """Tell the log and the caller's `on_attempt` how an attempt ended.

        Args:
            exchange: The attempt.
            number: 1 for the first of its call.
            verdict: What follows; None if the call was cancelled.
            label: The label that a create carried.
        """
        if self.options.on_attempt is None and not _log.isEnabledFor(logging.DEBUG):
            return
        reply = exchange.result if isinstance(exchange.result, Reply) else None
        failure = exchange.result if isinstance(exchange.result, Failure) else None
        event = AttemptEvent(
            kind=exchange.request.kind,
            number=number,
            label=label,
            queue_wait=exchange.in_front - exchange.entered,
            pace_wait=exchange.sent - exchange.in_front,
            sent_at=exchange.sent,
            duration=exchange.ended - exchange.sent,
            status=reply.status if reply else None,
            code=exchange.attempted.code,
            request_id=reply.request_id if reply else None,
            concurrent_requests=reply.concurrent_requests if reply else None,
            outcome=exchange.attempted.outcome,
            verdict="cancelled" if verdict is None else verdict.name.lower(),
            reason=describe(failure.error) if failure else exchange.attempted.outcome.value,
        )
        _log.debug("%s", event)
        if self.options.on_attempt is not None:
            try:
                self.options.on_attempt(event)
            except Exception:  # noqa: BLE001 -- a caller's mistake in a callback must not lose a call
                _log.exception("on_attempt raised; the call goes on")


def _gone(result: Reply | Failure, history: list[Attempted]) -> bool:
    answered = isinstance(result, Reply) and result.status == _NOT_FOUND
    return answered and any(each.outcome.in_doubt for each in history)


def cause(result: Reply | Failure) -> BaseException | None:
    """Return what an error about this result is chained to."""
    return result.error if isinstance(result, Failure) else None


def what_came(exchange: Exchange, unread: BaseException | None) -> str:
    """Return what came of an attempt in doubt, in words; `unread` is what is wrong with a reply."""
    if isinstance(exchange.result, Reply):
        why = exchange.attempted.outcome.value if unread is None else str(unread)
        return f"the service answered {exchange.result.status} ({why})"
    return f"no whole answer came ({describe(exchange.result.error)})"


def seconds_left(deadline_at: float | None) -> float:
    """Return the seconds until an instant of the loop's clock; None is never."""
    return math.inf if deadline_at is None else deadline_at - asyncio.get_running_loop().time()


def describe(error: BaseException) -> str:
    """Return what failed, in a few masked words."""
    return mask(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
