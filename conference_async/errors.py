"""Every error the library raises, as one tree.

::

    ConferenceError
    ├── ConfigurationError (ValueError)    credentials and options: fix the set-up
    ├── InvalidParameter (ValueError)      a value the service would refuse: fix the call
    ├── NotSent                            it never left: safe to repeat
    │   ├── ConnectionFailed               DNS, refused, TLS, proxy
    │   └── DeadlineExceeded (TimeoutError)    the slot cannot come, or did not come, in time
    ├── OutcomeUnknown                     it may have been placed: ask before repeating
    ├── RequestRefused                     the service said no
    │   ├── NotAuthorized                  401, 403
    │   ├── NotFound                       404
    │   │   ├── ConferenceNotFound
    │   │   └── ParticipantNotFound
    │   ├── LabelInUse                     16026
    │   ├── ConferenceNotActive            16001, 16022
    │   ├── ConferenceFull                 16020
    │   ├── CallQueueFull                  22005
    │   ├── TooManyCalls                   10004, 16021
    │   └── TooManyRequests                429
    ├── ServiceFailed                      5xx on a request that is safe to repeat
    ├── RequestTimeout (TimeoutError)      no answer in time to a request that is safe to repeat
    ├── NotAnswered (TimeoutError)         a call did not come as far as was waited for, in time
    ├── CallOver                           the call ended before what was waited for
    ├── NotAllReached                      a verb for everybody did not reach some of them
    ├── UnexpectedReply                    not JSON, a redirect, the wrong shape
    ├── SignatureMismatch                  a webhook that was not signed with our key
    └── LedgerError                        a campaign's ledger, or the journal, cannot be used

The branches follow what the caller can do next. Messages are masked, and on one line: no phone
number and no secret is readable in them, and nothing in them moves a cursor. All of them pickle
and copy with every attribute.
"""

import copyreg
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol, Self, TypeVar

from conference_async.looks import Look
from conference_async.privacy import Words, mask, one_line

FoundT = TypeVar("FoundT")
_FoundT_co = TypeVar("_FoundT_co", covariant=True)


class ConferenceError(Exception):
    """The root of every error of this library.

    Attributes:
        request_id: The service's ``Twilio-Request-Id`` (``RQ…``) to quote to its support, or
            None where no reply carried one.
    """

    request_id: str | None = None

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(str(one_line(message)))
        self.request_id = request_id

    def __reduce__(self) -> tuple[object, object, dict[str, object]]:
        # Not by calling __init__: what a subclass takes is not what it keeps.
        return copyreg.__newobj__, (type(self),), {"args": self.args, **self.__dict__}  # type: ignore[attr-defined]  # typeshed leaves it out


class ConfigurationError(ConferenceError, ValueError):
    """Credentials or options are missing or contradict each other; nothing was sent."""


class InvalidParameter(ConferenceError, ValueError):
    """A value that the service would refuse or misread; nothing was sent.

    Attributes:
        parameter: The name of the parameter, in snake case.
        code: The service's own error code for it, or None where it has none.
    """

    def __init__(self, parameter: str, problem: str, *, code: int | None = None) -> None:
        suffix = f" (the service's error {code})" if code else ""
        super().__init__(Words(f"{parameter}: {one_line(problem)}{suffix}"))
        self.parameter = parameter
        self.code = code


class NotSent(ConferenceError):
    """The request never left this machine: nothing happened, and it is safe to repeat."""


class ConnectionFailed(NotSent):
    """No connection could be made (DNS, refused, TLS or proxy), so nothing was sent."""


class DeadlineExceeded(NotSent, TimeoutError):
    """The request could not be sent before its deadline; nothing was sent.

    Attributes:
        estimate: Seconds until the earliest free slot, as known when it failed, or None.
    """

    def __init__(self, message: str, *, estimate: float | None = None) -> None:
        super().__init__(message)
        self.estimate = estimate


class Reconciler(Protocol[_FoundT_co]):
    """The part of a client that `OutcomeUnknown.reconcile` asks."""

    async def look_for(
        self,
        unknown: "OutcomeUnknown",
        /,
        *,
        to: str | None,
        from_: str | None,
        looked: Callable[[Look], object],
    ) -> _FoundT_co | None:
        """Return the participant that a create placed, or None."""
        ...


