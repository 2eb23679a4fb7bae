"""The client that takes callbacks to the application."""

import asyncio
from collections.abc import Mapping
from urllib.parse import quote

import aiohttp
from yarl import URL

_CONNECT_SECONDS = 5.0
_TOTAL_SECONDS = 15.0
_MOST_AT_ONCE = 100
_LONGEST_ANSWER = 65_536
_URL_CHARACTERS = "%/:=&?~+!$,;'@()*[]"


class Poster:
    """Sends requests to any number of listeners, at most 100 at a time.

    Each request has a connection of its own: a listener may close one that is kept just when the
    next request is written into it. Nothing of the environment (proxies, netrc), of earlier
    answers (cookies) or of an answer's wishes (redirects) changes a request.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)

    async def send(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> int:
        """Send one request and return the answer's status.

        A connection may take five seconds and is tried twice, as the service does; all together
        may take 15 seconds. Waiting for one of the 100 places does not count.

        Args:
            method: GET or POST.
            url: An ``http`` or ``https`` URL, sent as it is spelled; its user info signs in.
            headers: The headers besides those that every request has.
            body: The body; empty for GET.

        Raises:
            aiohttp.ClientError: There is no HTTP listener, or it breaks off.
            TimeoutError: It took too long.
            ValueError: The URL cannot be called.
        """
        target = URL(quote(url, safe=_URL_CHARACTERS), encoded=True)
        async with self._places, asyncio.timeout(_TOTAL_SECONDS):
            try:
                return await self._exchange(method, target, headers, body)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                return await self._exchange(method, target, headers, body)

    async def aclose(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()

    async def _exchange(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes
    ) -> int:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                auto_decompress=False,
                trust_env=False,
            )
        async with self._session.request(
            method, url, headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            await answer.content.read(_LONGEST_ANSWER)
            return answer.status
