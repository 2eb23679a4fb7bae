"""One client per account: its settings, its pace, its lifetime."""

import asyncio
import base64
import copy
import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from conference_async import (
    AttemptEvent,
    ConferenceClient,
    ConfigurationError,
    ConnectionFailed,
    CreateLimit,
    Credentials,
    InvalidParameter,
    NotAuthorized,
    OutcomeUnknown,
    Priority,
    RequestTimeout,
    RetryPolicy,
    Unpaced,
)
from conference_async.emulator import Emulator, Fault

FROM = "+15017122661"
TO = "+15558675310"
ACCOUNT = "AC" + "1" * 32
TOKEN = "not-to-be-shown"
ELSEWHERE = "http://127.0.0.1:9"

VARIABLES = (
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_API_KEY",
    "TWILIO_API_SECRET",
    "TWILIO_REGION",
    "TWILIO_EDGE",
    "CONFERENCE_ASYNC_BASE_URL",
)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what sets the variables that clients read, and removes the others."""

    def set_to(**variables: str) -> None:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    set_to()
    return set_to


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


def connect(emulator: Emulator, **options: Any) -> ConferenceClient:
    """Return a client of an emulator."""
    return ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        **options,
    )


async def dial(client: ConferenceClient, to: str = TO, room: str = "standup") -> None:
    """Dial one number."""
    await client.conferences(room).participants.create(from_=FROM, to=to)


async def dial_many(client: ConferenceClient, count: int) -> None:
    """Dial so many numbers at once, into rooms of two hundred."""
    await asyncio.gather(
        *(dial(client, f"+1555867{number:04}", f"room {number // 200}") for number in range(count))
    )


# Pace


@pytest.mark.looptime
async def test_a_hundred_creates_start_at_exactly_thirty_a_second(emulator: Emulator) -> None:
    """First at 0, last at 99/30 s, and no second sees more than 30, where the calls arrive."""
    async with connect(emulator, cps=30) as client:
        begun = now()
        await dial_many(client, 100)

    starts = [start - begun for start in emulator.starts]
    assert len(starts) == 100
    assert starts[0] == 0
    assert starts[-1] == pytest.approx(99 / 30, abs=1e-3)
    assert max(sum(1 for each in starts if first <= each < first + 1) for first in starts) == 30
    assert all(rings == 1 for rings in emulator.ring_counts.values())


@pytest.mark.looptime
async def test_clients_of_one_account_keep_one_pace(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """However many there are; while their rates differ, the lowest holds and is logged."""
    async with connect(emulator, cps=2) as slow:
        async with connect(emulator, cps=20) as fast:
            assert slow.limit is fast.limit
            begun = now()
            await asyncio.gather(dial_many(slow, 5), dial_many(fast, 5))
        assert now() - begun == pytest.approx(9 / 2, abs=1e-3)
        assert "given different rates; the lowest, 2 CPS, holds" in caplog.text
    async with connect(emulator, cps=20) as fast:
        begun = now()
        await dial_many(fast, 11)

    assert now() - begun == pytest.approx(11 / 20, abs=1e-3)


@pytest.mark.looptime
async def test_accounts_do_not_wait_for_each_other(emulator: Emulator) -> None:
    """Each has its own calls per second."""
    other = emulator.add_account(cps=1)
    async with (
        connect(emulator) as client,
        ConferenceClient(
            Credentials(other.sid, other.auth_token), base_url=emulator.base_url
        ) as another,
    ):
        begun = now()
        await asyncio.gather(dial_many(client, 3), dial_many(another, 3))

    assert now() - begun == pytest.approx(2, abs=1e-3)


@pytest.mark.looptime
async def test_only_creates_wait_for_the_pace(emulator: Emulator) -> None:
    """Fetch, list, update and delete answer at once while a thousand creates stand in line."""
    async with connect(emulator, cps=1) as client:
        room = client.conferences("standup")
        created = await room.participants.create(from_=FROM, to=TO, label="alice")
        waiting = [asyncio.create_task(dial(client, f"+1556{number:07}")) for number in range(1000)]
        await asyncio.sleep(0.5)
        begun = now()

        alice = room.participants("alice")
        assert (await alice.fetch()).call_sid == created.call_sid
        assert len(await room.participants.list()) == 1
        await alice.mute()
        await room.fetch()
        await alice.delete()

        assert now() == begun
        assert client.limit.snapshot().waiting == 999
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.looptime
async def test_a_limit_of_ones_own_is_used(emulator: Emulator) -> None:
    """It overrides the account's, and views share it."""
    limit = CreateLimit(4)
    async with connect(emulator, limit=limit) as client:
        begun = now()
        await asyncio.gather(dial_many(client, 3), dial_many(client.with_options(timeout=5), 2))

        assert client.limit is client.with_options(timeout=5).limit is limit
    assert now() - begun == pytest.approx(1, abs=1e-3)


