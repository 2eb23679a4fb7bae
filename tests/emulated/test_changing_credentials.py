"""Credentials that change while a client runs: fetched, renewed, refused, and never shown."""

import asyncio
import base64
import contextlib
import contextvars
import gc
import json
import logging
import os
import pickle
import threading
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from conference_async import (
    AttemptEvent,
    AttemptOutcome,
    ConferenceClient,
    ConfigurationError,
    CreateLimit,
    Credentials,
    Dialer,
    Ledger,
    NewParticipant,
    NotAuthorized,
    NotFound,
    NotSent,
    Plan,
    Priority,
    RetryPolicy,
    State,
    UnexpectedReply,
    Unpaced,
)
from conference_async.emulator import Emulator, Fault

FROM, TO = "+15017122661", "+15558675310"
ONCE = RetryPolicy(attempts=1)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return an emulator whose account may dial 30 calls a second."""
    async with Emulator(cps=30, seed=1) as emulator:
        yield emulator


def now() -> float:
    """Return the time of the loop."""
    return asyncio.get_running_loop().time()


class Vault:
    """An application's store of secrets: what it holds, and how often it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.takes = 0.0
        self.asked: list[float] = []

    async def fetch(self) -> Credentials:
        """Return what it holds, call it, or raise it."""
        self.asked.append(now())
        await asyncio.sleep(self.takes)
        if isinstance(self.answer, BaseException):
            raise self.answer
        answer: Credentials = self.answer() if callable(self.answer) else self.answer
        return answer


def of(emulator: Emulator) -> Credentials:
    """Return the credentials that hold now."""
    return Credentials(emulator.account_sid, emulator.auth_token)


def connect(emulator: Emulator, credentials: Credentials, **options: Any) -> ConferenceClient:
    """Return a client that is not paced."""
    return ConferenceClient(
        credentials, base_url=emulator.base_url, **{"limit": Unpaced(), **options}
    )


def provided(emulator: Emulator, vault: Vault, **options: Any) -> Credentials:
    """Return credentials that come from a vault."""
    return Credentials.from_provider(vault.fetch, account_sid=emulator.account_sid, **options)


def app_of(emulator: Emulator) -> Credentials:
    """Return the credentials of a new OAuth app."""
    return Credentials.oauth(emulator.account_sid, *emulator.add_oauth_app())


async def dial(client: ConferenceClient, to: str = TO, room: str = "standup") -> None:
    """Dial one number."""
    await client.conferences(room).participants.create(from_=FROM, to=to)


def number(index: int) -> str:
    """Return one of many numbers."""
    return f"+1555{index:07}"


# Tokens of an OAuth app


@pytest.mark.sized
@pytest.mark.looptime
@pytest.mark.timeout(300)
async def test_tokens_are_renewed_beside_the_creates() -> None:
    """Over five lives of a token there are five renewals; only the first token is waited for."""
    count, slow = int(os.environ.get("CONFERENCE_ASYNC_TEST_RENEWALS", "300")), 0.75
    cps = min(30, count / 50)  # or the lives of tokens would be shorter than they are slow
    async with Emulator(pace=False, token_lifetime=count / cps / 5) as emulator:
        emulator.faults.add(Fault.DELAY, on="token", times=None, seconds=slow)
        attempts: list[AttemptEvent] = []
        client = connect(
            emulator,
            app_of(emulator),
            limit=None,
            cps=cps,
            on_attempt=attempts.append,
            priority=Priority.BULK,
        )
        async with client, asyncio.TaskGroup() as tasks:
            for index in range(count):
                tasks.create_task(dial(client, number(index), f"room {index // 200}"))

    assert emulator.count("token") == 1 + 5
    assert set(emulator.ring_counts.values()) == {1}
    assert len(emulator.ring_counts) == len(attempts) == count
    gaps = [later - earlier for earlier, later in pairwise(emulator.starts)]
    # A new connection takes no virtual time, or until the next timer: here, an answer of the
    # emulator. To wait for a token would take longer.
    assert max(gaps) < slow / 2
    assert sum(gaps) < (count - 1) / cps + slow


