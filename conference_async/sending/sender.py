"""Sending for a client, and the requests that are safe to repeat."""

from collections.abc import Awaitable, Collection
from functools import partial
from typing import TYPE_CHECKING

from conference_async.errors import RequestTimeout
from conference_async.pace.contract import Limit
from conference_async.sending.attempts import DONE, RETRY, RETURN, Verdict
from conference_async.sending.congestion import Congestion
from conference_async.sending.messages import Reply, Request
from conference_async.sending.observing import note, observed
from conference_async.sending.operation import Operation
from conference_async.sending.options import Options
from conference_async.sending.register import Register, Remembered
from conference_async.sending.retry import judge_repeatable
from conference_async.sending.taken_lines import CountedLines
from conference_async.sending.transport import Transport
from conference_async.time_limits import time_limit_at

if TYPE_CHECKING:
    from conference_async.sending.authorization import Authorization


class Sender:
    """Sends for a client and its views, which differ in `options` only.

    Telemetry in the options hears of each that is made.

    Attributes:
        authorization: What signs requests in, where credentials change.
        lines: The limit, if it counts the account's live calls, and how to find them.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        limit: Limit,
        congestion: Congestion,
        account_sid: str,
        register: Register,
        options: Options,
        authorization: "Authorization | None" = None,
    ) -> None:
        self.transport = transport
        self.limit = limit
        self.congestion = congestion
        self.account_sid = account_sid
        self.register = register
        self.options = options
        self.authorization = authorization
        self.lines: CountedLines | None = None
        if (observer := options.telemetry) is not None:
            note(observer.watch, congestion, limit, account_sid, transport.base_url)
            if authorization is not None:
                authorization.observer = observer

    def with_options(self, options: Options) -> "Sender":
        """Return what sends for a view with these options."""
        view = Sender(
            transport=self.transport,
            limit=self.limit,
            congestion=self.congestion,
            account_sid=self.account_sid,
            register=self.register,
            options=options,
            authorization=self.authorization,
        )
        view.lines = self.lines
        return view

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
        self, request: Request, *, resource: str = "participant", gone: Collection[int] = ()
    ) -> Awaitable[Reply]:
        """Send what is safe to repeat, and repeat it while that can help.

        Args:
            request: What to send.
            resource: What a 404 says is missing: ``participant`` or ``conference``.
            gone: The statuses and codes that mean success after an unanswered attempt, as a 404
                does for delete: that attempt may have been the one that succeeded.

        Raises:
            ConferenceError: Any error of the tree but `OutcomeUnknown`.
        """
        observer = self.options.telemetry
        if observer is None:
            return self._request(request, resource, gone=gone)
        work = partial(self._request, request, resource, gone=gone)
        return observed(observer, request.kind, work)

    def _request(
        self, request: Request, resource: str, *, gone: Collection[int]
    ) -> Awaitable[Reply]:
        operation = self.begin(request)
        answered = _answered(operation, resource, gone=gone)
        deadline = self.options.deadline
        return answered if deadline is None else _in_time(operation, answered, deadline)


async def _in_time(operation: Operation, answered: Awaitable[Reply], deadline: float) -> Reply:
    """Return the answer, or raise when its time is over."""
    scope = time_limit_at(operation.deadline_at)
    try:
        async with scope:
            return await answered
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise RequestTimeout(
            f"{operation.request.kind}: not done within its deadline of {deadline:g} s, "
            f"after {len(operation.ended)} whole attempts; it is safe to repeat"
        ) from error


async def _answered(operation: Operation, resource: str, *, gone: Collection[int]) -> Reply:
    """Make attempts while one more can help; return the answer, or raise what the last one met."""
    while True:
        if not operation.take():
            await operation.enter()
        await operation.send()
        verdict = _judged(operation, gone=gone)
        operation.report(verdict)
        result = operation.attempt.result
        if verdict is RETURN and isinstance(result, Reply):
            return result
        if verdict is not RETRY:
            raise operation.error(resource) from operation.attempt.cause
        await operation.again()


def _judged(operation: Operation, *, gone: Collection[int]) -> Verdict:
    attempt = operation.attempt
    if attempt.ending.outcome is DONE:
        return RETURN
    result = attempt.result
    found = (result.status, attempt.ending.code) if isinstance(result, Reply) else ()
    if operation.in_doubt and any(each in gone for each in found):
        return RETURN
    return judge_repeatable(attempt.ending, more=operation.more())
