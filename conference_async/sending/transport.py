"""One HTTP attempt on aiohttp, and whether the request had left when it failed."""

import zlib
from asyncio import get_running_loop
from collections.abc import AsyncGenerator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from aiohttp.hdrs import CONTENT_ENCODING, TRANSFER_ENCODING
from yarl import URL

from conference_async._version import __version__
from conference_async.errors import ConfigurationError
from conference_async.home import Home
from conference_async.hosts import proxy_of_environment, split_proxy
from conference_async.rooted import of_the_parent
from conference_async.sending.form import FORM, OneShotForm
from conference_async.sending.messages import Reply, Request, TransportFailure
from conference_async.sending.patience import Patience

Session: TypeAlias = aiohttp.ClientSession
"""What requests are sent through: the own one, or one that is borrowed."""

MAX_REPLY_BYTES = 32 * 1024 * 1024
"""The longest reply that is read, unpacked; a page of 1,000 participants has less than one MiB."""

_DEAD_CONNECTIONS = 10
"""How many kept-alive connections in a row may turn out to be dead before one attempt gives up."""

_NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError)
_USER_AGENT = f"conference-async/{__version__} aiohttp/{aiohttp.__version__}"

_NOT_FOR_US = frozenset(
    {"connection", "content-encoding", "content-length", "expect", "host", "range"}
    | {"if-match", "if-none-match", "if-modified-since", "if-range", "if-unmodified-since"}
    | {"te", "transfer-encoding", "upgrade", "x-http-method-override"}
)
"""Default headers of a borrowed session that would change what a request is."""

_OF_A_SESSION: dict[str, Any] = {
    "auto_decompress": False,
    "raise_for_status": False,
    # Attempts are timed as a whole, by a clock that does not round: aiohttp rounds up its own.
    "timeout": aiohttp.ClientTimeout(total=None, sock_connect=None),
}
"""What holds for every request: said once of an own session, and each time of a borrowed one."""


async def _read(response: aiohttp.ClientResponse) -> bytes:
    length, headers = response.content_length, response.headers
    if length is not None and length <= MAX_REPLY_BYTES and TRANSFER_ENCODING not in headers:
        body = await response.read()  # which frees the connection, or closes it if it fails
    else:
        async with response:
            parts = bytearray()
            async for chunk in response.content.iter_any():
                parts += chunk
                if len(parts) > MAX_REPLY_BYTES:
                    raise _too_long()
            body = bytes(parts)
    encoding = headers.get(CONTENT_ENCODING)
    return body if encoding is None or encoding == "identity" else _unpacked(body, encoding)


def _unpacked(body: bytes, encoding: str) -> bytes:
    """Return what a reply holds, without unpacking more of it than is read."""
    if encoding.lower() not in {"gzip", "x-gzip", "deflate"}:
        raise aiohttp.ClientPayloadError("the reply is encoded in a way that was not asked for")
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = unpacker.decompress(body, MAX_REPLY_BYTES + 1)
    except zlib.error as error:
        raise aiohttp.ClientPayloadError("the reply cannot be unpacked") from error
    if len(plain) > MAX_REPLY_BYTES:
        raise _too_long()
    if body and not unpacker.eof:
        raise aiohttp.ClientPayloadError("the packed reply ends too soon")
    return plain


def _too_long() -> aiohttp.ClientPayloadError:
    return aiohttp.ClientPayloadError(f"the reply is longer than {MAX_REPLY_BYTES >> 20} MiB")


async def _open_session(
    headers: Mapping[str, str] | None, connections: int
) -> AsyncGenerator[Session, None]:
    """Yield an own session, and close it when the loop ends or the client is closed.

    It is a generator because a loop that ends closes its generators while it still can:
    `asyncio.run` gives nothing else a chance to close its sockets.
    """
    session = aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(limit=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        **_OF_A_SESSION,
    )
    try:
        yield session
    finally:
        await session.close()