@pytest.mark.looptime
async def test_the_first_token_is_asked_for_once_and_is_all_that_is_waited_for(
    emulator: Emulator,
) -> None:
    """By the first request that needs it; however many wait, one question is put."""
    emulator.faults.add(Fault.DELAY, on="token", seconds=2)
    async with connect(emulator, app_of(emulator)) as client:
        begun = now()
        assert emulator.count("token") == 0
        await asyncio.gather(*(dial(client, number(index)) for index in range(40)))

        assert emulator.count("token") == 1
        assert emulator.starts == pytest.approx([begun + 2] * 40)


@pytest.mark.looptime
async def test_processes_that_start_together_do_not_renew_together(emulator: Emulator) -> None:
    """Each draws its instant between seven eighths and fifteen sixteenths of the token's life."""
    emulator.token_lifetime = 160
    async with contextlib.AsyncExitStack() as open_clients:
        for _ in range(20):
            client = connect(emulator, app_of(emulator))
            await open_clients.enter_async_context(client)
            await dial(client)
        begun = now()
        await asyncio.sleep(159)

    renewed = [each.at - begun for each in emulator.requests if each.kind == "token"][20:]
    assert len(renewed) == 20
    assert 140 <= min(renewed) < max(renewed) <= 150
    assert max(renewed) - min(renewed) > 3


