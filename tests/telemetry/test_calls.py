"""Logical calls and their attempts, as spans and metrics by the conventions."""

import asyncio
import gc
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from hypothesis import assume, given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import Histogram
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
    url_attributes,
)
from opentelemetry.semconv.metrics.http_metrics import HTTP_CLIENT_REQUEST_DURATION
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode

from conference_async import (
    ConferenceClient,
    ConfigurationError,
    ConnectionFailed,
    CreateLimit,
    Credentials,
    DeadlineExceeded,
    Journal,
    OutcomeUnknown,
    RequestRefused,
    RetryPolicy,
    Unpaced,
)
from conference_async.emulator import Emulator, Fault, Script
from conference_async.sending.sought import Sought
from conference_async.telemetry import Telemetry
from conference_async.telemetry.conventions import ALLOWED, redacted
from conference_async.webhooks import Keys, Receiver
from tests.telemetry.conftest import Connect, Exported

FROM = "+15017122661"
TO = "+15558675310"
SID = "0123456789abcdef" * 2

REQUIRED = {
    http_attributes.HTTP_REQUEST_METHOD,
    server_attributes.SERVER_ADDRESS,
    server_attributes.SERVER_PORT,
    url_attributes.URL_FULL,
}
RECOMMENDED = {
    network_attributes.NETWORK_PEER_ADDRESS,
    network_attributes.NETWORK_PEER_PORT,
    network_attributes.NETWORK_PROTOCOL_VERSION,
}
ANSWERED = {http_attributes.HTTP_RESPONSE_STATUS_CODE}
FAILED = {error_attributes.ERROR_TYPE}
RESENT = {http_attributes.HTTP_REQUEST_RESEND_COUNT}
MEASURED = {
    http_attributes.HTTP_REQUEST_METHOD,
    server_attributes.SERVER_ADDRESS,
    server_attributes.SERVER_PORT,
    http_attributes.HTTP_RESPONSE_STATUS_CODE,
    network_attributes.NETWORK_PROTOCOL_VERSION,
}

pytestmark = pytest.mark.looptime


def conventional(span: ReadableSpan) -> set[str]:
    """Return the names of a span's attributes, ours left out."""
    return {name for name in span.attributes or {} if not name.startswith("conference_async.")}


def said(span: ReadableSpan, name: str) -> Any:
    """Return what a span says of something of ours."""
    return (span.attributes or {}).get(f"conference_async.{name}")


async def dial(client: ConferenceClient, **fields: Any) -> Any:
    """Dial one person."""
    room = client.conferences(fields.pop("conference", "standup"))
    return await room.participants.create(**{"from_": FROM, "to": TO} | fields)


async def test_an_attempt_has_what_the_conventions_ask_for(
    connect: Connect, exported: Exported, emulator: Emulator
) -> None:
    """What is required and what is recommended, and of HTTP nothing else; so do measurements."""
    emulator.faults.add(Fault.TOO_MANY, retry_after=2)

    async with connect() as client:
        await dial(client)
        await client.conferences("standup").participants.list()

    refused, placed, listed = (
        span for span in exported.spans if span.kind is SpanKind.CLIENT and "Part" in span.name
    )
    usual = REQUIRED | RECOMMENDED | ANSWERED
    assert conventional(refused) == usual | FAILED
    assert conventional(placed) == usual | RESENT
    assert conventional(listed) == usual
    create = "/2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Participants.json"
    assert (refused.name, listed.name) == (f"POST {create}", f"GET {create}")
    for span in (refused, placed, listed):
        attributes = dict(span.attributes or {})
        port = int(emulator.base_url.rpartition(":")[2])
        assert attributes["server.address"] == attributes["network.peer.address"] == "127.0.0.1"
        assert attributes["server.port"] == attributes["network.peer.port"] == port
        assert attributes["network.protocol.version"] == "1.1"
    assert (refused.attributes or {})["error.type"] == "429"
    assert (placed.attributes or {})["http.request.resend_count"] == 1
    assert (refused.status.status_code, refused.status.description) == (StatusCode.ERROR, None)
    assert placed.status.status_code is StatusCode.UNSET

    histogram = exported.metrics[HTTP_CLIENT_REQUEST_DURATION].data
    assert isinstance(histogram, Histogram)
    advised = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    for point in histogram.data_points:
        assert set(point.attributes or {}) - FAILED == MEASURED
        assert tuple(point.explicit_bounds) == advised


