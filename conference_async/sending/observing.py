"""The seam at which telemetry watches logical calls and their attempts, where somebody wants to."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar
from urllib.parse import parse_qsl, urlencode

from conference_async.errors import ConfigurationError
from conference_async.pace.contract import Limit
from conference_async.plain_functions import failure_of
from conference_async.sending.attempts import AttemptEvent
from conference_async.sending.messages import Reply, Request

if TYPE_CHECKING:
    import attrs

T = TypeVar("T")

_OF_THE_CALL = {"StatusCallback", "AmdStatusCallback", "RecordingStatusCallback"}
"""The callbacks that report the created call and no other; those of a conference report all."""

_log = logging.getLogger("conference_async.sending")


class PutOff(Exception):
    """Something is done later instead: to those who watch no failure."""


class Told(NamedTuple):
    """The end of an operation that did not fail."""

    outcome: str
    call_sid: str | None = None
    conference_sid: str | None = None


class Exchange:
    """The parts of an attempt that its event leaves out.

    Attributes:
        request: What was sent.
        base_url: Where to.
        reply: What came.
        cause: What stood in the way of an answer that can be read.
    """

    __slots__ = ("base_url", "cause", "reply", "request")

    def __init__(
        self,
        *,
        request: Request,
        base_url: str,
        reply: Reply | None,
        cause: BaseException | None,
    ) -> None:
        self.request: Request = request
        self.base_url: str = base_url
        self.reply: Reply | None = reply
        self.cause: BaseException | None = cause

    @property
    def version(self) -> str | None:
        """The version of HTTP that was answered in."""
        version = getattr(self.reply and self.reply.source, "version", None)
        return None if version is None else f"{version[0]}.{version[1]}"

    @property
    def peer(self) -> tuple[str | None, int | None]:
        """Address and port at the other end of the connection, where they are known."""
        # aiohttp lets go of a connection as soon as it has read the answer; its protocol stays.
        protocol = getattr(self.reply and self.reply.source, "_protocol", None)
        transport = getattr(protocol, "transport", None)
        if transport is None:
            return None, None
        name: tuple[str, int] | str | None = transport.get_extra_info("peername")
        if not isinstance(name, tuple):  # a socket of another kind
            return None, None
        address, port, *_ = name  # of IPv6 there is more
        return address, port


class Places(Protocol):
    """The concurrency of a client: how many requests are under way, and may be."""

    @property
    def places(self) -> int:
        """How many may be under way at once now."""
        ...

    @property
    def busy(self) -> int:
        """How many are under way."""
        ...


class Observer(Protocol):
    """Watches a client, its dialler and its workers; `conference_async.telemetry.Telemetry` does.

    Whatever it raises is logged and changes nothing.
    """

    def watch(self, places: Places, limit: Limit, account_sid: str, base_url: str) -> None:
        """Take note of a client, as long as its `places` live; it may be told of repeatedly."""
        ...

    def hold(self, account_sid: str, in_hand: Callable[[], int]) -> Callable[[], object]:
        """Take note of a worker that holds so many of an account's targets; return what ends it."""
        ...

    def begin(self, operation: str) -> Callable[[Told | BaseException], None]:
        """Note that an operation begins in the running task; return what is to be told its end."""
        ...

    def attempted(self, event: AttemptEvent, exchange: Exchange) -> None:
        """Take note of an attempt of the operation that the running task is at."""
        ...

    def carried(self, url: str) -> str:
        """Return a callback URL that leads back to the operation that the task is at."""
        ...


def check_observer(
    _instance: object, attribute: "attrs.Attribute[Observer | None]", value: object
) -> None:
    """Refuse what cannot watch.

    Raises:
        ConfigurationError: It cannot.
    """
    watches = callable(getattr(value, "attempted", None)) and not isinstance(value, type)
    if value is not None and not watches:
        raise ConfigurationError(
            f"{attribute.name} must be a conference_async.telemetry.Telemetry(), not {value!r}"
        )


async def observed(
    observer: Observer | None,
    operation: str,
    work: Callable[[], Awaitable[T]],
    told: Callable[[T], Told] = lambda _result: Told("done"),
) -> T:
    """Return what `work` returns, and tell `observer` of it.

    Args:
        observer: Who watches, if anybody does.
        operation: What it is: ``create``, ``list``, ``target``, …
        work: What to await.
        told: Returns what is said of a result.
    """
    if observer is None:
        return await work()
    begun: list[Callable[[Told | BaseException], None]] = []
    note(lambda: begun.append(observer.begin(operation)))
    try:
        result = await work()
    except BaseException as error:
        for end in begun:
            note(end, error)
        raise
    for end in begun:
        note(end, told(result))
    return result


def note(tell: Callable[..., object], *arguments: object) -> None:
    """Tell an observer something; what it raises is logged."""
    if failure := failure_of(tell, *arguments):
        _log.error("telemetry raised; the call goes on", exc_info=failure)


def carrying(form: bytes, observer: Observer) -> bytes:
    """Return a create's form, whose callback URLs lead back to the create."""
    pairs = parse_qsl(form.decode(), keep_blank_values=True)
    carried = [
        (name, observer.carried(value) if name in _OF_THE_CALL else value) for name, value in pairs
    ]
    return form if carried == pairs else urlencode(carried).encode()