@pytest.mark.looptime
async def test_a_token_endpoint_that_is_down_costs_nothing_while_the_token_holds(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked again, ever less often; then nothing is sent; then it works again by itself."""
    emulator.token_lifetime = 80
    async with connect(emulator, app_of(emulator), retry=ONCE) as client:
        begun = now()
        await dial(client)
        emulator.faults.add(Fault.FAIL_503, on="token", times=None)
        for _ in range(7):
            await asyncio.sleep(11)
            await dial(client)
        failed = emulator.count("token") - 1
        await asyncio.sleep(begun + 81 - now())
        with pytest.raises(NotSent, match=r"none is in its answer \(503\), so nothing was sent"):
            await dial(client)
        emulator.faults.clear()
        await asyncio.sleep(16)
        asked = emulator.count("token")
        await dial(client)

    assert 2 <= failed <= 5  # the first of them 70 to 75 s after the start, as is drawn
    assert emulator.count("token") == asked
    assert emulator.count("create") == len(emulator.starts) == 9
    assert "credentials could not be renewed" in caplog.text


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"text": "<html>"}, "none is in its answer"),
        ({"text": "[]"}, "none is in its answer"),
        ({"text": "[" * 99_999}, "none is in its answer"),
        ({"text": "{}"}, "none is in its answer"),
        ({"text": json.dumps({"access_token": "a b", "token_type": "Bearer"})}, "none is in"),
        ({"text": json.dumps({"access_token": "a\r\nX: y", "token_type": "Bearer"})}, "none is"),
        ({"text": json.dumps({"access_token": "secret", "token_type": "mac"})}, "none is in"),
        ({"status": 302, "headers": {"Location": "/elsewhere"}}, r"none is in its answer \(302\)"),
        ({"status": 500, "text": "secret"}, r"none is in its answer \(500\)"),
    ],
)
async def test_what_is_no_token_is_not_sent(answer: dict[str, Any], says: str) -> None:
    """And nothing of the answer is shown."""

    async def handle(request: web.BaseRequest) -> web.Response:
        assert request.path == "/v2/token"
        return web.Response(**answer)

    async with served(handle) as url:
        credentials = Credentials.oauth("AC" + "1" * 32, "OQ" + "2" * 32, "the-secret")
        client = ConferenceClient(credentials, base_url=url, limit=Unpaced(), retry=ONCE)
        async with client:
            with pytest.raises(NotSent, match=says) as caught:
                await dial(client)

    assert "secret" not in "".join(traceback.format_exception(caught.value))


@contextlib.asynccontextmanager
async def served(
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """Run a server of any behaviour and yield its URL."""
    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("seconds", [None, "soon", True, 0, -5])
async def test_a_life_that_cannot_be_read_is_an_hour(seconds: object) -> None:
    """If it is shorter, the service refuses the token, and the client asks for another one."""
    tokens: list[str] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        if request.path == "/v2/token":
            tokens.append(f"token{len(tokens)}")
            said = {"access_token": tokens[-1], "token_type": "bearer", "expires_in": seconds}
            return web.json_response(said)
        if request.headers["Authorization"] == "Bearer token0":
            return web.json_response({"code": 20003}, status=401)
        return web.json_response({"conferences": [], "page_size": 50, "next_page_uri": None})

    async with served(handle) as url:
        credentials = Credentials.oauth("AC" + "1" * 32, "OQ" + "2" * 32, "the-secret")
        async with ConferenceClient(credentials, base_url=url) as client:
            assert await client.conferences.list() == []

    assert tokens == ["token0", "token1"]


@pytest.mark.looptime
async def test_a_secret_that_the_service_refuses_is_said_at_once_and_rarely_asked_again(
    emulator: Emulator,
) -> None:
    """The error says what to check; nothing was sent, and nothing is hammered."""
    credentials = Credentials.oauth(emulator.account_sid, emulator.add_oauth_app()[0], "wrong")
    async with connect(emulator, credentials) as client:
        for _ in range(30):
            with pytest.raises(NotAuthorized, match="check client_id and client_secret") as caught:
                await dial(client)
            assert (caught.value.status, caught.value.code) == (401, 20003)
            await asyncio.sleep(0.1)

    assert emulator.count("token") == 2
    assert emulator.count("create") == 0


async def test_a_place_without_tokens_is_named() -> None:
    """A server in between, for instance, that only knows the API."""

    async def handle(_: web.BaseRequest) -> web.Response:
        return web.Response(status=404)

    async with served(handle) as url:
        credentials = Credentials.oauth("AC" + "1" * 32, "OQ" + "2" * 32, "the-secret")
        async with ConferenceClient(credentials, base_url=url) as client:
            with pytest.raises(ConfigurationError, match=r"at /v2/token; say where with oauth_url"):
                await dial(client)


@pytest.mark.looptime
async def test_a_secret_without_grace_ends_the_tokens_too(emulator: Emulator) -> None:
    """The refused create asks for a token, and the answer to that is what is wrong."""
    client_id, secret = emulator.add_oauth_app()
    async with connect(
        emulator, Credentials.oauth(emulator.account_sid, client_id, secret)
    ) as client:
        await dial(client)
        emulator.rotate_client_secret(client_id, grace=100)
        await dial(client)
        emulator.rotate_client_secret(client_id)
        with pytest.raises(NotAuthorized):
            await dial(client)

    assert len(emulator.starts) == 2
    assert emulator.count("token") == 2


async def test_an_app_does_not_serve_subaccounts(emulator: Emulator) -> None:
    """The service answers as if the subaccount were not there, so no token is asked for again."""
    child = emulator.add_account(parent=emulator.accounts[0])
    credentials = Credentials.oauth(child.sid, *emulator.add_oauth_app())
    async with connect(emulator, credentials) as client:
        with pytest.raises(NotFound, match="error 20404"):
            await dial(client)

    assert emulator.count("token") == 1


async def test_the_environment_names_an_app(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its tokens come from the server that the environment names."""
    client_id, secret = emulator.add_oauth_app()
    monkeypatch.delenv("TWILIO_API_KEY", raising=False)
    for name, value in {
        "TWILIO_ACCOUNT_SID": emulator.account_sid,
        "TWILIO_CLIENT_ID": client_id,
        "TWILIO_CLIENT_SECRET": secret,
        "TWILIO_AUTH_TOKEN": "passed-over",
        "CONFERENCE_ASYNC_BASE_URL": emulator.base_url,
    }.items():
        monkeypatch.setenv(name, value)
    async with ConferenceClient() as client:
        await dial(client)

    assert emulator.rings(TO) == 1


async def test_a_borrowed_session_says_nothing_of_its_own_to_either_server(
    emulator: Emulator,
) -> None:
    """Its Authorization is for other services; the token endpoint may be given by its URL."""
    seen: list[tuple[str, str | None]] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        seen.append((request.path, request.headers.get("Authorization")))
        reply = {"access_token": "the-token", "token_type": "Bearer", "expires_in": 60}
        return web.json_response(reply)

    async with served(handle) as url:
        client_id, secret = emulator.add_oauth_app()
        credentials = Credentials.oauth(
            emulator.account_sid, client_id, secret, oauth_url=f"{url}/elsewhere"
        )
        async with (
            aiohttp.ClientSession(headers={"Authorization": "Bearer foreign"}) as session,
            ConferenceClient(credentials, base_url=url, session=session) as client,
        ):
            with pytest.raises(UnexpectedReply):
                await client.conferences.list()

    token, listed = seen
    assert token == ("/elsewhere", None)
    assert listed[1] == "Bearer the-token"


# Providers


@pytest.mark.looptime
async def test_a_token_that_is_replaced_under_load_loses_and_doubles_nobody() -> None:
    """What the service refused is sent again with the new one: it was not processed."""
    async with Emulator(cps=10, latency=0.4) as emulator:
        vault, attempts = Vault(lambda: of(emulator)), list[AttemptEvent]()
        vault.takes = 0.2
        client = connect(
            emulator,
            provided(emulator, vault, every=None),
            limit=None,
            cps=10,
            on_attempt=attempts.append,
            retry=ONCE,
            priority=Priority.BULK,
        )
        async with client, asyncio.TaskGroup() as tasks:
            for index in range(80):
                tasks.create_task(dial(client, number(index)))
            for _ in range(3):
                await asyncio.sleep(2)
                emulator.rotate_auth_token()

    assert set(emulator.ring_counts.values()) == {1}
    assert len(emulator.ring_counts) == 80
    assert len(vault.asked) == 1 + 3
    refused = [each for each in attempts if each.outcome is AttemptOutcome.OUTDATED]
    assert len(attempts) == 80 + len(refused)
    assert {(each.status, each.code, each.verdict) for each in refused} == {(401, 20003, "retry")}
    assert 3 <= len(refused) < 3 * 10


@pytest.mark.looptime
async def test_during_a_rotation_both_tokens_hold_and_nothing_is_refused(
    emulator: Emulator,
) -> None:
    """Asked again on its schedule, the provider says the new token before the old one ends."""
    vault = Vault(lambda: of(emulator))
    async with connect(emulator, provided(emulator, vault, every=60)) as client:
        begun = now()
        for minute in range(6):
            await dial(client)
            if minute == 1:
                emulator.rotate_auth_token(grace=90)
            await asyncio.sleep(60)

    assert [each.status for each in emulator.requests] == [201] * 6
    gaps = [later - earlier for earlier, later in pairwise(vault.asked)]
    assert vault.asked[0] == begun
    assert all(60 * 7 / 8 <= gap <= 60 * 15 / 16 for gap in gaps)


@pytest.mark.looptime
async def test_what_a_provider_returned_is_renewed_before_it_expires(emulator: Emulator) -> None:
    """By its `expires_at`, if that comes before the schedule."""

    def minutes() -> Credentials:
        return Credentials.bearer(
            emulator.account_sid, token, expires_at=datetime.now(UTC) + timedelta(seconds=80)
        )

    async with aiohttp.ClientSession() as session:
        client_id, secret = emulator.add_oauth_app()
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
        }
        async with session.post(f"{emulator.base_url}/v2/token", data=form) as reply:
            token = (await reply.json())["access_token"]
    vault = Vault(minutes)
    async with connect(emulator, provided(emulator, vault)) as client:
        await dial(client)
        await asyncio.sleep(79)

    assert len(vault.asked) == 2
    assert 70 - 0.01 <= vault.asked[1] - vault.asked[0] <= 75