class OutcomeUnknown(ConferenceError):
    """A create left, no readable answer came, and what became of it could not be found out.

    Its label was not found among the living, and the account's call log told nothing for certain:
    `evidence` says what was looked at. If the last of it is ``absent``, nothing was placed.
    Otherwise the phone may have rung: ask later with `reconcile`, or let a person decide.
    Repeating blindly may ring it a second time.

    Attributes:
        conference: The conference SID or friendly name that the create addressed.
        label: The label that every attempt carried, or None where labels were turned off.
        account_sid: The account that the create was made for, or None if it is not known.
        attempts: How many attempts were made.
        sent_at: When the first attempt in doubt was sent, by this machine's clock, in UTC.
        evidence: What was looked at, when, and what it held; `reconcile` adds to it.
        sought: What this process remembers for `reconcile`; None once it was pickled or copied.
    """

    sought: object | None = None
    account_sid: str | None = None  # one that was pickled before this was kept has none

    def __init__(
        self,
        message: str,
        *,
        conference: str,
        label: str | None,
        attempts: int,
        account_sid: str | None = None,
        sent_at: datetime | None = None,
        evidence: Iterable[Look] = (),
        request_id: str | None = None,
    ) -> None:
        self.evidence: tuple[Look, ...] = tuple(evidence)
        seen = "".join(f" Looked for {look}." for look in self.evidence)
        if self.absent:
            advice = "Nothing was placed, so it may be sent again"
        else:
            advice = (
                "It may have been placed. Before dialling again ask `await "
                "error.reconcile(client)`, or let a person decide"
            )
        super().__init__(f"{message}.{seen} {advice}", request_id=request_id)
        self.conference = conference
        self.label = label
        self.account_sid = account_sid
        self.attempts = attempts
        self.sent_at = sent_at

    @property
    def absent(self) -> bool:
        """Whether the call log showed that nothing was placed, as far as it can be trusted."""
        return bool(self.evidence) and self.evidence[-1].held == "absent"

    def __reduce__(self) -> tuple[object, object, dict[str, object]]:
        new, of, state = super().__reduce__()
        return new, of, {name: value for name, value in state.items() if name != "sought"}

    async def reconcile(
        self, client: Reconciler[FoundT], *, to: str | None = None, from_: str | None = None
    ) -> FoundT | None:
        """Ask again whether the participant was placed; what is looked at is added to `evidence`.

        Args:
            client: An open `ConferenceClient` of the same account.
            to: The number that was called; only needed where the error was pickled or copied,
                and only for the call log.
            from_: The caller, likewise.

        Returns:
            The participant with ``reconciled=True`` if a live one carries the label, and came
            when this create was sent, or if the call log shows the call; None if neither does,
            which is no proof that nobody was called, unless `absent` says so.

        Raises:
            ConfigurationError: The create carried no label, and its numbers are not known, so
                there is nothing to look for; or the client is of another account, whose call log
                cannot show it.
            LabelInUse: Somebody who came before carries the label, so this create placed nothing.
            ConferenceError: The look-up itself failed.
        """
        looks = list(self.evidence)
        try:
            return await client.look_for(self, to=to, from_=from_, looked=looks.append)
        finally:
            self.evidence = tuple(looks)

    @classmethod
    def behind(cls, error: BaseException | None) -> Self | None:
        """Return the unknown outcome that a cancellation or time-out carries, or None.

        A create that is cancelled in flight ends as promptly as any other await, and the
        `asyncio.CancelledError` (or the `TimeoutError` that `asyncio.timeout` makes of it)
        carries this error as its cause.
        """
        while error is not None and not isinstance(error, cls):
            error = error.__cause__ or error.__context__
        return error