async def test_the_schema_is_named(connect: Connect, exported: Exported) -> None:
    """Whoever reads spans and metrics knows which version of the conventions they follow."""
    async with connect() as client:
        await dial(client)

    data = exported.reader.get_metrics_data()
    assert data is not None
    scopes = [span.instrumentation_scope for span in exported.spans]
    scopes += [each.scope for one in data.resource_metrics for each in one.scope_metrics]
    assert {(scope and scope.schema_url) for scope in scopes} <= {each.value for each in Schemas}
    assert len({(scope and scope.name) for scope in scopes}) == 1


async def test_a_create_with_its_waits_and_attempts(
    connect: Connect, exported: Exported, emulator: Emulator
) -> None:
    """Below the caller's span: the line, the slot, attempt after attempt, each at its instant."""
    async with connect(cps=1) as client:
        await dial(client)
        await asyncio.sleep(0)
        with exported.tracers.get_tracer("app").start_as_current_span("click", start_time=0):
            emulator.faults.add(Fault.TOO_MANY, retry_after=2)
            both = asyncio.gather(dial(client), dial(client))
            await both

    (click,) = exported.named("click")
    post = "POST /2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Participants.json"
    assert exported.tree(click).splitlines()[1:] == [
        "  create participant 0+2",
        "    wait in line 0+1",
        "    wait for slot 1+1",
        f"    {post} 2+0",
        "  create participant 0+3",
        "    wait for slot 0+1",
        f"    {post} 1+0",
        "    wait in line 1+2",
        f"    {post} 3+0",
    ]
    create = exported.children(click)[0]
    assert said(create, "outcome") == "placed"
    assert said(create, "call_sid").startswith("CA")
    assert said(create, "conference_sid").startswith("CF")
    counted = {"conference_async.operation": "create", "conference_async.outcome": "placed"}
    assert exported.points("conference_async.operations") == [(counted, 3)]


async def test_what_is_looked_up_is_below_its_create(
    connect: Connect, exported: Exported, emulator: Emulator
) -> None:
    """A lost reply: the looks for the call are seen where the time went."""
    emulator.faults.add(Fault.RESET_AFTER)

    async with connect(limit=Unpaced()) as client:
        placed = await dial(client)

    (create,) = exported.named("create participant")
    lost, find = exported.children(create)
    assert (lost.name[:4], said(lost, "verdict")) == ("POST", "reconcile")
    assert (find.name, said(find, "outcome")) == ("find participant", "found")
    assert said(find, "call_sid") == placed.call_sid
    assert said(find, "conference_sid") == placed.conference_sid
    asked = [each.name for each in exported.children(find)]
    assert (set(asked[:-1]), asked[-1]) == ({"list conferences"}, "fetch participant")
    assert said(create, "outcome") == "reconciled"
    assert str((lost.attributes or {})["error.type"]).startswith("aiohttp.client_exceptions.")
    assert conventional(lost) == REQUIRED | FAILED


@pytest.mark.parametrize(("unreadable", "outcome"), [(False, "absent"), (True, "unknown")])
async def test_what_is_not_found_is_told_from_what_was_not_placed(
    unreadable: bool, outcome: str, connect: Connect, exported: Exported, emulator: Emulator
) -> None:
    """As the last look showed it."""
    emulator.faults.add(Fault.FAIL_500)
    if unreadable:
        emulator.faults.add(Fault.FAIL_500, on="calls.list", times=None)

    async with connect(limit=Unpaced(), retry=RetryPolicy(lookups=1, settled=0)) as client:
        with pytest.raises(OutcomeUnknown):
            await dial(client)

    (find,) = exported.named("find participant")
    assert said(find, "outcome") == outcome


