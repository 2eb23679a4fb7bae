"""Requests to the service, and its replies."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple, TypeVar

from conference_async.errors import NotSent, UnexpectedReply
from conference_async.privacy import words_of
from conference_async.wire.readings import read_date

T = TypeVar("T")

_LONGEST_COUNT = 9


# One of each is made for every attempt, and to freeze them takes several times as long.


class Request:
    """A request to the service.

    Attributes:
        kind: The operation, for events and logs: ``create``, ``fetch``, …
        method: The method of HTTP.
        path: Path and query, percent-encoded, beginning with a slash.
        form: The encoded form, or None for a request without a body. Whatever must not be repeated
            behind our back has one, if an empty one: aiohttp repeats some requests by itself.
    """

    __slots__ = ("form", "kind", "method", "path")

    def __init__(self, kind: str, method: str, path: str, form: bytes | None = None) -> None:
        self.kind: str = kind
        self.method: str = method
        self.path: str = path
        self.form: bytes | None = form


class Reply:
    """A reply of the service.

    Attributes:
        status: The status of HTTP.
        body: All of it.
        headers: By name in any case. They are read when they are asked for, which is seldom.
        source: What the HTTP library made of it, which knows the connection.
    """

    __slots__ = ("body", "headers", "source", "status")

    def __init__(
        self, status: int, body: bytes, headers: Mapping[str, str], source: object = None
    ) -> None:
        self.status: int = status
        self.body: bytes = body
        self.headers: Mapping[str, str] = headers
        self.source: object = source

    def read(self, decode: Callable[[bytes], T]) -> T:
        """Return what the body says.

        Raises:
            UnexpectedReply: It is not what `decode` reads.
        """
        try:
            return decode(self.body)
        except UnexpectedReply as error:
            self.sign(error)
            raise

    def sign(self, error: UnexpectedReply) -> None:
        """Let an error tell which reply it is about."""
        error.status, error.request_id = self.status, self.request_id

    @property
    def request_id(self) -> str | None:
        """The service's name for the request."""
        return self.headers.get("Twilio-Request-Id")

    @property
    def concurrent_requests(self) -> int | None:
        """How many requests the account had under way."""
        count = self.headers.get("Twilio-Concurrent-Requests", "")
        return int(count) if count.isdecimal() and len(count) <= _LONGEST_COUNT else None

    @property
    def date(self) -> datetime | None:
        """The service's clock, to the second."""
        return read_date(self.headers.get("Date", ""))

    @property
    def retry_after(self) -> float | None:
        """The seconds that the service asked to wait."""
        after = self.headers.get("Retry-After")
        if after is None:
            return None
        if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", after):
            return float(after)
        until, now = read_date(after), self.date
        return None if until is None or now is None else max(0.0, (until - now).total_seconds())


class TransportFailure(NamedTuple):
    """An attempt without a whole answer."""

    left: bool
    """Whether the request may have reached the network: any byte of its form, if it has one."""

    error: BaseException


def describe(error: BaseException) -> str:
    """Return what failed, in a few masked words."""
    if isinstance(error, NotSent):  # it says all by itself
        return str(error)
    return words_of(error)
