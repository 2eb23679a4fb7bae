"""Sending for a client, and the requests that are safe to repeat."""

import asyncio
from collections.abc import Awaitable, Collection
from functools import partial

import attrs

from conference_async.errors import RequestTimeout
from conference_async.pace.contract import Limit
from conference_async.sending.attempts import AttemptOutcome, Verdict
from conference_async.sending.authorization import Authorization
from conference_async.sending.congestion import Congestion
from conference_async.sending.messages import Reply, Request
from conference_async.sending.observing import note, observed
from conference_async.sending.operation import Operation
from conference_async.sending.options import Options
from conference_async.sending.register import Register, Remembered
from conference_async.sending.retry import judge_repeatable
from conference_async.sending.taken_lines import CountedLines
from conference_async.sending.transport import Transport

_NOT_FOUND = 404


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Sender:
    """Sends for a client and its views, which differ in `options` only."""

    transport: Transport
    limit: Limit
    congestion: Congestion
    account_sid: str
    register: Register
    options: Options
    authorization: Authorization | None = None
    """What signs requests in, where credentials change."""
    lines: CountedLines | None = None
    """The limit, if it counts the account's live calls, and how to find them."""

    def __attrs_post_init__(self) -> None:
        """Let telemetry know of the client."""
        if (observer := self.options.telemetry) is not None:
            watched = self.congestion, self.limit, self.account_sid, self.transport.base_url
            note(observer.watch, *watched)
            if self.authorization is not None:
                self.authorization.observer = observer

    def begin(self, request: Request, label: str | None = None) -> Operation:
        """Begin an operation, whose deadline runs from now.

        Args:
            request: What each of its attempts sends.
            label: The label that a create carries.
        """
        return Operation(
            request, label, self.transport, self.congestion, self.options, self.authorization
        )

    async def remembered(self, numbers: Collection[str]) -> list[Remembered]:
        """Return the creates to some numbers that ledgers, and the journal, remember.

        Raises:
            ConferenceError: One of them cannot be read.
        """
        found = await self.register.remembered(numbers)
        if (journal := self.options.journal) is not None:
            found += await journal.remembered(self.account_sid, numbers)
        return found

    def reopen(self) -> None:
        """Send again after `aclose`."""
        self.transport.closed = False
        if self.authorization is not None:
            self.authorization.reopen()

    async def aclose(self) -> None:
        """Close the client's own connections, and ask for no credentials any more."""
        if self.authorization is not None:
            await self.authorization.aclose()
        await self.transport.aclose()

    def request(
        self, request: Request, *, resource: str = "participant", gone_is_done: bool = False
    ) -> Awaitable[Reply]:
        """Send what is safe to repeat, and repeat it while that can help.

        Args:
            request: What to send.
            resource: What a 404 says is missing: ``participant`` or ``conference``.
            gone_is_done: Whether a 404 after an unanswered attempt means success, as for delete.

        Raises:
            ConferenceError: Any error of the tree but `OutcomeUnknown`.
        """
        observer = self.options.telemetry
        if observer is None:
            return self._request(request, resource, gone_is_done=gone_is_done)
        work = partial(self._request, request, resource, gone_is_done=gone_is_done)
        return observed(observer, request.kind, work)

    async def _request(self, request: Request, resource: str, *, gone_is_done: bool) -> Reply:
        operation = self.begin(request)
        if operation.deadline_at is None:
            verdict = await _repeated(operation, gone_is_done=gone_is_done)
        else:
            try:
                async with asyncio.timeout_at(operation.deadline_at):
                    verdict = await _repeated(operation, gone_is_done=gone_is_done)
            except TimeoutError as error:
                raise RequestTimeout(
                    f"{request.kind}: not done within its deadline of {self.options.deadline:g} s, "
                    f"after {len(operation.ended)} whole attempts; it is safe to repeat"
                ) from error
        result = operation.attempt.result
        if verdict is Verdict.RETURN and isinstance(result, Reply):
            return result
        raise operation.error(resource) from operation.attempt.cause


async def _repeated(operation: Operation, *, gone_is_done: bool) -> Verdict:
    """Make attempts while one more can help; return what to do with the last."""
    while True:
        if not operation.take():
            await operation.enter()
        await operation.send()
        verdict = _judged(operation, gone_is_done=gone_is_done)
        operation.report(verdict)
        if verdict is not Verdict.RETRY:
            return verdict
        await operation.again()


def _judged(operation: Operation, *, gone_is_done: bool) -> Verdict:
    attempt = operation.attempt
    if attempt.ending.outcome is AttemptOutcome.DONE:
        return Verdict.RETURN
    result = attempt.result
    gone = isinstance(result, Reply) and result.status == _NOT_FOUND
    if gone_is_done and gone and operation.in_doubt:
        return Verdict.RETURN
    return judge_repeatable(attempt.ending, more=operation.more())
