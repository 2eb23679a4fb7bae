"""One HTTP attempt on aiohttp, and whether the request had left when it failed."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import attrs
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from conference_async import __version__
from conference_async.credentials import Credentials, split_proxy
from conference_async.errors import ConfigurationError, UnexpectedReply
from conference_async.masking import mask
from conference_async.wire.readings import read_date

T = TypeVar("T")

FORM = "application/x-www-form-urlencoded"
MAX_REPLY_BYTES = 32 * 1024 * 1024
"""The longest reply that is read; a page of 1,000 participants has less than one MiB."""

_LONGEST_COUNT = 9

_NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError)
_USER_AGENT = f"conference-async/{__version__} aiohttp/{aiohttp.__version__}"

# Attempts are timed as a whole, by a clock that does not round: aiohttp rounds up its own.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)


@attrs.frozen(kw_only=True)
class Request:
    """What to send."""

    kind: str
    """The operation, for events and logs: ``create``, ``fetch``, …"""

    method: str
    path: str = attrs.field(repr=mask)
    """Path and query, percent-encoded, beginning with a slash."""

    form: bytes | None = attrs.field(default=None, repr=False)
    """The encoded form, or None for a request without a body. Whatever must not be repeated
    behind our back has one, if an empty one: aiohttp repeats some requests by itself."""

    def one_shot_form(self) -> "OneShotForm | None":
        """Return the form for one attempt."""
        return None if self.form is None else OneShotForm(self.form)


@attrs.frozen(kw_only=True)
class Reply:
    """What came back."""

    status: int
    body: bytes = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    """By name in any case. They are read when they are asked for, which is seldom."""

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
        if after.isdecimal():
            return float(after)
        until, now = read_date(after), self.date
        return None if until is None or now is None else max(0.0, (until - now).total_seconds())


@attrs.frozen(kw_only=True)
class Failure:
    """An attempt without a whole answer."""

    left: bool
    """Whether the request may have reached the network: any byte of its form, if it has one."""

    error: BaseException


class OneShotForm(aiohttp.Payload):
    """A form that is written to the network at most once.

    aiohttp asks a payload to write itself at the one moment when a connection stands and the
    bytes are handed to it, so what this object saw is what really happened. The service cannot
    act on a create whose body it never got. A second write, whoever asks for it (a redirect, a
    middleware, a retry below us), is refused.
    """

    def __init__(self, form: bytes) -> None:
        super().__init__(form, content_type=FORM)
        self._size = len(form)
        self._form = form
        self._sealed = False
        self.left = False

    def seal(self) -> None:
        """Refuse to be written from now on."""
        self._sealed = True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the form as text."""
        return self._form.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Hand the form to the connection, once."""
        transport: asyncio.Transport | None = getattr(writer, "transport", None)
        if self._sealed or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError(
                "the connection closed before the form was sent"
            )
        self._sealed = self.left = True
        await writer.write(self._form)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    length = response.content_length
    if length is not None and length <= MAX_REPLY_BYTES:
        return await response.read()  # which frees the connection, or closes it if it fails
    async with response:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_REPLY_BYTES:
                raise aiohttp.ClientPayloadError(
                    f"the reply is longer than {MAX_REPLY_BYTES} bytes"
                )
        return bytes(body)


class Transport:
    """Makes attempts on an aiohttp session, its own or a borrowed one.

    Args:
        base_url: Scheme and host, without a trailing slash.
        credentials: Who calls.
        session: A session to borrow; it is never closed here.
        proxy: An HTTP proxy's URL, or None.
        trust_env: Whether an own session takes proxies from the environment.
        connections: How many connections an own session may open at once.
    """

    def __init__(
        self,
        *,
        base_url: str,
        credentials: Credentials,
        session: aiohttp.ClientSession | None,
        proxy: str | None,
        trust_env: bool,
        connections: int,
    ) -> None:
        base = urlsplit(base_url)
        self._scheme, self._authority, self._prefix = base.scheme, base.netloc, base.path
        headers = {
            "Authorization": credentials.authorization,
            "Accept": "application/json",
            "Accept-Charset": "utf-8",
            "User-Agent": _USER_AGENT,
        }
        self._borrowed = session
        self._proxy, self._proxy_headers = split_proxy(proxy)
        if self._scheme == "http":  # there is no tunnel: the proxy reads the request itself
            headers |= self._proxy_headers
        # Once per session, and not with each request, where that is safe: aiohttp shows the
        # headers of a session to a proxy that is asked for a tunnel, our token with them.
        per_session = session is None and proxy is None
        self._session_headers = headers if per_session else None
        self._request_headers = None if per_session else headers
        self._trust_env = trust_env
        self._connections = connections
        self._own: tuple[asyncio.AbstractEventLoop, aiohttp.ClientSession] | None = None
        self.closed = False

    def _session(self) -> aiohttp.ClientSession:
        if self.closed:
            raise ConfigurationError("the client is closed; enter it with `async with` again")
        if self._borrowed is not None:
            if self._borrowed.closed:
                raise ConfigurationError("the session that this client borrows is closed")
            return self._borrowed
        loop = asyncio.get_running_loop()
        if self._own is None or self._own[0] is not loop:
            if self._own is not None and self._own[0].is_running():
                raise ConfigurationError(
                    "this client is in use on another running event loop; make one for each loop"
                )
            session = aiohttp.ClientSession(
                headers=self._session_headers,
                connector=aiohttp.TCPConnector(limit=self._connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=self._trust_env,
            )
            self._own = loop, session
        return self._own[1]

    async def send(
        self,
        request: Request,
        form: OneShotForm | None,
        timeout: float | None,  # noqa: ASYNC109 -- the bound is part of what is asked
    ) -> Reply | Failure:
        """Make one attempt: send, and read the whole reply.

        Args:
            request: What to send.
            form: Its form for this one attempt; it knows whether it left even if this is cancelled.
            timeout: The seconds that all of it may take, or None.

        Returns:
            The reply whatever its status, or the failure and whether the request had left.

        Raises:
            ConfigurationError: The client or the borrowed session is closed.
        """
        session = self._session()
        path, _, query = request.path.partition("?")
        # A fifth of the time that parsing it from text takes, and hardly any two are the same.
        url = URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=self._prefix + path,
            query_string=query,
            encoded=True,
        )
        try:
            async with asyncio.timeout(timeout):
                response = await session.request(
                    request.method,
                    url,
                    data=form,
                    headers=self._request_headers,
                    allow_redirects=False,
                    raise_for_status=False,
                    proxy=self._proxy,
                    proxy_headers=self._proxy_headers,
                    timeout=_NO_TIMEOUT,
                )
                body = await _read(response)
                return Reply(status=response.status, body=body, headers=response.headers)
        except Exception as error:  # noqa: BLE001 -- whatever a connector, proxy or codec raises is sorted by `left`
            left = not isinstance(error, _NO_CONNECTION) if form is None else form.left
            return Failure(left=left, error=error)
        finally:
            if form is not None:
                form.seal()

    async def aclose(self) -> None:
        """Close the own session; a borrowed one stays open."""
        self.closed = True
        own, self._own = self._own, None
        if own is not None and own[0] is asyncio.get_running_loop():
            await own[1].close()