# Concurrency


@pytest.mark.looptime
async def test_no_more_requests_than_allowed_are_under_way(emulator: Emulator) -> None:
    """Twelve requests of one second, three at a time, take four seconds."""
    emulator.latency = 1
    events: list[AttemptEvent] = []
    async with connect(emulator, max_concurrency=3, on_attempt=events.append) as client:
        begun = now()
        await asyncio.gather(*(client.conferences.list() for _ in range(12)))

    assert now() - begun == pytest.approx(4, abs=1e-3)
    assert max(event.concurrent_requests or 0 for event in events) == 3
    assert max(event.queue_wait for event in events) == pytest.approx(3, abs=1e-3)


@pytest.mark.looptime
async def test_429_makes_fewer_requests_until_they_pass(emulator: Emulator) -> None:
    """An account that takes five at once is not asked fifty at once for long."""
    emulator.latency = 0.1
    emulator.max_concurrent_requests = 5
    statuses: list[int | None] = []
    async with connect(
        emulator,
        retry=RetryPolicy(attempts=20),
        on_attempt=lambda event: statuses.append(event.status),
    ) as client:
        await asyncio.gather(*(client.conferences.list() for _ in range(300)))

        assert client._sender.congestion.places < 50
    assert statuses.count(200) == 300
    assert statuses.count(429) < 100
    assert statuses[-50:].count(429) < 10


# Lifetime


@pytest.mark.looptime
async def test_a_view_is_the_client_with_other_options(emulator: Emulator) -> None:
    """Session, limit and places are shared; closing it closes nothing."""
    async with connect(emulator, timeout=9) as client:
        view = client.with_options(deadline=5, priority=Priority.BULK)
        second = view.with_options(mint_labels=False)

        assert (view.options.timeout, view.options.deadline) == (9, 5)
        assert client.options.deadline is None
        assert (second.options.deadline, second.options.mint_labels) == (5, False)
        assert view.options.mint_labels
        assert view._sender.transport is client._sender.transport
        assert view._sender.congestion is client._sender.congestion
        async with view as entered:
            assert entered is view
        await second.aclose()
        await dial(client)
    assert emulator.rings(TO) == 1


def test_a_view_holds_its_clients_rate() -> None:
    """Though nobody keeps the client itself: the account is dialled from at the view's pace."""
    credentials = Credentials("AC" + "7" * 32, TOKEN)
    view = ConferenceClient(credentials, base_url=ELSEWHERE, cps=1).with_options(deadline=5)
    gc.collect()
    client = ConferenceClient(credentials, base_url=ELSEWHERE, cps=30)

    assert (view.limit.cps, client.limit.cps) == (1, 1)


async def test_a_client_is_not_shared_by_two_running_loops(emulator: Emulator) -> None:
    """Each would close, or lose, the connections of the other."""
    async with connect(emulator) as client:
        await client.conferences.list()

        with pytest.raises(ConfigurationError, match="another running event loop"):
            await asyncio.to_thread(asyncio.run, client.conferences.list())

        await client.conferences.list()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cps": 5}, r"cps is not an option of a view; it belongs to ConferenceClient\(\.\.\.\)"),
        ({"timeuot": 5}, "timeuot is not an option"),
        ({"timeout": 0}, "timeout must be more than 0 seconds, not 0"),
        ({"deadline": -1}, "deadline must be more than 0"),
        ({"timeout": float("inf")}, "timeout must be more than 0"),
        ({"timeout": None}, "timeout must be more than 0 seconds, not None"),
        ({"deadline": "5"}, "deadline must be more than 0 seconds, not '5'"),
        ({"timeout": float("nan")}, "timeout must be more than 0"),
        ({"timeout": True}, "timeout must be more than 0 seconds, not True"),
    ],
)
async def test_an_option_that_is_none_is_refused(change: dict[str, Any], says: str) -> None:
    """By name, and with what it should be."""
    async with ConferenceClient(Credentials(ACCOUNT, TOKEN), base_url=ELSEWHERE) as client:
        with pytest.raises(ConfigurationError, match=says):
            client.with_options(**change)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_concurrency": 0}, "max_concurrency must be 1 or more, not 0"),
        ({"max_concurrency": "5"}, "max_concurrency must be 1 or more, not '5'"),
        ({"max_concurrency": float("nan")}, "max_concurrency must be 1 or more, not nan"),
        ({"cps": 31}, "cps must be more than 0 and at most 30"),
        ({"timeout": -1}, "timeout must be more than 0"),
        ({"region": "ie1"}, "give base_url, or region and edge, not both"),
        ({"base_url": "emulator"}, "base_url must be like"),
    ],
)
def test_a_client_that_cannot_work_is_not_made(options: dict[str, Any], says: str) -> None:
    """The mistake is named where it is made, not at the first call."""
    with pytest.raises(ConfigurationError, match=says):
        ConferenceClient(Credentials(ACCOUNT, TOKEN), **{"base_url": ELSEWHERE, **options})


