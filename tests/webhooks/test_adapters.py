"""A receiver behind aiohttp.web and behind ASGI answers alike, whatever comes over the wire."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, TypeAlias
from urllib.parse import urlencode

import pytest
from aiohttp import web

from conference_async.webhooks.aiohttp_web import aiohttp_handler
from conference_async.webhooks.asgi import WebhookApp
from conference_async.webhooks.events import Event, ParticipantJoined
from conference_async.webhooks.receiver import Receiver
from conference_async.webhooks.signature import Keys, sign
from tests.conftest import UNMEASURED

TOKEN = "12345"
PUBLIC = "https://example.com/hooks/twilio"
QUERY = "name=it%27s&name=a+b%2Fc&empty="
FORM = "application/x-www-form-urlencoded; charset=UTF-8"
PARAMS = {
    "StatusCallbackEvent": "participant-join",
    "ConferenceSid": "CF" + "2" * 32,
    "CallSid": "CA" + "1" * 32,
    "ParticipantLabel": "é☎ +&=",
    "SequenceNumber": "1",
    "Timestamp": format_datetime(datetime.now(UTC)),
}
BODY = urlencode(PARAMS).encode()

Message: TypeAlias = MutableMapping[str, Any]
Exchange: TypeAlias = Callable[[bytes], Awaitable[bytes]]


def receiver() -> Receiver:
    """Return a receiver for the public URL."""
    return Receiver(Keys(TOKEN), public_url=PUBLIC, max_body=1000, body_timeout=0.5)


def request(
    body: bytes = BODY,
    *,
    method: str = "POST",
    signature: str = sign(f"{PUBLIC}?{QUERY}", PARAMS, TOKEN),
    length: int | None = None,
    more: str = "",
) -> bytes:
    """Return a request as it stands on the wire."""
    head = (
        f"{method} /inside/behind-a-proxy?{QUERY} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: {FORM}\r\nX-Twilio-Signature: {signature}\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n{more}\r\n"
    )
    return head.encode() + body


@pytest.fixture
def hooks() -> Receiver:
    """Return the receiver under test."""
    return receiver()


@pytest.fixture
async def over_aiohttp(hooks: Receiver) -> AsyncIterator[Exchange]:
    """Return what sends raw bytes to an aiohttp.web server and returns the head of the answer."""
    app = web.Application()
    app.router.add_route("*", "/inside/behind-a-proxy", aiohttp_handler(hooks))

    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]

    async def exchange(raw: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(raw)
            return await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.close()
            await writer.wait_closed()

    yield exchange
    await runner.cleanup()


def taken(to: Receiver) -> list[Event]:
    """Return a list that fills with the events that reach the application."""
    events: list[Event] = []
    to.listen(events.append)
    return events


async def test_aiohttp(hooks: Receiver, over_aiohttp: Exchange) -> None:
    """A genuine request is answered 204, though the server sees another URL than was signed."""
    heard = taken(hooks)

    answer = await over_aiohttp(request())

    assert answer.startswith(b"HTTP/1.1 204 ")
    (event,) = heard
    assert isinstance(event, ParticipantJoined)
    assert event.label == "é☎ +&="
    assert event.extra["name"] == "a b/c"


@pytest.mark.parametrize(
    ("status", "raw"),
    [
        (403, request(BODY + b"&Muted=true")),
        (403, request(signature="x")),
        (413, request(b"a" * 5000)),
        (413, request(b"a" * 1001, length=10**9)),
        (408, request(b"a=1", length=100)),
        (415, request(more="Content-Encoding: gzip\r\n")),
        (405, request(method="DELETE")),
    ],
)
async def test_aiohttp_refuses(
    status: int, raw: bytes, hooks: Receiver, over_aiohttp: Exchange
) -> None:
    """A changed, oversized, stalled or mistyped request gets its status and goes no further."""
    heard = taken(hooks)

    answer = await over_aiohttp(raw)

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"Allow: GET, POST" in answer) == (status == 405)
    assert heard == []


async def test_aiohttp_broken_off(
    hooks: Receiver, over_aiohttp: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    """A sender that hangs up in the middle of the body is refused, and no error of the server's."""
    heard = taken(hooks)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(over_aiohttp(request(BODY[:20], length=len(BODY))), 0.05)

    assert (await over_aiohttp(request())).startswith(b"HTTP/1.1 204 ")
    assert len(heard) == 1
    (refused,) = caplog.messages
    assert "refused a request: its signature is of none of the keys" in refused