@pytest.mark.looptime
async def test_a_provider_without_a_schedule_is_asked_when_it_matters(emulator: Emulator) -> None:
    """At the first request, and after a 401."""
    vault = Vault(lambda: of(emulator))
    async with connect(emulator, provided(emulator, vault, every=None)) as client:
        assert vault.asked == []
        await dial(client)
        await asyncio.sleep(10**6)
        assert len(vault.asked) == 1
        emulator.rotate_auth_token()
        await client.conferences.list()

    assert len(vault.asked) == 2


@pytest.mark.looptime
async def test_wrong_credentials_are_asked_about_rarely(emulator: Emulator) -> None:
    """A provider that goes on returning what the service refuses is not asked at each request."""
    vault = Vault(Credentials(emulator.account_sid, "wrong"))
    async with connect(emulator, provided(emulator, vault, every=None)) as client:
        begun = now()
        for _ in range(100):
            with pytest.raises(NotAuthorized):
                await dial(client)
            await asyncio.sleep(0.1)
        assert now() - begun == pytest.approx(10)
        assert len(vault.asked) == 1 + 4
        vault.answer = lambda: of(emulator)
        await asyncio.sleep(15)
        await dial(client)

    assert emulator.count("create") == 102
    assert emulator.rings(TO) == 1