@pytest.mark.looptime
async def test_a_borrowed_session_is_never_closed(emulator: Emulator) -> None:
    """Neither by leaving the client nor by closing it."""
    async with aiohttp.ClientSession() as session:
        client = connect(emulator, limit=Unpaced(), session=session)
        async with client:
            await dial(client)
        await client.aclose()

        assert not session.closed
        with pytest.raises(ConfigurationError, match="trust_env belongs to the session"):
            connect(emulator, session=session, trust_env=True)


@pytest.mark.looptime
async def test_what_a_closed_client_has_under_way_ends_in_its_time(emulator: Emulator) -> None:
    """A borrowed session goes on, and so do the requests that were sent over it before."""
    emulator.faults.add(Fault.STALL_BEFORE, on=None, times=None)
    async with aiohttp.ClientSession() as session:
        once = RetryPolicy(attempts=1, lookups=1, settled=0)
        client = connect(emulator, limit=Unpaced(), session=session, timeout=5, retry=once)
        sent = [dial(client), client.conferences("CF" + "1" * 32).fetch()]
        tasks = [asyncio.ensure_future(each) for each in sent]
        await asyncio.sleep(1)
        await client.aclose()

        unknown, late = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(unknown, OutcomeUnknown)
    assert isinstance(late, RequestTimeout)
    assert asyncio.get_running_loop().time() == pytest.approx(5, abs=1e-3)


@pytest.mark.looptime
async def test_a_closed_client_says_so_and_may_be_entered_again(emulator: Emulator) -> None:
    """Its own session is closed with it, and its rate holds no other client down."""
    client = connect(emulator, cps=1)
    async with client:
        await dial(client)
        own = await client._sender.transport.session()
    assert own.closed
    assert repr(client).endswith("cps=1 closed>")
    with pytest.raises(ConfigurationError, match="the client is closed; enter it"):
        await dial(client)
    with pytest.raises(ConfigurationError, match="the client is closed"):
        await client.conferences.list()
    async with connect(emulator, cps=10) as fast:
        assert fast.limit.cps == 10
        async with client:
            await dial(client)

            assert fast.limit.cps == 1
            assert repr(client).endswith("cps=1 open>")
    assert emulator.rings(TO) == 2


@pytest.mark.looptime
async def test_closing_a_client_that_was_never_used_is_nothing(emulator: Emulator) -> None:
    """Twice, too; and with a limit of its own it may be entered again."""
    client = connect(emulator, limit=Unpaced())
    await client.aclose()
    await client.aclose()

    async with client:
        await dial(client)

    assert emulator.rings(TO) == 1


def test_a_client_is_made_before_any_loop_and_used_under_several(
    free_port: Callable[[], int],
) -> None:
    """Each asyncio.run is a new loop; the pace goes on, the connections are new."""
    port, sent = free_port(), list[float]()
    client = ConferenceClient(
        Credentials(ACCOUNT, TOKEN),
        base_url=f"http://127.0.0.1:{port}",
        cps=2,
        on_attempt=lambda event: sent.append(event.sent_at),
    )

    async def once() -> None:
        async with (
            Emulator(account_sid=ACCOUNT, auth_token=TOKEN, port=port, cps=30) as emulator,
            client,
        ):
            await dial(client)
            assert emulator.rings(TO) == 1

    asyncio.run(once())
    asyncio.run(once())

    assert 0.25 < sent[1] - sent[0] < 5