async def over_asgi(
    app: WebhookApp, *messages: Message, method: str = "POST", signature: str | None = None
) -> list[Message]:
    """Return what the ASGI application sends for a request."""
    sent: list[Message] = []
    incoming = iter(messages)

    async def receive() -> Message:
        return next(incoming)

    async def send(message: Message) -> None:
        sent.append(message)

    signature = signature or sign(f"{PUBLIC}?{QUERY}", PARAMS, TOKEN)
    headers = [(b"content-type", FORM.encode()), (b"x-twilio-signature", signature.encode())]
    scope = {
        "type": "http",
        "method": method,
        "path": "/inside",
        "query_string": QUERY.encode(),
        "headers": headers,
    }
    await app(scope, receive, send)
    return sent


def part(body: bytes, *, more: bool = False) -> Message:
    """Return a part of a body as ASGI has it."""
    return {"type": "http.request", "body": body, "more_body": more}


async def test_asgi(hooks: Receiver) -> None:
    """A genuine request is answered 204, in however many parts it comes."""
    heard = taken(hooks)

    sent = await over_asgi(WebhookApp(hooks), part(BODY[:9], more=True), part(BODY[9:]))

    assert sent == [
        {"type": "http.response.start", "status": 204, "headers": []},
        {"type": "http.response.body", "body": b""},
    ]
    assert isinstance(heard[0], ParticipantJoined)
    assert heard[0].label == "é☎ +&="


@pytest.mark.parametrize(
    ("status", "messages"),
    [
        (403, [part(BODY + b"&Muted=true")]),
        (403, [part(BODY[:9], more=True), {"type": "http.disconnect"}]),
        (413, [part(b"a" * 900, more=True), part(b"a" * 101, more=True)]),
    ],
)
async def test_asgi_refuses(status: int, messages: list[Message], hooks: Receiver) -> None:
    """A changed, broken-off or oversized body gets its status, and no more of it is read."""
    heard = taken(hooks)

    sent = await over_asgi(WebhookApp(hooks), *messages)

    assert sent[0] == {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-length", b"0")],
    }
    assert heard == []


async def test_asgi_method(hooks: Receiver) -> None:
    """A method that the service does not use is told the ones that it does."""
    sent = await over_asgi(WebhookApp(hooks), method="PUT")

    assert sent[0]["status"] == 405
    assert (b"allow", b"GET, POST") in sent[0]["headers"]


async def test_asgi_lifespan(hooks: Receiver) -> None:
    """Run by a server on its own, it starts and stops as asked."""
    incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> Message:
        return next(incoming)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await WebhookApp(hooks)({"type": "lifespan"}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_asgi_websocket(hooks: Receiver) -> None:
    """A WebSocket is closed: the service sends callbacks over plain HTTP."""
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("nothing to receive")

    async def send(message: Message) -> None:
        sent.append(message)

    await WebhookApp(hooks)({"type": "websocket"}, receive, send)

    assert sent == [{"type": "websocket.close"}]


def test_no_http_client() -> None:
    """Importing the webhooks loads no HTTP client, web framework or converter."""
    code = (
        "import sys, conference_async.webhooks as w; [getattr(w, name) for name in w.__all__];"
        "print(sorted({'aiohttp', 'cattrs', 'sqlite3', 'starlette'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=UNMEASURED,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout.strip(), done.stderr) == ("['sqlite3']", "")
