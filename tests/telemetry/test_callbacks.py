"""Callbacks, linked to the create that caused them, to the end of the call."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from aiohttp import web
from opentelemetry import trace

from conference_async import Calls, ConferenceClient, Credentials, Unpaced
from conference_async.emulator import Emulator
from conference_async.webhooks import Event, Keys, Receiver, aiohttp_handler
from tests.telemetry.conftest import Connect, Exported, exported_by

FROM = "+15017122661"
TO = "+15558675310"

pytestmark = pytest.mark.looptime


@attrs.frozen
class Hooks:
    """A receiver that is watched, behind a real server."""

    url: str
    receiver: Receiver
    calls: Calls
    exported: Exported


async def serving(emulator: Emulator, exported: Exported) -> AsyncIterator[Hooks]:
    """Run a receiver that is watched."""
    app = web.Application()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    heard: list[Receiver] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        return await aiohttp_handler(heard[0])(request)

    app.router.add_route("*", "/hooks", handle)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    url = f"http://{host}:{port}/hooks"
    receiver = Receiver(
        Keys(emulator.auth_token),
        public_url=url,
        now=lambda: emulator.now.timestamp(),  # noqa: PLW0108 -- another instant each time
        telemetry=exported.telemetry,
    )
    heard.append(receiver)
    calls = Calls(url)
    receiver.listen(calls.apply)
    try:
        yield Hooks(url, receiver, calls, exported)
    finally:
        await runner.cleanup()


@pytest.fixture(params=["the same process", "another process"])
async def hooks(
    request: pytest.FixtureRequest, emulator: Emulator, exported: Exported
) -> AsyncIterator[Hooks]:
    """Run a receiver: with the client's telemetry, or with one that knows nothing of the client."""
    watched = exported if request.param == "the same process" else exported_by()
    async for each in serving(emulator, watched):
        yield each


async def test_every_callback_leads_back_to_its_create(
    connect: Connect, exported: Exported, emulator: Emulator, hooks: Hooks
) -> None:
    """From ringing to hang-up: the call's own events, and those of its conference."""
    async with connect(limit=Unpaced()) as client:
        room = client.conferences("standup")
        view = hooks.calls.within("standup")
        placed = [
            await room.participants.create(
                from_=FROM, to=f"{TO[:-1]}{number}", **view.labelled(f"guest-{number}")
            )
            for number in range(2)
        ]
        for each in placed:
            await hooks.calls.joined(each, timeout=30)
        for each in placed:
            emulator.hang_up(each.call_sid)
            await hooks.calls.completed(each, timeout=30)
        await asyncio.sleep(1)

    creates = {
        (span.attributes or {})["conference_async.call_sid"]: span.context
        for span in exported.named("create participant")
    }
    linked: dict[Any, set[str]] = {each.call_sid: set() for each in placed}
    for span in hooks.exported.spans:
        attributes = dict(span.attributes or {})
        if span.kind is trace.SpanKind.CONSUMER and "conference_async.call_sid" in attributes:
            call_sid = attributes["conference_async.call_sid"]
            (link,) = span.links
            assert link.context.span_id == creates[call_sid].span_id, span.name
            assert link.context.trace_id == creates[call_sid].trace_id
            linked[call_sid].add(span.name)
    steps = {"initiated", "ringing", "answered", "completed", "participant-join"}
    for names in linked.values():
        assert names >= {f"callback {step}" for step in steps}
    ends = [
        (span.attributes or {}).get("conference_async.call_status")
        for span in hooks.exported.named("callback completed")
    ]
    assert ends == ["completed", "completed"]


async def test_listeners_hear_below_the_callback(
    connect: Connect, emulator: Emulator, exported: Exported
) -> None:
    """What an application does about an event is seen under it."""
    async for hooks in serving(emulator, exported):

        def act(_event: Event) -> None:
            exported.tracers.get_tracer("app").start_span("act").end()

        hooks.receiver.listen(act)
        async with connect(limit=Unpaced()) as client:
            await client.conferences("standup").participants.create(
                from_=FROM, to=TO, **hooks.calls.labelled("alice")
            )
            await hooks.calls.joined("alice", timeout=30)

    for acted in exported.named("act"):
        assert acted.parent in [
            span.context for span in exported.spans if span.name.startswith("callback ")
        ]
    assert exported.named("act")


async def test_requests_that_are_refused_are_counted(exported: Exported) -> None:
    """By their status; what nobody signed says nothing of itself."""
    receiver = Receiver(
        Keys("12345"), public_url="https://example.com/hooks", telemetry=exported.telemetry
    )

    async def nothing() -> AsyncIterator[bytes]:
        for part in (b"CallSid=CA" + b"1" * 32 + b"&CallStatus=busy",):
            yield part

    form = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": "forged"}
    for method in ("POST", "PUT"):
        await receiver.receive(method=method, query="traceparent=1", headers=form, body=nothing())

    assert [(span.name, span.links) for span in exported.spans] == [("callback", ())] * 2
    points = exported.points("conference_async.callbacks")
    assert [(point["http.response.status_code"], number) for point, number in points] == [
        (403, 1),
        (405, 1),
    ]


@pytest.mark.parametrize(("carry", "queries"), [(True, 3), (False, 0)])
async def test_own_callbacks_carry_the_context_and_others_do_not(
    *, carry: bool, queries: int, emulator: Emulator
) -> None:
    """A conference's callback URL is that of whoever opened it, so it can carry nothing."""
    telemetry = exported_by(carry=carry).telemetry
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        telemetry=telemetry,
    ) as client:
        await client.conferences("standup").participants.create(
            from_=FROM,
            to=TO,
            label="alice",
            status_callback="http://127.0.0.1:9/hooks?label=alice+b#rp=all&rc=5",
            machine_detection="Enable",
            amd_status_callback="http://127.0.0.1:9/amd",
            record=True,
            recording_status_callback="http://127.0.0.1:9/recordings",
            conference_status_callback="http://127.0.0.1:9/hooks",
        )

    (sent,) = emulator.requests
    form = {name: values[0] for name, values in sent.form.items()}
    assert form["ConferenceStatusCallback"] == "http://127.0.0.1:9/hooks"
    assert form["Label"] == "alice"
    assert sum("traceparent=00-" in value for value in form.values()) == queries
    before, _, after = form["StatusCallback"].partition("?label=alice+b")
    assert before == "http://127.0.0.1:9/hooks"
    assert after.endswith("#rp=all&rc=5")


async def test_a_receiver_goes_on_when_telemetry_raises(
    connect: Connect, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A callback is worth more than its span."""

    class Broken:
        def callback(self) -> Any:
            raise RuntimeError("no spans today")

    heard: list[Event] = []
    exported = exported_by()
    async for hooks in serving(emulator, exported):
        hooks.receiver.listen(heard.append)
        hooks.receiver._telemetry = Broken()
        async with connect(limit=Unpaced()) as client:
            await client.conferences("standup").participants.create(
                from_=FROM, to=TO, **hooks.calls.labelled("alice")
            )
            await hooks.calls.joined("alice", timeout=30)

    assert heard
    assert "no spans today" in caplog.text
