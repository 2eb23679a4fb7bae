"""Whether a create had left is known, on every kind of connection and at every moment."""

import asyncio
import base64
import json
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
import trustme

from conference_async import (
    ConferenceClient,
    ConfigurationError,
    ConnectionFailed,
    Credentials,
    OutcomeUnknown,
    Participant,
    RetryPolicy,
    Unpaced,
)
from conference_async.sending.form import OneShotForm

FROM = "+15017122661"
TO = "+15558675310"
SID = "AC" + "1" * 32

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Serve = Callable[[Reader, Writer], Awaitable[None]]


class RawServer:
    """A server that does what it is told with each connection, and keeps what it was sent."""

    def __init__(self, *scripts: Serve) -> None:
        self._scripts = list(scripts)
        self.creates = 0
        self.connections = 0

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """Run the next script on a connection; the last one serves all later connections."""
        self.connections += 1
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def read_request(self, reader: Reader) -> tuple[bytes, bytes]:
        """Return request line and body."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = await reader.readexactly(length)
        line = head.split(b"\r\n", 1)[0]
        if line.startswith(b"POST"):
            self.creates += 1
        return line, body


def reply(status: int, payload: object) -> bytes:
    """Return a whole HTTP reply."""
    body = json.dumps(payload).encode()
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


PLACED = reply(201, {"status": "queued", "call_sid": "CA1"})
NOT_FOUND = reply(404, {"code": 20404, "message": "not found", "status": 404})
NOBODY = reply(200, {"conferences": [], "next_page_uri": None})


@asynccontextmanager
async def served(
    server: RawServer, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Serve on a port of loopback."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    host, port = listening.sockets[0].getsockname()[:2]
    try:
        yield host, port
    finally:
        listening.close()
        await listening.wait_closed()


async def create(
    base_url: str, session: aiohttp.ClientSession | None = None, proxy: str | None = None
) -> Participant:
    """Dial once with few look-ups."""
    async with ConferenceClient(
        Credentials(SID, "token"),
        base_url=base_url,
        limit=Unpaced(),
        session=session,
        proxy=proxy,
        timeout=5,
        retry=RetryPolicy(attempts=2, base=0.01, lookups=2, settled=0.1),
    ) as client:
        return await client.conferences("standup").participants.create(from_=FROM, to=TO)


def nothing_found(server: RawServer) -> Serve:
    """Return a script that answers look-ups with nothing and creates with a placed call."""

    async def script(reader: Reader, writer: Writer) -> None:
        while True:
            line, _ = await server.read_request(reader)
            writer.write(PLACED if line.startswith(b"POST") else NOBODY)

    return script


async def reset_at_once(_reader: Reader, writer: Writer) -> None:
    """Reset before anything is read."""
    writer.transport.abort()


async def reset_in_headers(reader: Reader, writer: Writer) -> None:
    """Reset after the first bytes of the head."""
    await reader.readexactly(20)
    writer.transport.abort()


def reset_after_body(server: RawServer) -> Serve:
    """Reset when the request is there."""

    async def script(reader: Reader, writer: Writer) -> None:
        await server.read_request(reader)
        writer.transport.abort()

    return script


def half_a_reply(server: RawServer) -> Serve:
    """Close in the middle of the reply."""

    async def script(reader: Reader, writer: Writer) -> None:
        await server.read_request(reader)
        writer.write(PLACED[: len(PLACED) - 10])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return script


def no_reply(server: RawServer) -> Serve:
    """Read the request and say nothing."""

    async def script(reader: Reader, _writer: Writer) -> None:
        await server.read_request(reader)
        await reader.read()

    return script


SCRIPTS = {
    "reset in headers": lambda _server: reset_in_headers,
    "reset after body": reset_after_body,
    "half a reply": half_a_reply,
    "no reply": no_reply,
}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority."""
    return trustme.CA()


def tls_of(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's and a client's TLS context."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@pytest.mark.looptime
@pytest.mark.parametrize("moment", SCRIPTS)
async def test_what_was_handed_to_the_network_is_in_doubt_and_sent_once(moment: str) -> None:
    """From a reset in the head to no answer at all: never a second POST."""
    server = RawServer()
    server._scripts = [SCRIPTS[moment](server), nothing_found(server)]

    async with served(server) as (host, port):
        with pytest.raises(OutcomeUnknown):
            await create(f"http://{host}:{port}")

    assert server.creates <= 1


async def test_a_connection_that_is_reset_at_once_may_have_been_seen_to_be() -> None:
    """Then nothing was written to it, and the create goes over the next one; never over both."""
    server = RawServer()
    server._scripts = [reset_at_once, nothing_found(server)]

    async with served(server) as (host, port):
        try:
            placed = await create(f"http://{host}:{port}")
        except OutcomeUnknown:
            assert server.creates == 0
        else:
            assert placed.call_sid == "CA1"
            assert server.creates == 1


@pytest.mark.parametrize("moment", ["reset after body", "half a reply"])
async def test_the_same_over_tls(moment: str, authority: trustme.CA) -> None:
    """TLS changes nothing in what is known."""
    server_tls, client_tls = tls_of(authority)
    server = RawServer()
    server._scripts = [SCRIPTS[moment](server), nothing_found(server)]

    async with (
        served(server, server_tls) as (host, port),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_tls)) as session,
    ):
        with pytest.raises(OutcomeUnknown):
            await create(f"https://{host}:{port}", session)
        assert not session.closed

    assert server.creates == 1


