"""Attempts as `on_attempt` and errors tell of them, and how long an operation goes on trying."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from conference_async import (
    AttemptEvent,
    AttemptOutcome,
    ConferenceClient,
    ConferenceNotFound,
    ConnectionFailed,
    CreateLimit,
    Credentials,
    OutcomeUnknown,
    RetryPolicy,
    Unpaced,
)
from conference_async.emulator import Emulator, Fault

pytestmark = pytest.mark.looptime

Serve = Callable[..., Awaitable[ConferenceClient]]
FROM, TO = "+15017122661", "+15558675310"


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


async def test_an_event_says_where_the_time_went(emulator: Emulator) -> None:
    """In line and waiting for a place, then for the slot, then for the answer."""
    events: list[AttemptEvent] = []
    emulator.latency = 0.5
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=CreateLimit(1),
        max_concurrency=1,
        on_attempt=events.append,
    ) as client:
        participants, begun = client.conferences("standup").participants, now()
        await asyncio.gather(
            *(participants.create(from_=FROM, to=TO, label=label) for label in ("alice", "bob"))
        )

    times = [
        (event.queue_wait, event.pace_wait, event.sent_at - begun, event.duration)
        for event in events
    ]
    assert times == [
        pytest.approx((0, 0, 0, 0.5), abs=1e-3),
        pytest.approx((0.5, 0.5, 1, 0.5), abs=1e-3),
    ]
    assert [(event.kind, event.label, event.number) for event in events] == [
        ("create", "alice", 1),
        ("create", "bob", 1),
    ]
    assert {(event.status, event.verdict, event.reason) for event in events} == {
        (201, "return", "done")
    }


async def test_an_attempt_that_was_cancelled_is_told_of(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """With how long it was under way; what came of it is not known."""
    events: list[AttemptEvent] = []
    emulator.latency = 5.0
    view = client.with_options(on_attempt=events.append)
    create = view.conferences("standup").participants.create(from_=FROM, to=TO)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(create, 2)

    (event,) = events
    assert (event.outcome, event.verdict) == (AttemptOutcome.NO_ANSWER, "cancelled")
    assert event.duration == pytest.approx(2, abs=1e-3)
    assert (event.status, event.reason) == (None, "CancelledError")


async def test_an_attempt_that_broke_is_told_of_with_what_broke_it(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """In the words of whoever noticed."""
    events: list[AttemptEvent] = []
    emulator.faults.add(Fault.RESET_AFTER)

    await (
        client.with_options(on_attempt=events.append)
        .conferences("standup")
        .participants.create(from_=FROM, to=TO)
    )

    assert (events[0].outcome, events[0].verdict) == (AttemptOutcome.NO_ANSWER, "reconcile")
    assert "Error: " in events[0].reason


async def test_creates_that_nobody_answers_fail_soon_and_say_why(emulator: Emulator) -> None:
    """Whoever tried, and whoever waited for what the other met."""
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=CreateLimit(30),
    ) as client:
        await emulator.stop_listening()
        participants, begun = client.conferences("standup").participants, now()
        failures = await asyncio.gather(
            *(participants.create(from_=FROM, to=TO) for _ in range(3)), return_exceptions=True
        )

    assert now() - begun < 4
    for failure in failures:
        assert isinstance(failure, ConnectionFailed)
        assert "no connection could be made (ClientConnectorError: " in str(failure)


@pytest.mark.parametrize("status", [300, 304, 308])
async def test_a_create_that_is_sent_elsewhere_is_in_doubt(serve: Serve, status: int) -> None:
    """Whatever the reply holds: the API does not answer so."""

    async def elsewhere(request: web.BaseRequest) -> web.Response:
        if request.method == "POST":
            return web.Response(status=status, headers={"Location": "/"})
        return web.json_response({"code": 20404}, status=404)

    client = await serve(elsewhere, retry=RetryPolicy(base=0, lookups=1))

    with pytest.raises(OutcomeUnknown, match=str(status)):
        await client.conferences(f"CF{'1' * 32}").participants.create(from_=FROM, to=TO)


async def test_a_failure_inside_the_service_is_in_doubt_whatever_its_status(
    serve: Serve,
) -> None:
    """Error 16030 comes with a 400, and says nothing of how far it got."""
    asked: list[str] = []

    async def failing(request: web.BaseRequest) -> web.Response:
        asked.append(request.method)
        code = 16030 if request.method == "POST" else 20404
        return web.Response(
            status=400 if request.method == "POST" else 404,
            body=json.dumps({"code": code, "message": "No."}).encode(),
        )

    client = await serve(failing, retry=RetryPolicy(base=0, lookups=1))

    with pytest.raises(OutcomeUnknown):
        await client.conferences(f"CF{'1' * 32}").participants.create(from_=FROM, to=TO)
    assert asked[0] == "POST"
    assert asked.count("POST") == 1
    assert "GET" in asked


async def test_a_create_in_a_conference_that_is_gone_says_so(serve: Serve) -> None:
    """A 404 to a create is about the conference: nobody was asked for yet."""

    async def gone(_request: web.BaseRequest) -> web.Response:
        return web.json_response({"code": 20404, "message": "Not here."}, status=404)

    client = await serve(gone)

    with pytest.raises(ConferenceNotFound):
        await client.conferences(f"CF{'1' * 32}").participants.create(from_=FROM, to=TO)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.FAIL_503, r"the service answered 503 \(server error\)"),
        (Fault.EMPTY_200, r"the service answered 200 \(.*it is empty"),
        (Fault.RESET_BEFORE, r"no whole answer came \(\w+Error: "),
    ],
)
async def test_an_unknown_outcome_says_what_came_and_when_it_left(
    client: ConferenceClient, emulator: Emulator, fault: Fault, words: str
) -> None:
    """The instant is what a person looks for in the account's call log."""
    await asyncio.sleep(100)  # instants are not lengths of time
    emulator.latency = 5.0
    emulator.faults.add(fault, on="create")
    hasty = client.with_options(retry=RetryPolicy(attempts=1, lookups=1), deadline=5.5)

    with pytest.raises(OutcomeUnknown, match=words) as unknown:
        await hasty.conferences("standup").participants.create(from_=FROM, to=TO)

    assert unknown.value.sent_at is not None
    since = datetime.now(UTC) - unknown.value.sent_at
    assert timedelta(seconds=4) < since < timedelta(seconds=7)


async def test_a_create_that_was_stopped_in_flight_says_so(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """What is raised goes on, and its cause is what is to be asked."""
    emulator.latency = 5.0
    create = client.conferences("standup").participants.create(from_=FROM, to=TO, label="alice")
    task = asyncio.ensure_future(create)
    await asyncio.sleep(1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError) as cancelled:
        await task

    unknown = OutcomeUnknown.behind(cancelled.value)
    assert unknown is not None
    assert unknown.label == "alice"
    assert "it was stopped in flight (CancelledError)" in str(unknown)


async def test_a_limit_learns_the_queue_time_of_every_create(emulator: Emulator) -> None:
    """Also that there is none, or a slow-down would never end."""
    learnt: list[int] = []

    class Learning(Unpaced):
        def observe(self, queue_time: int) -> None:
            learnt.append(queue_time)

    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=Learning(),
    ) as client:
        for _ in range(3):
            await client.conferences("standup").participants.create(from_=FROM, to=TO)

    assert learnt == pytest.approx([0, 33, 67], abs=2)  # the account has 30 a second
