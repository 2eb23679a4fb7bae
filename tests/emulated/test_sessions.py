"""The sessions that requests go over: kept alive, borrowed, inherited, and what they bring."""

import asyncio
import gc
import gzip
import json
import os
import socket
import ssl
import threading
import time
import warnings
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from conference_async import (
    ConferenceClient,
    ConferenceError,
    ConfigurationError,
    ConnectionFailed,
    Credentials,
    DeadlineExceeded,
    OutcomeUnknown,
    Participant,
    RetryPolicy,
    UnexpectedReply,
    Unpaced,
)
from conference_async.emulator import Emulator
from tests.conftest import run_and_exit

FROM = "+15017122661"
TO = "+15558675310"
ACCOUNT = "AC" + "1" * 32
ROOM = "CF" + "1" * 32
FIN_WAIT_1 = 4  # Linux's number for: it was closed here, and the other end has not confirmed that
PERSON = {"status": "queued", "call_sid": "CA" + "1" * 32, "conference_sid": ROOM}


def reply(status: int, body: bytes, *headers: str) -> bytes:
    """Return a whole HTTP reply."""
    head = [f"HTTP/1.1 {status} X", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


Answer = Callable[[str, dict[str, str], bytes], bytes]


def placed(_line: str, _headers: dict[str, str], _body: bytes) -> bytes:
    """Answer every request with one participant."""
    return reply(201, json.dumps(PERSON).encode())


class ThreadedServer:
    """A server outside every loop: it answers, and hangs up on the idle, while the loop rests."""

    def __init__(self, answer: Answer, idle: float, tls: ssl.SSLContext | None) -> None:
        self.answer, self._idle, self._tls = answer, idle, tls
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listening.getsockname()[1]
        self.connections = 0
        self._last: socket.socket | None = None
        self._closed = threading.Semaphore(0)
        self.requests: list[tuple[str, dict[str, str]]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def base_url(self) -> str:
        """The URL at which it listens."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def creates(self) -> int:
        """The number of POST requests that came."""
        return sum(line.startswith("POST") for line, _ in self.requests)

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):  # closed alone, it would still be waited at
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def hang_up(self) -> None:
        """Close the last connection; return when the other end has been told."""
        assert self._last is not None
        with self._last.dup() as connection:  # whoever serves it may close its own meanwhile
            connection.shutdown(socket.SHUT_RDWR)
            while connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == FIN_WAIT_1:
                pass

    def has_closed(self, count: int) -> None:
        """Wait, while no loop runs, until it has closed so many connections more."""
        for _ in range(count):
            self._closed.acquire()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._last = connection
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            connection.settimeout(10)  # idle is who has said something before, however slow we are
            with connection, connection.makefile("rb") as stream:
                while line := stream.readline():
                    headers: dict[str, str] = {}
                    while (header := stream.readline()) != b"\r\n":
                        name, _, value = header.decode().partition(":")
                        headers[name.lower()] = value.strip()
                    body = stream.read(int(headers.get("content-length", 0)))
                    self.requests.append((line.decode(), headers))
                    connection.sendall(self.answer(line.decode(), headers, body))
                    connection.settimeout(self._idle)
        self._closed.release()


@contextmanager
def serving(
    answer: Answer = placed, *, idle: float = 10.0, tls: ssl.SSLContext | None = None
) -> Iterator[ThreadedServer]:
    """Serve from threads."""
    server = ThreadedServer(answer, idle, tls)
    try:
        yield server
    finally:
        server.close()


def connect(server: ThreadedServer, **options: Any) -> ConferenceClient:
    """Return a client that repeats little and soon."""
    return ConferenceClient(
        Credentials(ACCOUNT, "token"),
        base_url=server.base_url,
        **{
            "limit": Unpaced(),
            "retry": RetryPolicy(attempts=2, base=0.01, lookups=1, settled=0.1),
            "timeout": 5,
            **options,
        },
    )


async def dial(client: ConferenceClient) -> Participant:
    """Dial one number."""
    return await client.conferences(ROOM).participants.create(from_=FROM, to=TO)


# Kept-alive connections


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nothing_is_written_to_a_connection_that_was_closed_meanwhile(scheme: str) -> None:
    """The loop was busy and could not see it; the create goes over a new connection at once."""
    authority = trustme.CA()
    served, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.configure_trust(trusted)
    secure = scheme == "https"

    with serving(idle=0.05, tls=served if secure else None) as server:
        connector = aiohttp.TCPConnector(ssl=trusted)
        async with aiohttp.ClientSession(connector=connector) as session:
            client = connect(server, session=session, retry=RetryPolicy(attempts=1))
            for _ in range(3):
                await dial(client)
                server.has_closed(1)

    assert server.creates == server.connections == 3


def test_nothing_is_written_to_a_connection_that_was_closed_between_two_runs() -> None:
    """A loop that is stopped and run again, as in a frozen container, goes on as if nothing was."""
    loop = asyncio.new_event_loop()
    with serving(idle=0.05) as server:
        client = connect(server, retry=RetryPolicy(attempts=1))
        for _ in range(3):
            loop.run_until_complete(dial(client))
            server.has_closed(1)
        loop.run_until_complete(client.aclose())

    loop.close()
    assert server.creates == server.connections == 3


async def test_a_whole_pool_of_dead_connections_is_passed_over() -> None:
    """However many there are, none of them is taken for an outage."""
    with serving(idle=0.05) as server:

        def together(line: str, headers: dict[str, str], body: bytes) -> bytes:
            while server.connections < 8:
                time.sleep(0.001)
            return placed(line, headers, body)

        server.answer = together
        async with connect(server, retry=RetryPolicy(attempts=1)) as client:
            await asyncio.gather(*(dial(client) for _ in range(8)))
            server.has_closed(8)
            await dial(client)

    assert server.connections == server.creates == 9


async def test_a_create_that_was_stopped_beyond_its_deadline_is_not_sent() -> None:
    """Also where all that it waits for is there at once: the loop has had no time to end it."""
    loop = asyncio.get_running_loop()

    class Late(Unpaced):
        async def start(self) -> bool:
            until = loop.time() + 0.3
            while loop.time() < until:
                pass
            return True

    with serving() as server:
        async with connect(server, limit=Late(), deadline=0.25) as client:
            with pytest.raises(DeadlineExceeded, match="so nothing was sent"):
                await dial(client)
    assert server.creates == 0


async def test_a_slot_is_used_once_although_the_connection_died_when_it_came() -> None:
    """What was granted for the dead one is given back before it is asked for again."""

    class Counted(Unpaced):
        started = given_back = 0

        async def start(self) -> bool:
            self.started += 1
            if self.started == 2:
                server.hang_up()
            return True

        def give_back(self) -> None:
            self.given_back += 1

    limit = Counted()
    with serving() as server:
        async with connect(server, limit=limit, retry=RetryPolicy(attempts=1)) as client:
            await dial(client)
            await dial(client)

    assert server.connections == server.creates == 2
    assert (limit.started, limit.given_back) == (3, 1)


async def test_what_a_connection_says_unasked_is_no_answer() -> None:
    """A second reply to one request would answer the next; its connection is not used again."""
    said = 0

    def twice(_line: str, _headers: dict[str, str], _body: bytes) -> bytes:
        nonlocal said
        said += 1
        return b"".join(
            reply(201, json.dumps({**PERSON, "call_sid": f"CA{number:032}"}).encode())
            for number in (said, 900 + said)
        )

    with serving(twice) as server:
        async with connect(server) as client:
            first = await dial(client)
            await asyncio.sleep(0.05)
            second = await dial(client)

    assert [first.call_sid, second.call_sid] == [f"CA{1:032}", f"CA{2:032}"]
    assert server.creates == server.connections == 2


# Borrowed sessions and the environment


BORROWED: dict[str, Callable[[], dict[str, Any]]] = {
    "default headers": lambda: {
        "headers": {
            "Content-Type": "application/json",
            "Accept": "text/html",
            "Accept-Encoding": "br",
            "User-Agent": "theirs",
            "Authorization": "Bearer theirs",
        }
    },
    "headers left out": lambda: {
        "skip_auto_headers": ["Content-Type", "User-Agent", "Accept", "Accept-Encoding"]
    },
    "cookies": lambda: {"cookies": SimpleCookie("session=theirs")},
    "statuses raise": lambda: {"raise_for_status": True},
    "packed replies": lambda: {"auto_decompress": False},
    "a serializer": lambda: {"json_serialize": lambda _: pytest.fail("our forms are no JSON")},
    "a base URL": lambda: {"base_url": "http://127.0.0.1:9/"},
    "a proxy environment": lambda: {"trust_env": True},
    "a short time-out": lambda: {"timeout": aiohttp.ClientTimeout(total=1e-9)},
}


@pytest.mark.parametrize("what", BORROWED)
async def test_what_a_borrowed_session_brings_does_not_change_our_request(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every header that matters is ours, whatever its owner needs elsewhere."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        async with aiohttp.ClientSession(**BORROWED[what]()) as session:
            client = connect(server, session=session)
            await dial(client)
            await client.conferences(ROOM).participants("alice").mute()
            await client.conferences(ROOM).participants("alice").fetch()

    for line, headers in server.requests:
        assert headers["authorization"] == Credentials(ACCOUNT, "token").authorization
        assert headers["accept"] == "application/json"
        assert headers["accept-encoding"] == "gzip"
        assert headers["user-agent"].startswith("conference-async/")
        assert "cookie" not in headers
        form = "application/x-www-form-urlencoded"
        assert headers.get("content-type") == (form if line.startswith("POST") else None)


@pytest.mark.filterwarnings("ignore:.*auth.*:DeprecationWarning")  # newer aiohttp; users have it
async def test_a_borrowed_sessions_user_does_not_call_for_us() -> None:
    """Its `auth=` is for another service."""
    with serving() as server:
        async with aiohttp.ClientSession(auth=aiohttp.BasicAuth("u", "p")) as session:
            await dial(connect(server, session=session))

            assert server.requests[0][1]["authorization"].startswith("Basic QUMx")


async def test_a_trace_that_fails_before_sending_sends_nothing() -> None:
    """And one that fails after it leaves the create in doubt: nothing bare comes out."""

    def failing(hook: str) -> aiohttp.TraceConfig:
        async def fail(*_: object) -> None:
            raise ZeroDivisionError

        config = aiohttp.TraceConfig()
        getattr(config, hook).append(fail)
        return config

    with serving() as server:
        async with aiohttp.ClientSession(trace_configs=[failing("on_request_start")]) as session:
            with pytest.raises(ConnectionFailed):
                await dial(connect(server, session=session))
        assert server.creates == 0

        async with aiohttp.ClientSession(trace_configs=[failing("on_request_end")]) as session:
            with pytest.raises(OutcomeUnknown):
                await dial(connect(server, session=session))
        assert server.creates == 1


@pytest.mark.parametrize(
    "header", ["Content-Length", "transfer-encoding", "Expect", "Host", "Content-Encoding", "Range"]
)
async def test_a_session_that_would_make_another_request_is_refused(header: str) -> None:
    """By name, when the client is made."""
    with serving() as server:
        async with aiohttp.ClientSession(headers={header: "1"}) as session:
            with pytest.raises(ConfigurationError, match=rf"sends '{header}' with every request"):
                connect(server, session=session)


async def test_what_is_no_session_is_refused() -> None:
    """Before anything is sent through it; a contradictory one too."""
    with serving() as server:
        with pytest.raises(ConfigurationError, match=r"aiohttp\.ClientSession, not str"):
            connect(server, session="http://127.0.0.1")
        theirs = {"Authorization": "Bearer theirs"}
        async with aiohttp.ClientSession(headers=theirs, trust_env=True) as session:
            with pytest.raises(ConfigurationError, match="'Authorization' header beside"):
                connect(server, session=session)


@pytest.mark.parametrize("borrowed", [True, False])
async def test_an_entry_in_netrc_is_not_sent_for_our_credentials(
    borrowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment makes aiohttp read netrc as well, which changes nothing for us."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HTTP_PROXY", "proxy.invalid:3128")

    with serving() as server:
        async with aiohttp.ClientSession(trust_env=True) as session:
            lent: dict[str, Any] = {"session": session} if borrowed else {"trust_env": True}
            client = connect(server, **lent)
            await dial(client)
            await client.aclose()

    ours = Credentials(ACCOUNT, "token").authorization
    assert [headers["authorization"] for _, headers in server.requests] == [ours]


# Loops and processes


@pytest.mark.usefixtures("nothing_left_over")
def test_one_client_under_many_runs_leaves_nothing_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A loop that ends closes what was opened in it, though nobody closed the client."""
    with serving() as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        client = connect(server)
        for _ in range(3):
            asyncio.run(_awaited(dial(client)))
            gc.collect()

    assert server.creates == server.connections == 3
    assert not caplog.records


async def _awaited(work: Awaitable[object]) -> None:
    await work


async def test_a_client_in_use_on_another_loop_says_so() -> None:
    """Its connections and places belong to the loop that runs."""
    with serving() as server:
        async with connect(server) as client:
            await dial(client)

            def elsewhere() -> object:
                return asyncio.run(_awaited(dial(client)))

            with pytest.raises(ConfigurationError, match="another running event loop"):
                await asyncio.to_thread(elsewhere)
            await dial(client)

    assert server.connections == 1


def test_a_fork_leaves_its_parents_connections_alone() -> None:
    """The child dials over connections of its own, and the parent goes on over its old ones."""
    loop = asyncio.new_event_loop()
    with serving() as server:
        client = connect(server, max_concurrency=1)
        loop.run_until_complete(dial(client))

        async def dial_and_close() -> None:
            await dial(client)
            await client.aclose()

        async def forked() -> int:
            """Fork while a loop runs and a request holds the only place."""
            await client._sender.congestion.enter()
            child = os.fork()
            if child == 0:  # a thread is where the child's own loop can run
                thread = threading.Thread(target=run_and_exit, args=(dial_and_close,))
                thread.start()
                thread.join(20)
                os._exit(3)
            client._sender.congestion.leave()
            return child

        child = loop.run_until_complete(forked())
        _, status = os.waitpid(child, 0)
        loop.run_until_complete(dial(client))
        loop.run_until_complete(client.aclose())
    loop.close()

    assert os.waitstatus_to_exitcode(status) == 0
    assert server.creates == 3
    assert server.connections == 2


# Replies


def packed(body: bytes, *headers: str) -> Answer:
    """Return what answers with these bytes as they are."""
    return lambda *_: reply(200, body, *headers)


def bomb(size: int) -> bytes:
    """Return a gzip stream of that many zeros."""
    packer, piece = zlib.compressobj(9, zlib.DEFLATED, 31), b"0" * (1 << 20)
    return b"".join([*(packer.compress(piece) for _ in range(size >> 20)), packer.flush()])


@pytest.mark.parametrize(
    ("body", "encoding", "says"),
    [
        (bomb(64 << 20), "gzip", "longer than 32 MiB"),
        (b"no such thing", "gzip", "cannot be unpacked"),
        (gzip.compress(b"{}" * 1000)[:-20], "gzip", "ends too soon"),
        (b"{}", "br", "not asked for"),
    ],
    ids=["a bomb", "no gzip", "cut off", "another encoding"],
)
async def test_a_packed_reply_is_judged_by_what_it_holds(
    body: bytes, encoding: str, says: str
) -> None:
    """A megabyte may unpack to a gigabyte, and is not unpacked to it."""
    with serving(packed(body, f"Content-Encoding: {encoding}")) as server:
        async with connect(server) as client:
            with pytest.raises(UnexpectedReply, match=says):
                await client.conferences(ROOM).fetch()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
async def test_a_packed_reply_is_read(encoding: str) -> None:
    """As it was asked for, or as proxies pack it."""
    body = json.dumps({"sid": ROOM, "status": "in-progress"}).encode()
    pack: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
    body = pack.get(encoding, bytes)(body)
    with serving(packed(body, f"Content-Encoding: {encoding}")) as server:
        async with connect(server) as client:
            assert (await client.conferences(ROOM).fetch()).sid == ROOM


async def test_headers_without_end_end_in_an_error() -> None:
    """However many lines the other side sends, only so many are read."""
    endless = b"HTTP/1.1 200 OK\r\n" + b"X-More: 1\r\n" * 500_000
    with serving(lambda *_: endless) as server:
        async with connect(server, timeout=2) as client:
            with pytest.raises(ConferenceError):
                await client.conferences(ROOM).fetch()


async def test_a_reply_that_trickles_ends_with_its_time(emulator: Emulator) -> None:
    """The time-out is for the whole exchange, not for the next byte."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b"1\r\n \r\n")
                await asyncio.sleep(0.01)
        finally:
            writer.close()

    async with (
        await asyncio.start_server(trickle, "127.0.0.1", 0) as server,
        ConferenceClient(
            Credentials(ACCOUNT, "token"),
            base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            retry=RetryPolicy(attempts=1),
            timeout=1,
        ) as client,
    ):
        with pytest.raises(ConferenceError, match="no answer within 1 s"):
            await client.conferences(ROOM).fetch()