async def test_a_tls_handshake_that_fails_means_not_sent(authority: trustme.CA) -> None:
    """A certificate we do not trust never sees the request."""
    server_tls, _ = tls_of(authority)
    server = RawServer(nothing_found(RawServer()))

    async with served(server, server_tls) as (host, port):
        with pytest.raises(ConnectionFailed):
            await create(f"https://{host}:{port}")

    assert server.creates == 0


async def test_a_name_that_does_not_resolve_means_not_sent() -> None:
    """No DNS, no request."""
    with pytest.raises(ConnectionFailed):
        await create("http://no-such-host.invalid")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_not_there_means_not_sent(scheme: str) -> None:
    """The proxy's port is dead: nothing left."""
    with pytest.raises(ConnectionFailed):
        await create(f"{scheme}://127.0.0.1:9", proxy="http://127.0.0.1:9")


async def test_a_proxy_that_refuses_the_tunnel_means_not_sent() -> None:
    """CONNECT answered 403: the request itself never left."""

    async def refuse(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    server = RawServer(refuse)

    async with served(server) as (host, port):
        with pytest.raises(ConnectionFailed):
            await create("https://127.0.0.1:9", proxy=f"http://user:secret@{host}:{port}")

    assert server.connections == 2


async def test_a_proxy_that_refuses_gives_no_password_away() -> None:
    """It is asked with user and password, and what is raised, causes and all, shows neither."""
    heads: list[bytes] = []

    async def refuse(reader: Reader, writer: Writer) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    password = "hunter2"
    async with served(RawServer(refuse)) as (host, port):
        with pytest.raises(ConnectionFailed, match="407") as caught:
            await create("https://127.0.0.1:9", proxy=f"http://us%40er:{password}@{host}:{port}")

    user = base64.b64encode(f"us@er:{password}".encode())
    assert heads[0].startswith(b"CONNECT 127.0.0.1:9 ")
    assert b"Proxy-Authorization: Basic " + user in heads[0]
    assert password not in "".join(traceback.format_exception(caught.value))
    assert base64.b64encode(f"{SID}:token".encode()) not in heads[0]


@pytest.mark.parametrize("user", ["", "user:password@"])
@pytest.mark.parametrize("borrowed", [True, False])
async def test_a_tunnel_is_asked_for_without_the_accounts_token(borrowed: bool, user: str) -> None:
    """A proxy, and a listener on the way to it, never sees what could dial for us."""
    heads: list[bytes] = []

    async def refuse(reader: Reader, writer: Writer) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with served(RawServer(refuse)) as (host, port), aiohttp.ClientSession() as session:
        with pytest.raises(ConnectionFailed):
            await create(
                "https://127.0.0.1:9",
                session if borrowed else None,
                proxy=f"http://{user}{host}:{port}",
            )

    assert heads
    for head in heads:
        assert head.startswith(b"CONNECT 127.0.0.1:9 ")
        assert base64.b64encode(f"{SID}:token".encode()) not in head
        assert head.count(b"uthorization") == (1 if user else 0)


@pytest.mark.parametrize("proxy", ["proxy:3128", "socks5://proxy", "http://host:99999", "http://"])
async def test_a_proxy_that_is_none_is_refused(proxy: str) -> None:
    """Before anything is sent, and without the password that may be in it."""
    with pytest.raises(ConfigurationError, match="proxy must be like"):
        await create("https://127.0.0.1:9", proxy=proxy)


async def test_through_a_tunnel_a_reset_is_in_doubt(authority: trustme.CA) -> None:
    """A proxy in between changes nothing in what is known."""
    server_tls, client_tls = tls_of(authority)
    server = RawServer()
    server._scripts = [reset_after_body(server), nothing_found(server)]

    async def tunnel(reader: Reader, writer: Writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        port = int(head.split(b" ")[1].rsplit(b":")[1])
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def pump(source: Reader, sink: Writer) -> None:
            try:
                while data := await source.read(65536):
                    sink.write(data)
            except ConnectionError:
                pass
            finally:
                sink.transport.abort()

        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(pump(reader, far_writer))
            pumps.create_task(pump(far_reader, writer))

    async with (
        served(server, server_tls) as (host, port),
        served(RawServer(tunnel)) as (proxy_host, proxy_port),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_tls)) as session,
    ):
        with pytest.raises(OutcomeUnknown):
            await create(f"https://{host}:{port}", session, f"http://{proxy_host}:{proxy_port}")

    assert server.creates == 1