@pytest.mark.filterwarnings("ignore:Unclosed:ResourceWarning")
def test_a_client_that_was_left_open_works_under_the_next_loop() -> None:
    """Things of the loop that is gone are let go, and only aiohttp complains of them."""
    client = ConferenceClient(
        Credentials(ACCOUNT, TOKEN),
        base_url=ELSEWHERE,
        limit=Unpaced(),
        retry=RetryPolicy(attempts=1, base=0),
    )

    async def once() -> None:
        with pytest.raises(ConnectionFailed):
            await client.conferences.list()

    asyncio.run(once())
    asyncio.run(once())
    asyncio.run(client.aclose())
    gc.collect()

    with pytest.raises(ConfigurationError, match="closed"):
        asyncio.run(once())


# Where to, and as whom


@pytest.mark.looptime
async def test_the_environment_says_who_calls_and_where(
    emulator: Emulator, environment: Callable[..., None]
) -> None:
    """A client without arguments is enough."""
    environment(
        TWILIO_ACCOUNT_SID=emulator.account_sid,
        TWILIO_AUTH_TOKEN=emulator.auth_token,
        TWILIO_REGION="ie1",
        CONFERENCE_ASYNC_BASE_URL=emulator.base_url,
    )

    async with ConferenceClient() as client:
        await dial(client)

    assert client.base_url == emulator.base_url
    assert client.account_sid == emulator.account_sid
    assert emulator.rings(TO) == 1


def test_without_an_environment_the_missing_variable_is_named(
    environment: Callable[..., None],
) -> None:
    """Instead of a client that cannot sign in."""
    with pytest.raises(ConfigurationError, match="TWILIO_ACCOUNT_SID"):
        ConferenceClient()


@pytest.mark.parametrize(
    ("variables", "options", "host"),
    [
        ({}, {}, "https://api.twilio.com"),
        ({"TWILIO_REGION": "ie1"}, {}, "https://api.dublin.ie1.twilio.com"),
        ({"TWILIO_REGION": "ie1"}, {"region": "au1"}, "https://api.sydney.au1.twilio.com"),
        ({"TWILIO_EDGE": "ashburn"}, {}, "https://api.ashburn.us1.twilio.com"),
        ({}, {"region": "ie1", "edge": "frankfurt"}, "https://api.frankfurt.ie1.twilio.com"),
        ({"TWILIO_REGION": "ie1"}, {"base_url": ELSEWHERE}, ELSEWHERE),
        ({"TWILIO_REGION": "ie1", "CONFERENCE_ASYNC_BASE_URL": ELSEWHERE}, {}, ELSEWHERE),
    ],
)
def test_the_host_follows_from_region_and_edge(
    variables: dict[str, str],
    options: dict[str, Any],
    host: str,
    environment: Callable[..., None],
) -> None:
    """Those of the call go before those of the credentials; a base URL before both."""
    environment(TWILIO_ACCOUNT_SID=ACCOUNT, TWILIO_AUTH_TOKEN=TOKEN, **variables)

    assert ConferenceClient(**options).base_url == host


@pytest.mark.looptime
async def test_an_api_key_speaks_for_its_account(emulator: Emulator) -> None:
    """By its own SID and secret, and a wrong secret does not."""
    key_sid, secret = emulator.add_api_key()
    for given, error in ((secret, None), ("wrong", NotAuthorized)):
        async with ConferenceClient(
            Credentials.api_key(emulator.account_sid, key_sid, given),
            base_url=emulator.base_url,
            limit=Unpaced(),
        ) as client:
            if error is None:
                await dial(client)
            else:
                with pytest.raises(error):
                    await dial(client)

    assert emulator.rings(TO) == 1


def test_nothing_shown_of_a_client_is_a_secret() -> None:
    """Neither the client, its options, its parts nor its proxy's password."""
    client = ConferenceClient(
        Credentials.api_key(ACCOUNT, "SK" + "2" * 32, TOKEN),
        base_url=ELSEWHERE,
        proxy=f"http://user:{TOKEN}@proxy:3128",
        cps=3,
    )

    assert repr(client) == f"<ConferenceClient {ACCOUNT} at {ELSEWHERE} cps=3 open>"
    for part in (client, client.options, client._sender, client.conferences, client.limit):
        assert TOKEN not in f"{part!r} {part}"
    with pytest.raises(ConfigurationError, match="not pickled"):
        copy.deepcopy(Credentials(ACCOUNT, TOKEN))


# Proxies