class RequestRefused(ConferenceError):
    """The service answered that it will not do this.

    Attributes:
        status: The HTTP status, 400 to 499.
        code: The service's error code, or None where the reply had none.
        service_message: The service's own words, masked, on one line.
        more_info: The service's help page for the code, or None.
        details: Further facts that the service gave, as they came.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: int | None = None,
        service_message: str = "",
        more_info: str | None = None,
        details: Mapping[str, object] | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.status = status
        self.code = code
        self.service_message: str = one_line(service_message)
        self.more_info = more_info
        self.details: dict[str, object] = dict(details or {})


class NotAuthorized(RequestRefused):
    """The credentials are wrong, or they may not do this (401, 403)."""


class NotFound(RequestRefused):
    """There is no such resource, or it is over (404)."""


class ConferenceNotFound(NotFound):
    """There is no such conference for this account, or none of that name is live."""


class ParticipantNotFound(NotFound):
    """No live participant of the conference has this Call SID or label."""


class LabelInUse(RequestRefused):
    """Another live participant of the conference carries this label (16026)."""


class ConferenceNotActive(RequestRefused):
    """The conference is over (16001, 16022); create with a friendly name to open a new one."""


class ConferenceFull(RequestRefused):
    """The conference has as many participants as it may hold (16020)."""


class CallQueueFull(RequestRefused):
    """The account has more calls queued than it can place within 24 hours (22005)."""


class TooManyCalls(RequestRefused):
    """The account has as many live calls as it may have (10004, 16021); nothing was placed.

    It passes by itself when calls end. A limit with ``max_live=`` waits for that instead.
    """


class TooManyRequests(RequestRefused):
    """Too many concurrent requests (429), and the retries are spent; nothing was processed."""


class ServiceFailed(ConferenceError):
    """The service answered 5xx to a request that is safe to repeat, and the retries are spent.

    Attributes:
        status: The HTTP status, 500 to 599.
        code: The service's error code, or None where the reply had none.
    """

    def __init__(
        self, message: str, *, status: int, code: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.status = status
        self.code = code


class RequestTimeout(ConferenceError, TimeoutError):
    """No answer came to a request in time, and the retries are spent; it is safe to repeat."""


class SeenCall(Protocol):
    """The part of a `CallView` that an error can speak of."""

    @property
    def call_sid(self) -> str:
        """The call (``CA…``)."""
        ...

    @property
    def label(self) -> str | None:
        """The participant's label."""
        ...

    @property
    def status(self) -> str | None:
        """How far the call has come."""
        ...


class NotAnswered(ConferenceError, TimeoutError):
    """A call did not come as far as was waited for, in time: nobody picked up, or nobody joined.

    The call goes on, and the wait may be repeated.

    Attributes:
        view: The call as it stood then, a `CallView`; None if nothing was known of it.
    """

    def __init__(self, message: str, *, view: SeenCall | None = None) -> None:
        super().__init__(message)
        self.view = view


class CallOver(ConferenceError):
    """The call ended, or the participant left, before what was waited for could happen.

    Attributes:
        call_sid: The call (``CA…``).
        status: How it ended: ``busy``, ``no-answer``, ``failed``, ``canceled``, ``completed``;
            ``unknown`` where polling cannot see it; None where that was not said.
        reason: Why the participant left, or why the conference ended, or None.
    """

    def __init__(
        self, message: str, *, call_sid: str, status: str | None, reason: str | None
    ) -> None:
        super().__init__(message)
        self.call_sid = call_sid
        self.status = status
        self.reason: str | None = None if reason is None else mask(reason)


class NotAllReached(ConferenceError):
    """A verb for everybody did not reach some participants; see `FanOut.failed`.

    Attributes:
        errors: Why, for each of them, in the order of the list.
    """

    def __init__(self, message: str, *, errors: tuple[ConferenceError, ...]) -> None:
        super().__init__(message)
        self.errors = errors


class UnexpectedReply(ConferenceError):
    """The reply was not what the API sends: not JSON, a redirect, or the wrong shape.

    Attributes:
        status: The HTTP status of the reply, or None where the reply itself broke.
    """

    def __init__(
        self, message: str, *, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.status = status


class SignatureMismatch(ConferenceError):
    """A webhook request was not signed by the service with a key that we hold."""


class LedgerError(ConferenceError):
    """A ledger or a journal cannot be opened, read or written; nothing was dialled for it."""