async def test_every_request_has_a_span_and_every_span_a_name(
    connect: Connect, exported: Exported, emulator: Emulator
) -> None:
    """Also those that read the account's calls."""
    async with connect(limit=Unpaced(), retry=RetryPolicy(settled=0)) as client:
        placed = await dial(client)
        room = client.conferences("standup")
        handle = room.participants(placed.call_sid)
        await handle.fetch()
        await handle.mute()
        await handle.call()
        await room.fetch()
        await client.conferences.list()
        await room.participants.list()
        await room.announce("https://example.com/hello.mp3")
        sent = datetime.now(UTC)
        await client.find_placed("retro", None, sent_at=sent, ended_at=sent, to=TO, from_=FROM)
        await client.find_many([Sought.at("retro", "nobody", sent_at=sent, ended_at=sent)])
        await handle.delete()

    attempts = [span.name for span in exported.spans if span.kind is SpanKind.CLIENT]
    assert len(attempts) == emulator.count()
    assert all(name.partition(" ")[2].startswith("/2010-04-01/") for name in attempts), attempts
    assert {span.name for span in exported.spans if span.kind is SpanKind.INTERNAL} == {
        "create participant",
        "fetch participant",
        "update participant",
        "delete participant",
        "list participants",
        "fetch call",
        "list calls",
        "find participant",
        "find participants",
        "fetch conference",
        "update conference",
        "list conferences",
    }


@pytest.mark.parametrize(
    ("meddle", "options", "outcome", "error"),
    [
        (Fault.LABEL_CLASH, {}, "refused", "LabelInUse"),
        (
            Fault.FAIL_500,
            {"retry": RetryPolicy(attempts=1, lookups=1)},
            "unknown",
            "OutcomeUnknown",
        ),
        (None, {"base_url": "http://127.0.0.1:9", "deadline": 1}, "not_sent", "NotSent"),
    ],
)
async def test_how_a_create_ended_is_counted(
    meddle: Fault | None,
    options: dict[str, Any],
    outcome: str,
    error: str,
    connect: Connect,
    exported: Exported,
    emulator: Emulator,
) -> None:
    """By what is known of the phone, and by the class of the error."""
    if meddle is not None:
        emulator.faults.add(meddle)
    async with connect(limit=Unpaced(), **options) as client:
        with pytest.raises(
            (RequestRefused, OutcomeUnknown, ConnectionFailed, DeadlineExceeded)
        ) as raised:
            await dial(client, label="alice")

    ((counted, number),) = [
        point
        for point in exported.points("conference_async.operations")
        if point[0]["conference_async.operation"] == "create"
    ]
    assert (counted["conference_async.outcome"], number) == (outcome, 1)
    assert counted["error.type"] == type(raised.value).__name__
    assert error in {base.__name__ for base in type(raised.value).__mro__}
    (create,) = exported.named("create participant")
    assert create.status.status_code is StatusCode.ERROR


async def test_a_cancelled_create_is_unknown_once_it_has_left(
    connect: Connect, exported: Exported, emulator: Emulator
) -> None:
    """In line it is cancelled, in flight nobody knows; neither is an error of ours."""
    emulator.faults.add(Fault.DELAY, seconds=5)
    async with connect(cps=1) as client:
        flying, waiting = (asyncio.create_task(dial(client)) for _ in range(2))
        await asyncio.sleep(0.5)
        for task in (flying, waiting):
            task.cancel()
        await asyncio.wait([flying, waiting])

    outcomes = [said(span, "outcome") for span in exported.named("create participant")]
    assert sorted(outcomes) == ["cancelled", "unknown"]
    assert {span.status.status_code for span in exported.named("create participant")} == {
        StatusCode.UNSET
    }


async def test_an_intent_shows_who_dialled(
    connect: Connect, exported: Exported, tmp_path: Any
) -> None:
    """A key that was used is answered from the journal: no create is below it."""
    async with connect(limit=Unpaced(), journal=Journal(tmp_path / "calls.db")) as client:
        for _ in range(2):
            await client.conferences("standup").participants.create(
                from_=FROM, to=TO, once="order-42"
            )

    first, second = exported.named("create participant once")
    assert [each.name for each in exported.children(first)] == ["create participant"]
    assert (said(first, "outcome"), said(second, "outcome")) == ("placed", "repeated")
    assert exported.children(second) == []


async def test_a_question_for_credentials_is_a_trace_of_its_own(
    connect: Connect, exported: Exported, emulator: Emulator
) -> None:
    """Whoever asks first has not caused it; a token that is refused is counted."""
    client_id, secret = emulator.add_oauth_app()
    for known in (secret, "wrong"):
        credentials = Credentials.oauth(emulator.account_sid, client_id, known)
        async with connect(credentials=credentials, limit=Unpaced()) as client:
            with suppress(RequestRefused):
                await dial(client)

    asked = exported.named("get credentials")
    assert [(each.parent, said(each, "outcome")) for each in asked] == [
        (None, "done"),
        (None, "refused"),
    ]
    shown = "".join(span.to_json() for span in exported.spans)
    assert not [each for each in (client_id, secret, "wrong", "Bearer") if each in shown]