@pytest.mark.looptime
async def test_a_secret_that_is_replaced_while_the_vault_hiccups_is_asked_for_all_the_same(
    emulator: Emulator,
) -> None:
    """A renewal that has just failed does not keep a refused create from asking."""
    vault = Vault(lambda: of(emulator))
    async with connect(emulator, provided(emulator, vault, every=80), retry=ONCE) as client:
        await dial(client)
        vault.answer = OSError()
        await asyncio.sleep(79)
        emulator.rotate_auth_token()
        vault.answer = lambda: of(emulator)
        await dial(client)

    assert emulator.rings(TO) == 2
    assert len(vault.asked) > 3


@pytest.mark.looptime
async def test_a_token_that_ends_while_its_request_is_refused_is_replaced(
    emulator: Emulator,
) -> None:
    """The answer 401 comes when there is none any more, and the next attempt asks for one."""
    emulator.token_lifetime = 80
    client_id, secret = emulator.add_oauth_app()
    credentials = Credentials.oauth(emulator.account_sid, client_id, secret)
    async with connect(emulator, credentials) as client:
        begun = now()
        await dial(client)
        emulator.faults.add(Fault.FAIL_503, on="token", times=None)
        await asyncio.sleep(begun + 78 - now())
        emulator._accounts.apps._tokens.clear()
        emulator.latency = 3
        dialling = asyncio.create_task(dial(client))
        await asyncio.sleep(2.5)
        emulator.faults.clear()
        await dialling

    assert emulator.rings(TO) == 2


@pytest.mark.looptime
async def test_a_refused_create_is_sent_again_once(emulator: Emulator) -> None:
    """Whatever else the provider has to offer, the second refusal is the answer."""
    vault: Vault = Vault(lambda: Credentials(emulator.account_sid, f"wrong{len(vault.asked)}"))
    async with connect(emulator, provided(emulator, vault, every=None)) as client:
        with pytest.raises(NotAuthorized):
            await dial(client)

    assert emulator.count("create") == len(vault.asked) == 2