@asynccontextmanager
async def forward_proxy() -> AsyncIterator[tuple[int, list[str]]]:
    """Serve as an HTTP proxy that hands requests on; yield its port and the heads it saw."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        method, url, _ = head.split(" ", 2)
        host, _, path = url.removeprefix("http://").partition("/")
        name, _, port = host.partition(":")
        far_reader, far_writer = await asyncio.open_connection(name, int(port))
        rest = head.split("\r\n", 1)[1]
        far_writer.write(f"{method} /{path} HTTP/1.1\r\nConnection: close\r\n{rest}".encode())
        while data := await far_reader.read(65536):
            writer.write(data)
        far_writer.close()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


@pytest.mark.looptime
async def test_a_proxy_hands_requests_on(emulator: Emulator) -> None:
    """With the user and password of its URL, which the service does not see."""
    async with (
        forward_proxy() as (port, heads),
        connect(emulator, proxy=f"http://user:secret@127.0.0.1:{port}") as client,
    ):
        await client.conferences.list()

    assert heads[0].startswith(f"GET {emulator.base_url}/2010-04-01/Accounts/")
    user = base64.b64encode(b"user:secret").decode()
    assert f"Proxy-Authorization: Basic {user}\r\n" in heads[0]
    assert emulator.count("conferences.list") == 1


@pytest.mark.parametrize(("trust_env", "seen"), [(True, 1), (False, 0)])
async def test_a_proxy_of_the_environment_is_used_where_it_is_trusted(
    trust_env: bool, seen: int, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only there."""
    async with forward_proxy() as (port, heads):
        for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        async with connect(emulator, trust_env=trust_env) as client:
            await client.conferences.list()

    assert len(heads) == seen
    assert emulator.count("conferences.list") == 1


@pytest.mark.looptime
async def test_nothing_is_written_to_a_terminal_that_did_not_ask(
    emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without logging set up a warning of ours stays silent."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        async with connect(emulator, cps=1), connect(emulator, cps=2):
            pass
    finally:
        root.handlers = handlers

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("retry", 3, "retry must be a RetryPolicy, as in"),
        ("limit", 5, "limit must be a limit, .* cps= takes a number"),
        ("credentials", (ACCOUNT, TOKEN), "credentials must be Credentials"),
        ("credentials", "", "credentials must be Credentials"),
        ("priority", 7, "priority must be Priority"),
        ("mint_labels", "no", "mint_labels must be True or False, not 'no'"),
        ("before_send", 5, "before_send must be a function"),
        ("on_attempt", 5, "on_attempt must be a function"),
    ],
)
def test_an_option_of_another_kind_is_refused(option: str, value: object, says: str) -> None:
    """By its name, when the client is made."""
    options: dict[str, Any] = {"credentials": Credentials(ACCOUNT, TOKEN), option: value}
    with pytest.raises(ConfigurationError, match=says):
        ConferenceClient(**options, base_url=ELSEWHERE)


@pytest.mark.parametrize(
    ("one", "another", "shared"),
    [
        ({}, {"region": "us1", "edge": "ashburn"}, True),
        ({}, {"edge": "dublin"}, True),
        ({}, {"base_url": "https://API.twilio.com:443/"}, True),
        ({"region": "ie1"}, {"base_url": "https://api.twilio.com."}, True),
        ({"base_url": "http://127.0.0.1:80"}, {"base_url": "http://127.0.0.1/"}, True),
        ({"base_url": "https://Gate.example/a"}, {"base_url": "https://gate.example:443/a"}, True),
        ({"base_url": "https://gate.example/a"}, {"base_url": "https://gate.example/b"}, False),
        ({"base_url": "http://127.0.0.1:8081"}, {"base_url": "http://127.0.0.1:8082"}, False),
        ({}, {"base_url": "https://twilio.com.example"}, False),
    ],
)
def test_an_account_has_one_pace_whatever_host_is_named(
    one: dict[str, Any], another: dict[str, Any], shared: bool
) -> None:
    """Its calls per second are the account's, and not those of an edge."""
    credentials = Credentials("AC" + "7" * 32, TOKEN)
    first = ConferenceClient(credentials, cps=5, **one)
    second = ConferenceClient(credentials, cps=5, **another)

    assert (first.limit is second.limit) is shared
    assert (first.register is second.register) is shared


@pytest.mark.parametrize("given", ["alice", None, 5])
def test_a_participant_of_another_kind_is_refused(given: Any) -> None:
    """A label goes elsewhere, and the error says where."""
    client = ConferenceClient(Credentials(ACCOUNT, TOKEN), base_url=ELSEWHERE)
    with pytest.raises(InvalidParameter, match="a label or Call SID goes to"):
        client.participant(given)