@pytest.mark.filterwarnings("ignore::conference_async.PersonalData")
async def test_nothing_of_a_user_is_exported(
    connect: Connect, exported: Exported, emulator: Emulator
) -> None:
    """Numbers, labels, names, callback URLs, tokens: not in a span, a metric or an error's text."""
    emulator.faults.add(Fault.RESET_AFTER)
    emulator.script("5311", Script(outcome="busy"))
    callback = "https://example.com/secret-path?key=sesame"
    async with connect(cps=30) as client:
        await dial(
            client,
            label="desk 555-867-5310",
            conference="call with 5558675310",
            status_callback=callback,
        )
        await dial(
            client,
            to="sip:alice@example.com",
            label="alice",
            sip_auth_password="hunter2",
            sip_auth_username="bob",
        )
        room = client.conferences("call with 5558675310")
        await room.participants("desk 555-867-5310").mute()
        with pytest.raises(RequestRefused):
            await room.participants("nobody-you-know").fetch()
        await client.conferences.list(friendly_name="call with 5558675310")
        with pytest.raises(RequestRefused):
            await dial(client, label="alice")

    data = exported.reader.get_metrics_data()
    assert data is not None
    shown = "".join(span.to_json() for span in exported.spans) + data.to_json()
    for secret in (
        *("8675310", "867-5310", "5017122661", "alice", "desk", "nobody", "call with", "call%20"),
        *("secret-path", "sesame", "hunter2", "bob", emulator.auth_token, "Basic "),
    ):
        assert secret not in shown, secret
    assert {name for span in exported.spans for name in span.attributes or {}} <= ALLOWED
    assert all(not span.events for span in exported.spans)
    for metric in exported.metrics.values():
        for point in metric.data.data_points:
            assert set(point.attributes or {}) <= ALLOWED


@pytest.mark.parametrize(
    ("base_url", "path", "shown"),
    [
        ("https://api.twilio.com", "/2010-04-01/Accounts/AC{}/Calls.json", "as it is"),
        (
            "https://api.twilio.com",
            "/2010-04-01/Accounts/AC{}/Conferences/standup/Participants/alice.json",
            "https://api.twilio.com/2010-04-01/Accounts/AC{}/Conferences/REDACTED/Participants/REDACTED",
        ),
        (
            "http://user:pass@[::1]:8080/tenant-7",
            "/2010-04-01/Accounts/AC{}/Conferences.json?FriendlyName=x&DateCreated%3E=1&%2B1555=2",
            (
                "http://[::1]:8080/REDACTED/2010-04-01/Accounts/AC{}/Conferences.json"
                "?FriendlyName=REDACTED&DateCreated%3E=REDACTED&REDACTED=REDACTED"
            ),
        ),
    ],
)
def test_a_url_is_redacted(base_url: str, path: str, shown: str) -> None:
    """The service's words and SIDs are left; what users choose is not, nor who signs in."""
    expected = base_url + path if shown == "as it is" else shown

    assert redacted(base_url, path.format(SID)) == expected.format(SID)


@given(
    label=st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1),
    value=st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_a_url_shows_no_text_of_anybody(label: str, value: str) -> None:
    """Whatever a label is, and a filter's value, the URL is the same as for any other."""
    path = f"/2010-04-01/Accounts/AC{SID}/Conferences/{{}}/Participants/{{}}.json?Label={{}}"

    def shown(*parts: str) -> str:
        return redacted("https://api.twilio.com", path.format(*(quote(each, "") for each in parts)))

    assume(
        quote(label, "") not in {"Accounts", "Calls", "Conferences", "Participants", "2010-04-01"}
    )
    assert shown(label, label, value) == shown("x", "y", "z")


