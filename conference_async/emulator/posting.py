"""The little HTTP that delivering a callback takes."""

import asyncio
import base64
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

_CONNECT_SECONDS = 5.0
_LONGEST_ANSWER = 65_536
_URL_CHARACTERS = "%/:=&?~+!$,;'@()*[]"


async def request(method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> int:
    """Send one ``http`` request on a connection of its own and return the answer's status.

    Raises:
        ConnectionRefusedError: No connection could be made; other `OSError` likewise.
        TimeoutError: No connection within five seconds.
        ValueError: The URL is not ``http``, or the answer is not HTTP.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("only http listeners can be called")
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection(parts.hostname, parts.port or 80), _CONNECT_SECONDS
    )
    try:
        target = quote(parts.path or "/", safe=_URL_CHARACTERS)
        if parts.query:
            target += "?" + quote(parts.query, safe=_URL_CHARACTERS)
        user_info, _, host = parts.netloc.rpartition("@")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
        if user_info:
            lines.append(f"Authorization: Basic {_basic(user_info)}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        status_line = (await reader.readline()).split()
        await reader.read(_LONGEST_ANSWER)
        if len(status_line) < 2 or not status_line[1].isdigit():  # noqa: PLR2004 - version, status
            raise ValueError("the answer is not HTTP")
        return int(status_line[1])
    finally:
        writer.close()


def _basic(user_info: str) -> str:
    return base64.b64encode(unquote(user_info).encode()).decode()