def _check_borrowed(session: Session) -> None:
    """Refuse a session that would make another request of ours.

    Raises:
        ConfigurationError: One of its default headers would, or it is no session of aiohttp.
    """
    if not isinstance(session, aiohttp.ClientSession):
        raise ConfigurationError(
            f"session must be an aiohttp.ClientSession, not {type(session).__name__}"
        )
    foreign = sorted(name for name in session.headers if name.lower() in _NOT_FOR_US)
    if foreign:
        raise ConfigurationError(
            f"the session to borrow sends {foreign[0]!r} with every request, which would change "
            "ours; lend one without that default header"
        )
    if "Authorization" in session.headers and (session.auth is not None or session.trust_env):
        raise ConfigurationError(
            "the session to borrow has a default 'Authorization' header beside auth= or "
            "trust_env=, and aiohttp sends nothing for it where both apply; lend one without"
        )


def _url(server: URL, path: str) -> URL:
    """Return the URL of a path, with a query or not, in a fifth of the time that parsing takes."""
    if "?" not in path:
        return server.with_path(path, encoded=True)
    path, _, query = path.partition("?")
    return URL.build(
        scheme=server.scheme,
        authority=server.raw_authority,
        path=path,
        query_string=query,
        encoded=True,
    )


_known_url = lru_cache(maxsize=256)(_url)