async def test_gauges_show_the_line_and_the_requests(
    connect: Connect, exported: Exported, emulator: Emulator
) -> None:
    """At each moment, per client; also to an exporter in a thread of its own."""
    async with connect(limit=CreateLimit(1, max_live=5), max_concurrency=7) as client:
        dialling = asyncio.gather(*(dial(client) for _ in range(4)))
        await asyncio.sleep(1.5)

        port = int(emulator.base_url.rpartition(":")[2])
        whose = {
            "conference_async.account_sid": emulator.account_sid,
            "server.address": "127.0.0.1",
            "server.port": port,
        }
        expected = {
            "conference_async.line.waiting": 1,
            "conference_async.line.next_start": 2.5,
            "conference_async.pace.configured": 1,
            "conference_async.pace.effective": 1,
            "conference_async.service.queue_time": 0,
            "conference_async.calls.live": 2,
            "conference_async.calls.limit": 5,
            "conference_async.requests.active": 1,
            "conference_async.requests.limit": 7,
        }
        seen: dict[str, Any] = {}

        def collect() -> None:
            seen.update({name: exported.points(name) for name in expected})

        thread = threading.Thread(target=collect)
        thread.start()
        thread.join()
        here = {name: exported.points(name) for name in expected}
        for shown in (here, seen):
            assert {name: shown[name] for name in expected} == {
                name: [(whose, pytest.approx(value))] for name, value in expected.items()
            }
        await dialling


async def test_a_client_that_is_gone_is_not_observed(connect: Connect, exported: Exported) -> None:
    """Telemetry keeps no client alive; one that has sent nothing yet is observed."""
    async with connect(limit=Unpaced()) as client:
        assert exported.points("conference_async.requests.limit")
    del client
    gc.collect()

    assert exported.points("conference_async.requests.limit") == []


async def test_limits_unlike_ours_can_be_watched(connect: Connect, exported: Exported) -> None:
    """A limit whose state cannot be read now leaves a gap, and the other gauges stay."""

    class Silent(Unpaced):
        def snapshot(self) -> Any:
            raise OSError("the store is away")

    async with connect(limit=Silent()) as client:
        await dial(client)

        assert exported.points("conference_async.line.waiting") == []


async def test_whatever_telemetry_raises_changes_nothing(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the call goes on."""

    class Broken(Telemetry):
        def watch(self, *_: Any) -> None:
            raise RuntimeError("no watching")

        def begin(self, operation: str) -> Any:
            raise RuntimeError(f"no beginning of {operation}")

        def attempted(self, *_: Any) -> None:
            raise asyncio.CancelledError

        def carried(self, url: str) -> str:
            return url

    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        telemetry=Broken(),
    ) as client:
        placed = await dial(client)
        await client.conferences("standup").participants(placed.call_sid).fetch()

    assert emulator.rings(TO) == 1
    assert "telemetry raised; the call goes on" in caplog.text
    assert "no beginning of create" in caplog.text


async def test_a_view_may_be_watched_and_another_not(connect: Connect, exported: Exported) -> None:
    """It is an option like the others."""
    async with connect(telemetry=None, limit=Unpaced()) as client:
        await dial(client)
        assert exported.spans == ()
        await dial(client.with_options(telemetry=exported.telemetry))

    assert len(exported.named("create participant")) == 1


def test_something_else_is_refused() -> None:
    """With what to give instead; so is a clock that would never run."""
    known = Credentials("AC" + "1" * 32, "token")
    odd: tuple[Any, ...] = (object(), Telemetry)
    for other in odd:
        with pytest.raises(ConfigurationError, match=r"telemetry must be .*Telemetry\(\), not <"):
            ConferenceClient(known, telemetry=other)
    with pytest.raises(ConfigurationError, match=r"telemetry must be .*Telemetry\(\), not <"):
        Receiver(Keys("12345"), public_url="https://example.com/hooks", telemetry=odd[0])

    async def clock() -> float:
        return 0.0

    with pytest.raises(ConfigurationError, match="now calls its function"):
        Telemetry(now=clock)  # type: ignore[arg-type]  # what a checker says, too


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenTelemetry, the extra that brings it."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "conference_async.telemetry")

    with pytest.raises(ModuleNotFoundError, match=r"conference-async\[otel\]"):
        import_module("conference_async.telemetry")


async def test_an_answer_that_came_over_nothing_known(exported: Exported, connect: Connect) -> None:
    """A server that closes each connection is known by its address all the same, or left out."""

    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response(status=404, body=b"{}", headers={"Connection": "close"})

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with connect(base_url=f"http://{host}:{port}", limit=Unpaced()) as client:
        with pytest.raises(RequestRefused):
            await client.conferences("CF" + "0" * 32).fetch()
    await runner.cleanup()

    (attempt,) = (span for span in exported.spans if span.kind is SpanKind.CLIENT)
    assert conventional(attempt) - RECOMMENDED == REQUIRED | ANSWERED | FAILED