@pytest.mark.looptime
async def test_a_campaign_outlives_a_rotation_and_stops_where_nothing_helps(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Nobody is lost: those who were not called are called when the run is repeated."""
    plan = Plan.from_participants(
        [NewParticipant(from_=FROM, to=number(index)) for index in range(20)], conference="all"
    )
    vault = Vault(lambda: of(emulator))
    client = connect(emulator, provided(emulator, vault, every=None), limit=CreateLimit(1))

    async def call() -> None:
        async for outcome in Dialer(client, ledger=ledger).run(plan):
            placed.append(outcome.state)
            if len(placed) == 5:
                emulator.rotate_auth_token()
            elif len(placed) == 10:
                vault.answer = of(emulator)
                emulator.rotate_auth_token()

    placed: list[State] = []
    async with client, Ledger(tmp_path / "calls.db") as ledger:
        with pytest.raises(NotAuthorized):
            await call()
        assert len(emulator.ring_counts) == 10
        vault.answer = lambda: of(emulator)
        await asyncio.sleep(60)
        await call()

    assert placed == [State.PLACED] * 20
    assert emulator.ring_counts == {number(index): 1 for index in range(20)}


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("options", "seconds"),
    [({"deadline": 3.0}, 3), ({"timeout": 5.0}, 5), ({"timeout": 5.0, "deadline": 3.0}, 3)],
)
async def test_a_provider_that_hangs_is_waited_for_as_long_as_the_call_may_take(
    emulator: Emulator, options: dict[str, Any], seconds: float
) -> None:
    """Its deadline or its timeout; nothing was sent, and the next call asks again."""
    vault = Vault(lambda: of(emulator))
    vault.takes = 10**6
    async with connect(emulator, provided(emulator, vault), retry=ONCE, **options) as client:
        begun = now()
        with pytest.raises(NotSent, match=f"no credentials came within {seconds:g} s, so nothing"):
            await dial(client)
        assert now() - begun == pytest.approx(seconds)
        vault.takes = 0
        await asyncio.sleep(30)
        await dial(client)

    assert emulator.count("create") == 1


@pytest.mark.looptime
async def test_a_provider_that_does_not_even_end_is_left_alone(emulator: Emulator) -> None:
    """Cancelled in vain, it holds up nobody who comes later."""
    stuck = asyncio.Event()

    async def fetch() -> Credentials:
        if not stuck.is_set():
            stuck.set()
            for _ in range(3):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(10**4)
            raise OSError("heard by nobody")
        return of(emulator)

    credentials = Credentials.from_provider(fetch, account_sid=emulator.account_sid)
    async with connect(emulator, credentials, timeout=2, retry=ONCE) as client:
        with pytest.raises(NotSent):
            await dial(client)
        await asyncio.sleep(1)
        await dial(client)
        await asyncio.sleep(3 * 10**4)

    assert emulator.rings(TO) == 1


@pytest.mark.looptime
@pytest.mark.parametrize("error", [OSError("the-secret"), KeyError("the-secret")])
async def test_what_a_provider_raises_means_not_sent(emulator: Emulator, error: Exception) -> None:
    """Its kind is named, its words are not, and it is the cause; it was asked as often as tried."""
    vault = Vault(error)
    async with connect(emulator, provided(emulator, vault)) as client:
        with pytest.raises(NotSent, match=f"raised {type(error).__name__}, so nothing") as caught:
            await dial(client)

    cause = caught.value.__cause__
    assert "the-secret" not in f"{caught.value}{cause}"
    assert cause is not None
    assert cause.__cause__ is error
    assert type(pickle.loads(pickle.dumps(caught.value))) is NotSent
    assert len(vault.asked) == 4
    assert emulator.count() == 0


@pytest.mark.looptime
async def test_a_provider_that_was_cancelled_inside_cancels_nobody(emulator: Emulator) -> None:
    """A cancellation of its own is a failure like others."""
    vault = Vault(asyncio.CancelledError())
    async with connect(emulator, provided(emulator, vault), retry=ONCE) as client:
        with pytest.raises(NotSent, match="cancelled where it was answered"):
            await dial(client)


ELSEWHERE = "AC" + "9" * 32


@pytest.mark.parametrize(
    ("rubbish", "says"),
    [
        (None, "returned NoneType, not Credentials"),
        ("the-secret", "returned str, not Credentials"),
        (Credentials(ELSEWHERE, "the-secret"), f"of account {ELSEWHERE}, and this client is of AC"),
        (Credentials.oauth(ELSEWHERE, "OQ1", "the-secret"), "to be fetched themselves"),
        (ConfigurationError("set the environment variable X"), "raised: set the environment"),
    ],
)
async def test_what_a_provider_may_not_return_is_named(
    emulator: Emulator, rubbish: object, says: str
) -> None:
    """Nothing was sent, and repeating would not help."""
    vault = Vault(rubbish)
    async with connect(emulator, provided(emulator, vault)) as client:
        with pytest.raises(ConfigurationError, match=says) as caught:
            await dial(client)

    assert "the-secret" not in str(caught.value)
    assert emulator.count() == 0
    assert len(vault.asked) == 1


@pytest.mark.looptime
async def test_credentials_of_another_region_or_that_have_ended_are_not_used(
    emulator: Emulator,
) -> None:
    """The first can never work; the second may be others the next time."""
    sid = emulator.account_sid
    vault = Vault(Credentials(sid, "the-secret", region="ie1"))
    async with connect(emulator, provided(emulator, vault), retry=ONCE) as client:
        with pytest.raises(ConfigurationError, match="of region 'ie1', and this client is of 'us1"):
            await dial(client)
        vault.answer = Credentials(sid, "x", expires_at=datetime.now(UTC) - timedelta(seconds=1))
        await asyncio.sleep(1)
        with pytest.raises(NotSent, match="some that have ended already"):
            await dial(client)


async def test_a_function_that_is_not_async_is_found_out(emulator: Emulator) -> None:
    """What it returns cannot be awaited, and that is said."""
    fetch: Any = lambda: of(emulator)  # noqa: E731 -- what somebody might write
    credentials = Credentials.from_provider(fetch, account_sid=emulator.account_sid)
    async with connect(emulator, credentials) as client:
        with pytest.raises(ConfigurationError, match="fetch must be an async function"):
            await dial(client)


# Whoever waits


@pytest.mark.looptime
async def test_whoever_is_cancelled_while_waiting_takes_nothing_from_the_others(
    emulator: Emulator,
) -> None:
    """The question was put by the one who is cancelled, and is answered to all."""
    vault = Vault(lambda: of(emulator))
    vault.takes = 2
    async with connect(emulator, provided(emulator, vault)) as client:
        begun = now()
        first, second = (asyncio.create_task(dial(client, number(each))) for each in range(2))
        await asyncio.sleep(1)
        first.cancel()
        third = asyncio.create_task(dial(client, number(2)))
        await asyncio.gather(second, third)

        assert now() - begun == pytest.approx(2)
        assert first.cancelled()
    assert len(vault.asked) == 1
    assert emulator.ring_counts == {number(1): 1, number(2): 1}


@pytest.mark.looptime
async def test_a_question_that_nobody_waits_for_any_more_is_answered_all_the_same(
    emulator: Emulator,
) -> None:
    """Whoever comes later has the answer at once."""
    vault = Vault(lambda: of(emulator))
    vault.takes = 2
    async with connect(emulator, provided(emulator, vault)) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(dial(client), 1)
        await asyncio.sleep(1.5)
        begun = now()
        await dial(client)

        assert now() == begun
    assert len(vault.asked) == 1
    assert emulator.rings(TO) == 1


@pytest.mark.looptime
async def test_a_cancellation_while_a_refused_create_waits_for_others_is_reported(
    emulator: Emulator,
) -> None:
    """The attempt has ended, nothing was placed, and nothing is in doubt."""
    vault, attempts = Vault(lambda: of(emulator)), list[AttemptEvent]()
    async with connect(emulator, provided(emulator, vault), on_attempt=attempts.append) as client:
        await dial(client)
        emulator.rotate_auth_token()
        vault.takes = 5
        with pytest.raises(TimeoutError) as caught:
            await asyncio.wait_for(dial(client), 1)

    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.__cause__ is None
    assert [each.verdict for each in attempts] == ["return", "cancelled"]
    assert emulator.rings(TO) == 1


@pytest.mark.looptime
async def test_a_client_that_is_closed_asks_no_more_and_may_be_opened_again(
    emulator: Emulator,
) -> None:
    """A question under way ends, and so does the wait for it; then everything is as before."""
    vault = Vault(lambda: of(emulator))
    vault.takes = 5
    client = connect(emulator, provided(emulator, vault, every=60))
    async with client:
        waiting = asyncio.create_task(dial(client))
        await asyncio.sleep(1)
    with pytest.raises(ConfigurationError, match="the client is closed"):
        await waiting
    await asyncio.sleep(100)
    assert len(vault.asked) == 1
    with pytest.raises(ConfigurationError, match="the client is closed"):
        await dial(client)

    vault.takes = 0
    async with client:
        await dial(client)
    await asyncio.sleep(1000)
    assert len(vault.asked) == 2


@pytest.mark.looptime
async def test_a_client_that_nobody_holds_asks_no_more(emulator: Emulator) -> None:
    """Although it was not closed: the timer of the next question does not keep it alive."""
    vault = Vault(lambda: of(emulator))
    async with aiohttp.ClientSession() as session:
        client = connect(emulator, provided(emulator, vault, every=60), session=session)
        await dial(client)
        gone = weakref.ref(client._sender.authorization or client)
        del client
        gc.collect()
        assert gone() is None
        await asyncio.sleep(1000)

    assert len(vault.asked) == 1


@pytest.mark.looptime
async def test_questions_are_not_put_in_the_name_of_whoever_asks_first(emulator: Emulator) -> None:
    """Context variables are those of where the client was made."""
    user = contextvars.ContextVar[str]("user", default="nobody")
    seen: list[str] = []

    async def fetch() -> Credentials:
        seen.append(user.get())
        return of(emulator)

    user.set("the application")
    credentials = Credentials.from_provider(fetch, account_sid=emulator.account_sid, every=60)
    async with connect(emulator, credentials) as client:
        user.set("somebody")
        await dial(client)
        await asyncio.sleep(60)

    assert seen == ["the application"] * 2


# Loops and processes


class PlainEmulator:
    """An emulator on a loop of its own, in a thread, for clients under loops of their own."""

    def __enter__(self) -> Emulator:
        self._opened, self._ended = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        self._opened.wait()
        return self._emulator

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with Emulator(cps=30) as self._emulator:
            self._opened.set()
            await self._ended.wait()

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()


def test_one_loop_after_another_has_the_same_token() -> None:
    """A function that runs now and then does not ask each time, and no task is left behind."""
    with PlainEmulator() as emulator:
        client = connect(emulator, app_of(emulator))
        for _ in range(3):
            asyncio.run(dial(client))
        assert emulator.count("token") == 1
        assert len(emulator.starts) == 3


def test_loops_in_two_threads_have_a_client_each() -> None:
    """The same credentials serve both, and each client asks in its own loop."""
    with PlainEmulator() as emulator:
        vault = Vault(lambda: of(emulator))
        credentials = provided(emulator, vault)

        async def work() -> None:
            async with connect(emulator, credentials) as client:
                await asyncio.gather(*(dial(client) for _ in range(5)))

        threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(vault.asked) == 2
        assert len(emulator.starts) == 10


def test_a_loop_that_ends_while_a_question_is_open_leaves_the_next_one_alone() -> None:
    """It asks for itself."""
    with PlainEmulator() as emulator:
        vault = Vault(lambda: of(emulator))
        vault.takes = 30
        client = connect(emulator, provided(emulator, vault))

        async def give_up() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(dial(client), 0.05)

        asyncio.run(give_up())
        vault.takes = 0
        asyncio.run(dial(client))
        assert len(vault.asked) == 2
        assert len(emulator.starts) == 1


def test_a_fork_has_the_token_of_its_parent() -> None:
    """Both go on with it, over connections of their own, and neither asks again."""
    with PlainEmulator() as emulator:
        vault = Vault(lambda: of(emulator))
        client = connect(emulator, provided(emulator, vault))
        loop = asyncio.new_event_loop()
        loop.run_until_complete(dial(client))
        child = os.fork()
        if child == 0:
            code = 2
            try:
                asyncio.run(dial(client))
                code = len(vault.asked) - 1
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        loop.run_until_complete(dial(client))
        loop.run_until_complete(client.aclose())
        loop.close()

        assert os.waitstatus_to_exitcode(status) == 0
        assert len(vault.asked) == 1
        assert len(emulator.starts) == 3


# Secrets


async def test_nothing_shows_a_secret(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """No log at any level, no repr, and no error with its whole chain; nor the emulator's."""
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    client_id, secret = emulator.add_oauth_app()
    secrets = {secret, emulator.auth_token}
    shown: list[str] = []
    credentials = Credentials.oauth(emulator.account_sid, client_id, secret)
    async with connect(emulator, credentials) as client:
        await dial(client)
        authorization = client._sender.authorization
        assert authorization is not None
        header = await authorization.header(1)
        secrets |= {header.removeprefix("Bearer "), base64.b64encode(header.encode()).decode()}
        shown += [repr(client), repr(client._sender), repr(authorization.__dict__)]
        secrets.add(emulator.rotate_client_secret(client_id))
        with pytest.raises(NotAuthorized) as caught:
            await dial(client)
    shown += [*traceback.format_exception(caught.value), repr(pickle.dumps(caught.value))]
    shown += [repr(credentials), repr(credentials.source), caplog.text]
    shown += [repr(attempt) + repr(attempt.form) for attempt in emulator.requests]

    assert not [secret for secret in secrets if any(secret in each for each in shown)]
    with pytest.raises(ConfigurationError, match="not pickled"):
        pickle.dumps(credentials.source)
