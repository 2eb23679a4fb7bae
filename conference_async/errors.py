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
    │   └── TooManyRequests                429
    ├── ServiceFailed                      5xx on a request that is safe to repeat
    ├── RequestTimeout (TimeoutError)      no answer, or not what was waited for, in time
    ├── CallOver                           the call ended before what was waited for
    ├── UnexpectedReply                    not JSON, a redirect, the wrong shape
    ├── SignatureMismatch                  a webhook that was not signed with our key
    └── LedgerError                        the campaign's ledger cannot be used

The branches follow what the caller can do next. Messages are masked: no phone number and no
secret is readable in them. All of them pickle and copy with every attribute.
"""

import copyreg
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, Self

from conference_async.masking import mask

if TYPE_CHECKING:
    from conference_async.models import Participant


class ConferenceError(Exception):
    """The root of every error of this library.

    Attributes:
        request_id: The service's ``Twilio-Request-Id`` (``RQ…``) to quote to its support, or
            None where no reply carried one.
    """

    request_id: str | None = None

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(mask(message))
        self.request_id = request_id

    def __reduce__(self) -> tuple[object, ...]:
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
        super().__init__(f"{parameter}: {problem}{suffix}")
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


class Reconciler(Protocol):
    """What `OutcomeUnknown.reconcile` asks of a client."""

    async def find_placed(self, conference: str, label: str) -> "Participant | None":
        """Return the live participant that carries `label`, or None."""
        ...


class OutcomeUnknown(ConferenceError):
    """A create left, no readable answer came, and its label was not found: it may have rung.

    Not finding the label does not prove that nobody was called: the call may already be over, or
    not be visible yet. Ask later with `reconcile`, look at the account's call log, or let a
    person decide. Repeating blindly may ring the phone a second time.

    Attributes:
        conference: The conference SID or friendly name that the create addressed.
        label: The label that every attempt carried, or None where labels were turned off.
        attempts: How many attempts were made.
    """

    def __init__(
        self,
        message: str,
        *,
        conference: str,
        label: str | None,
        attempts: int,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.conference = conference
        self.label = label
        self.attempts = attempts

    async def reconcile(self, client: Reconciler) -> "Participant | None":
        """Ask again whether the participant was placed.

        Args:
            client: An open `ConferenceClient` of the same account.

        Returns:
            The participant with ``reconciled=True`` if a live one carries the label; None if
            none does now, which is no proof that nobody was called.

        Raises:
            ConfigurationError: The create carried no label, so there is nothing to look for.
            ConferenceError: The look-up itself failed.
        """
        if self.label is None:
            raise ConfigurationError(
                "the create carried no label, so it cannot be looked up; "
                "leave mint_labels on, or give each participant a label"
            )
        return await client.find_placed(self.conference, self.label)

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
        service_message: The service's own words, masked.
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
        self.service_message = mask(service_message)
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
    """It did not happen in time, and it is safe to repeat.

    Either no answer came to a request, and the retries are spent; or what was waited for did not
    happen to a call, which goes on.
    """


class CallOver(ConferenceError):
    """The call ended, or the participant left, before what was waited for could happen.

    Attributes:
        call_sid: The call (``CA…``).
        status: How it ended: ``busy``, ``no-answer``, ``failed``, ``canceled``, ``completed``;
            ``unknown`` where polling cannot see it; None where that was not told.
        reason: Why the participant left, or why the conference ended, or None.
    """

    def __init__(
        self, message: str, *, call_sid: str, status: str | None, reason: str | None
    ) -> None:
        super().__init__(message)
        self.call_sid = call_sid
        self.status = status
        self.reason = None if reason is None else mask(reason)


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
    """The campaign's ledger cannot be opened, read or written; nothing was dialled for it."""