async def test_a_kept_alive_connection_that_died_is_never_the_reason_for_a_second_post() -> None:
    """The server answers once and resets the reused connection with the next create."""
    server = RawServer()

    async def once(reader: Reader, writer: Writer) -> None:
        await server.read_request(reader)
        writer.write(PLACED)
        await server.read_request(reader)
        writer.transport.abort()

    server._scripts = [once, nothing_found(server)]

    async with served(server) as (host, port):
        base_url = f"http://{host}:{port}"
        async with ConferenceClient(
            Credentials(SID, "token"),
            base_url=base_url,
            limit=Unpaced(),
            retry=RetryPolicy(base=0.01, lookups=2, settled=0.1),
        ) as client:
            room = client.conferences("standup")
            await room.participants.create(from_=FROM, to=TO)
            with pytest.raises(OutcomeUnknown):
                await room.participants.create(from_=FROM, to=TO)

    assert server.creates == 2


async def test_the_answer_to_another_request_is_not_taken_for_ours() -> None:
    """A reply with another label is in doubt like no reply, and the label is looked up."""
    server = RawServer()
    strange = reply(201, {"status": "queued", "call_sid": "CA2", "label": "somebody-else"})

    async def lost_count(reader: Reader, writer: Writer) -> None:
        while True:
            line, _ = await server.read_request(reader)
            writer.write(strange if line.startswith(b"POST") else NOBODY)

    server._scripts = [lost_count]
    async with served(server) as (host, port):
        with pytest.raises(OutcomeUnknown, match="about another label"):
            await create(f"http://{host}:{port}")

    assert server.creates == 1


async def test_a_middleware_of_a_borrowed_session_has_no_part_in_it() -> None:
    """It might repeat the request, or sign it for somebody else."""
    server = RawServer()
    server._scripts = [nothing_found(server)]

    async def twice(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        (await handler(request)).release()
        return await handler(request)

    async with (
        served(server) as (host, port),
        aiohttp.ClientSession(middlewares=(twice,)) as session,
    ):
        assert (await create(f"http://{host}:{port}", session)).call_sid == "CA1"

    assert server.creates == 1


async def test_a_form_is_written_once_whoever_asks() -> None:
    """A redirect, a retry below us or a request class of somebody's cannot repeat a create."""
    server, form = RawServer(), OneShotForm(b"To=%2B1")
    server._scripts = [nothing_found(server)]

    async with served(server) as (host, port), aiohttp.ClientSession() as session:
        async with session.post(f"http://{host}:{port}/", data=form) as response:
            assert response.status == 201
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"http://{host}:{port}/", data=form)

    assert form.left_at is not None
    assert form.dead_ends == 0
    assert server.creates == 1


async def test_a_session_that_raises_for_status_is_borrowed_all_the_same() -> None:
    """Our reading of statuses does not depend on the session's settings."""
    server = RawServer()

    async def refused(reader: Reader, writer: Writer) -> None:
        await server.read_request(reader)
        writer.write(reply(401, {"code": 20003, "message": "Authenticate", "status": 401}))
        await writer.drain()

    server._scripts = [refused]
    async with (
        served(server) as (host, port),
        aiohttp.ClientSession(raise_for_status=True) as session,
    ):
        with pytest.raises(Exception, match="20003") as caught:
            await create(f"http://{host}:{port}", session)

    assert type(caught.value).__name__ == "NotAuthorized"


async def test_a_closed_session_is_a_configuration_error() -> None:
    """Nothing is sent through it, and the message says so."""
    session = aiohttp.ClientSession()
    await session.close()

    with pytest.raises(ConfigurationError, match="borrows is closed"):
        await create("http://127.0.0.1:9", session)


async def test_a_reply_without_end_is_not_read_to_its_end() -> None:
    """A stream that never stops is cut off, and the create is in doubt."""
    server = RawServer()

    async def endless(reader: Reader, writer: Writer) -> None:
        await server.read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        while True:
            writer.write(chunk)
            await writer.drain()

    server._scripts = [endless, nothing_found(server)]
    async with served(server) as (host, port):
        with pytest.raises(OutcomeUnknown, match="longer than"):
            await create(f"http://{host}:{port}")


def test_a_form_can_be_read_by_whoever_signs_or_logs_it() -> None:
    """The payload keeps aiohttp's contract: text, size, content type."""
    form = OneShotForm(b"To=%2B1")

    assert form.decode() == "To=%2B1"
    assert form.size == 7
    assert form.content_type == "application/x-www-form-urlencoded"