class _OurHeaders:
    """A middleware that says every header that matters, whatever a borrowed session says."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        for name in ("Authorization", "Cookie", "Content-Type"):
            request.headers.popall(name, None)
        request.headers.update(self._headers)
        if isinstance(request.body, OneShotForm):
            request.headers["Content-Type"] = FORM
        return await handler(request)


class Transport:
    """Makes attempts on an aiohttp session, its own or a borrowed one.

    Args:
        base_url: Scheme and host, without a trailing slash.
        authorization: The header that signs every request in; None where each brings its own.
        session: A session to borrow; it is never closed here.
        proxy: An HTTP proxy's URL, or None.
        trust_env: Whether the environment names a proxy, where none is given.
        connections: How many connections an own session may open at once.
    """

    def __init__(
        self,
        *,
        base_url: str,
        authorization: str | None,
        session: Session | None,
        proxy: str | None,
        trust_env: bool,
        connections: int,
    ) -> None:
        self.base_url: str = base_url
        base = urlsplit(base_url)
        self._prefix = base.path
        self._server = URL.build(scheme=base.scheme, authority=base.netloc, encoded=True)
        headers = {
            "Accept": "application/json",
            "Accept-Charset": "utf-8",
            "Accept-Encoding": "gzip",
            "User-Agent": _USER_AGENT,
        }
        if authorization is not None:
            headers["Authorization"] = authorization
        if session is not None:
            _check_borrowed(session)
        self._ways: tuple[str | None, bool] = (proxy, trust_env)
        if trust_env and proxy is None:
            proxy = proxy_of_environment(base_url)
        self._borrowed = session
        self._proxy, self._proxy_headers = split_proxy(proxy)
        if base.scheme == "http":  # there is no tunnel: the proxy reads the request itself
            headers |= self._proxy_headers
        # Once per session, and not with each request, where that is safe: aiohttp shows the
        # headers of a session to a proxy that is asked for a tunnel, our token with them.
        per_session = session is None and proxy is None
        self._session_headers = headers if per_session else None
        self._headers = headers
        # Of each request only what its session does not say by itself: aiohttp takes a while to
        # match every keyword.
        self._keywords: dict[str, Any] = {"allow_redirects": False}
        if self._proxy is not None:
            self._keywords |= {"proxy": self._proxy, "proxy_headers": self._proxy_headers}
        if session is not None:
            # What a borrowed session sends with each request has been put together when its
            # middlewares run; ours, which takes their place, has the last word.
            self._keywords |= {**_OF_A_SESSION, "middlewares": (_OurHeaders(headers),)}
        elif not per_session:
            self._keywords["headers"] = headers
        self._signed_by: str | None = None
        self._connections = connections
        self._home = Home()
        self._patience = Patience()
        self._lifetime: AsyncGenerator[Session, None] | None = None
        self._own: Session | None = None
        self.closed: bool = False

    async def session(self) -> Session:
        """Return the borrowed session, or the own one of the running loop, opened if it must be.

        Raises:
            ConfigurationError: It is closed, or the own one is in use on another running loop.
        """
        if self.closed:
            raise ConfigurationError("the client is closed; enter it with `async with` again")
        if self._borrowed is not None:
            if self._borrowed.closed:
                raise ConfigurationError("the session that this client borrows is closed")
            return self._borrowed
        if self._own is None or self._own.closed or not self._home.here:
            if self._home.forked:
                of_the_parent.append((self._lifetime, self._own))
            self._home.settle("make one for each loop", what="client")
            self._lifetime = _open_session(self._session_headers, self._connections)
            self._own = await anext(self._lifetime)
        return self._own

    async def send(
        self,
        request: Request,
        form: OneShotForm | None,
        until: float,
        authorization: str | None = None,
    ) -> Reply | TransportFailure:
        """Make one attempt: send, and read the whole reply.

        Args:
            request: What to send.
            form: Its form for this one attempt; it knows whether it left even if this is cancelled.
            until: The instant of the loop's clock by which all of it has to end.
            authorization: The header that signs this request in, where they do not share one.

        Returns:
            The reply whatever its status, or the failure and whether the request had left.

        Raises:
            ConfigurationError: The client or the borrowed session is closed.
        """
        session = self._own
        if (
            session is None
            or session.closed
            or self.closed
            or self._home.loop is not get_running_loop()
        ):
            session = await self.session()
        if authorization is not None and authorization != self._signed_by:
            self._sign(authorization)
        # Many are created in one room, while hardly any two others go to the same place.
        url_of = _url if form is None else _known_url
        url = url_of(self._server, self._prefix + request.path)
        try:
            with self._patience.bound(until) as bound:
                if form is None:
                    response = await session.request(request.method, url, **self._keywords)
                else:
                    form.bound = bound
                    response = await self._answer(session, request.method, url, form)
                body = await _read(response)
                return Reply(response.status, body, response.headers, response)
        except Exception as error:  # noqa: BLE001 -- whatever a connector, proxy or codec raises is sorted by `left`
            left = (
                not isinstance(error, _NO_CONNECTION) if form is None else form.left_at is not None
            )
            return TransportFailure(left=left, error=error)
        finally:
            if form is not None and form.left_at is None:
                form.seal()

    def _sign(self, authorization: str) -> None:
        """Sign every request in with another header from now on."""
        self._signed_by = authorization
        signed = {"Authorization": authorization}
        if self._borrowed is not None:
            self._keywords["middlewares"] = (_OurHeaders(self._headers | signed),)
        else:
            self._keywords["headers"] = self._keywords.get("headers", {}) | signed

    async def _answer(
        self, session: Session, method: str, url: URL, form: OneShotForm
    ) -> aiohttp.ClientResponse:
        """Return the answer to a form; go past kept-alive connections that are dead already."""
        for dead_ends in range(_DEAD_CONNECTIONS):
            try:
                response = await session.request(method, url, data=form, **self._keywords)
            except aiohttp.ClientError:
                if form.dead_ends == dead_ends:
                    raise
            else:
                if form.left_at is not None:
                    return response
                response.close()  # the answer to something else, from before the form was sent
                form.dead_ends = dead_ends + 1
        raise aiohttp.ClientConnectionResetError(
            f"{_DEAD_CONNECTIONS} connections were closed before the form was sent"
        )

    def beside(self, base_url: str) -> "Transport":
        """Return a transport to another server, which goes there the same way, not signed in."""
        proxy, trust_env = self._ways
        return Transport(
            base_url=base_url,
            authorization=None,
            session=self._borrowed,
            proxy=proxy,
            trust_env=trust_env,
            connections=1,
        )

    async def aclose(self) -> None:
        """Close the own session; a borrowed one stays open."""
        self.closed = True
        self._patience.rest()
        if self._lifetime is not None and self._home.here:
            lifetime, self._lifetime, self._own = self._lifetime, None, None
            await lifetime.aclose()
