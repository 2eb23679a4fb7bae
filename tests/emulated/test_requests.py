"""Requests that are safe to repeat: repeated while that can help, then one clear error."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from conference_async import (
    AttemptEvent,
    AttemptOutcome,
    ConferenceClient,
    ConferenceError,
    ConferenceHandle,
    ConferenceNotFound,
    ConnectionFailed,
    Credentials,
    NotAuthorized,
    OutcomeUnknown,
    ParticipantNotFound,
    RequestRefused,
    RequestTimeout,
    RetryPolicy,
    ServiceFailed,
    TooManyRequests,
    UnexpectedReply,
    Unpaced,
)
from conference_async.emulator import Emulator, Fault
from tests.emulated.conftest import Handler, Serve

FROM = "+15017122661"
TO = "+15558675310"
NO_DELAY = RetryPolicy(base=0)
OPERATIONS = ["fetch", "list", "update", "delete"]

pytestmark = pytest.mark.looptime


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


async def run(room: ConferenceHandle, kind: str) -> object:
    """Run one operation on the participant of `room`."""
    alice = room.participants("alice")
    match kind:
        case "fetch":
            return await alice.fetch()
        case "list":
            return await room.participants.list()
        case "update":
            return await alice.mute()
        case "create":
            return await room.participants.create(from_=FROM, to=TO)
        case _:
            await alice.delete()
            return None


async def opened(client: ConferenceClient) -> str:
    """Return the SID of a new conference with one participant, alice."""
    room = client.with_options(on_attempt=None).conferences("standup")
    created = await room.participants.create(from_=FROM, to=TO, label="alice")
    assert created.conference_sid
    return created.conference_sid


@pytest.fixture
async def events(client: ConferenceClient) -> AsyncIterator[list[AttemptEvent]]:
    """Return what `on_attempt` of `client` is told from now on."""
    told: list[AttemptEvent] = []
    view = client.with_options(on_attempt=told.append, retry=NO_DELAY, timeout=10)
    vars(client).update(vars(view))
    yield told
    assert TO not in str(told)


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize(
    "fault",
    [
        Fault.RESET_BEFORE,
        Fault.RESET_AFTER,
        Fault.FAIL_500,
        Fault.PLACE_THEN_500,
        Fault.FAIL_503,
        Fault.TOO_MANY,
        Fault.STALL,
        Fault.STALL_BEFORE,
    ],
)
async def test_what_is_safe_to_repeat_is_repeated(
    fault: Fault, kind: str, client: ConferenceClient, emulator: Emulator
) -> None:
    """One failure of any kind costs one more request, and nothing else."""
    sid = await opened(client)
    emulator.faults.add(fault, on=kind)

    await run(client.conferences(sid), kind)

    assert emulator.count(kind) == 2
    assert emulator.rings(TO) == 1


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Fault.FAIL_500, ServiceFailed, "answered 500, error 20500: Internal Server Error"),
        (Fault.FAIL_503, ServiceFailed, "answered 503"),
        (Fault.TOO_MANY, TooManyRequests, "nothing was processed"),
        (Fault.STALL_BEFORE, RequestTimeout, "no answer within 10 s"),
        (Fault.RESET_BEFORE, UnexpectedReply, "connection broke before a whole reply came"),
    ],
)
async def test_what_does_not_get_better_ends_in_one_error(
    fault: Fault,
    error: type[ConferenceError],
    says: str,
    kind: str,
    client: ConferenceClient,
    emulator: Emulator,
    events: list[AttemptEvent],
) -> None:
    """After four attempts the caller hears what the last one met."""
    sid = await opened(client)
    emulator.faults.add(fault, on=kind, times=None)

    with pytest.raises(error, match=says) as caught:
        await run(client.conferences(sid), kind)

    assert [event.verdict for event in events] == ["retry"] * 3 + ["raise"]
    assert [event.number for event in events] == [1, 2, 3, 4]
    assert {event.kind for event in events} == {kind}
    assert type(caught.value) is error


async def test_a_failure_of_the_service_keeps_what_it_said(
    client: ConferenceClient, emulator: Emulator, events: list[AttemptEvent]
) -> None:
    """Status, code and the request id to quote."""
    sid = await opened(client)
    emulator.faults.add(Fault.FAIL_503, on="fetch", times=None)

    with pytest.raises(ServiceFailed) as caught:
        await client.conferences(sid).participants("alice").fetch()

    assert (caught.value.status, caught.value.code) == (503, 20503)
    assert caught.value.request_id == events[-1].request_id
    assert str(caught.value.request_id).startswith("RQ")


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("fault", [Fault.HTML_200, Fault.EMPTY_200, Fault.REDIRECT])
async def test_a_reply_that_the_api_never_gives_is_not_asked_for_again(
    fault: Fault, kind: str, client: ConferenceClient, emulator: Emulator
) -> None:
    """HTML, nothing, or a redirect: something else answers, and the error says where to look."""
    sid = await opened(client)
    emulator.faults.add(fault, on=kind, times=None)

    with pytest.raises(UnexpectedReply, match=r"base URL|base_url") as caught:
        await run(client.conferences(sid), kind)

    assert emulator.count(kind) == 1
    assert caught.value.status == (302 if fault is Fault.REDIRECT else 200)
    assert str(caught.value.request_id).startswith("RQ")


async def test_a_time_out_holds_to_the_instant(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Of the client or of a view; four attempts of 2.5 s are 10 s."""
    sid = await opened(client)
    emulator.faults.add(Fault.STALL, on="fetch", times=None)
    view = client.with_options(timeout=2.5, retry=NO_DELAY)
    begun = now()

    with pytest.raises(RequestTimeout) as caught:
        await view.conferences(sid).participants("alice").fetch()

    assert now() - begun == pytest.approx(10, abs=1e-3)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value.__cause__, TimeoutError)


async def test_a_time_out_of_one_request_slows_nobody_else(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """A fetch without an answer was sent: it is no sign that nothing can be."""
    sid = await opened(client)
    emulator.faults.add(Fault.STALL, on="fetch", times=None)
    stalled = asyncio.create_task(
        client.with_options(timeout=5, retry=RetryPolicy(attempts=1))
        .conferences(sid)
        .participants("alice")
        .fetch()
    )
    with pytest.raises(RequestTimeout):
        await stalled
    begun = now()

    await client.conferences(sid).participants.list()

    assert now() == begun
    assert client._sender.congestion.places == 50


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.FAIL_500])
async def test_a_deadline_covers_attempts_and_pauses(
    fault: Fault, client: ConferenceClient, emulator: Emulator
) -> None:
    """It holds in flight and between attempts, and says that repeating is safe."""
    sid = await opened(client)
    emulator.faults.add(fault, on="fetch", times=None)
    view = client.with_options(
        deadline=12, timeout=5, retry=RetryPolicy(attempts=1000, base=1000, maximum=1000)
    )
    begun = now()

    with pytest.raises(RequestTimeout, match=r"deadline of 12 s, after . whole attempts"):
        await view.conferences(sid).participants("alice").fetch()

    assert now() - begun == pytest.approx(12, abs=1e-3)


async def test_an_attempt_without_an_answer_is_not_taken_for_the_deadline(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """What ended is said: here the time of the one attempt, long before the deadline."""
    sid = await opened(client)
    emulator.faults.add(Fault.STALL, on="fetch", times=None)
    view = client.with_options(deadline=60, timeout=5, retry=RetryPolicy(attempts=1))

    with pytest.raises(RequestTimeout, match="no answer within 5 s"):
        await view.conferences(sid).participants("alice").fetch()


async def test_a_pause_that_goes_beyond_the_deadline_is_not_begun(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """A pause too long for the deadline is refused at once."""
    sid = await opened(client)
    emulator.faults.add(Fault.TOO_MANY, on="fetch", times=None, retry_after=20)
    begun = now()

    with pytest.raises(TooManyRequests):
        await client.with_options(deadline=10).conferences(sid).participants("alice").fetch()

    assert now() == begun
    assert emulator.count("fetch") == 1


async def test_a_dead_port_ends_in_one_error(
    client: ConferenceClient, emulator: Emulator, events: list[AttemptEvent]
) -> None:
    """Nothing was sent, after attempts with growing pauses, and the cause is chained."""
    sid = await opened(client)
    await emulator.stop_listening()

    with pytest.raises(ConnectionFailed, match="no connection could be made") as caught:
        await client.conferences(sid).participants("alice").fetch()

    assert [event.outcome for event in events] == [AttemptOutcome.NOT_LEFT] * 4
    assert [event.status for event in events] == [None] * 4
    assert isinstance(caught.value.__cause__, OSError)
    await emulator.start_listening()
    await client.conferences(sid).participants("alice").fetch()


@pytest.mark.parametrize("kind", ["fetch", "list", "update", "delete", "create"])
async def test_wrong_credentials_end_in_one_error(
    kind: str, client: ConferenceClient, emulator: Emulator
) -> None:
    """Without a second attempt, and without the token in the text."""
    sid = await opened(client)
    async with ConferenceClient(
        Credentials(emulator.account_sid, "wrong-token"),
        base_url=emulator.base_url,
        limit=Unpaced(),
    ) as stranger:
        room = stranger.conferences(sid)
        before = emulator.count(kind)

        with pytest.raises(NotAuthorized, match="20003: Authenticate; check the account") as caught:
            await run(room, kind)

    assert caught.value.status == 401
    assert "wrong-token" not in f"{caught.value!r} {vars(caught.value)}"
    assert emulator.count(kind) == before + 1
    assert emulator.rings(TO) == 1


async def test_an_outage_meets_no_storm_of_retries(
    client: ConferenceClient, emulator: Emulator, events: list[AttemptEvent]
) -> None:
    """Retries are paid for by successes: a hundred failing calls make ten retries in all."""
    sid = await opened(client)
    emulator.faults.add(Fault.FAIL_503, on="fetch", times=None)
    alice = client.conferences(sid).participants("alice")

    for _ in range(100):
        with pytest.raises(ServiceFailed):
            await alice.fetch()

    assert emulator.count("fetch") == 110
    emulator.faults.clear()
    for _ in range(20):
        await alice.fetch()
    emulator.faults.add(Fault.FAIL_503, on="fetch")
    await alice.fetch()


async def test_a_date_is_a_retry_after_too(serve: Any) -> None:
    """Counted from the service's own clock; what cannot be read is no wish at all."""
    answers = iter(
        [
            ("Thu, 22 Nov 2029 10:00:00 GMT", "Thu, 22 Nov 2029 10:00:07 GMT"),
            ("Thu, 22 Nov 2029 10:00:00 GMT", "Thu, 22 Nov 2029 09:00:00 GMT"),
            ("Thu, 22 Nov 2029 10:00:00 GMT", "soon"),
            ("the day before yesterday", "Thu, 22 Nov 2029 10:00:07 GMT"),
            ("Thu, 22 Nov 2029 10:00:00 GMT", "Thu, 22 Nov 2029 10:00:03"),
            ("Thu, 22 Nov 2029 10:00:00 GMT", f"Thu, 22 Nov {10**20} 10:00:07 GMT"),
        ]
    )

    async def later(_request: web.BaseRequest) -> web.Response:
        for date, retry_after in answers:
            return web.json_response(
                {"code": 20429}, status=429, headers={"Date": date, "Retry-After": retry_after}
            )
        return web.json_response({"participants": [], "next_page_uri": None})

    told: list[float] = []
    client = await serve(
        later,
        retry=RetryPolicy(attempts=7, base=0),
        on_attempt=lambda event: told.append(event.sent_at),
    )
    begun = now()

    await client.conferences("CF" + "1" * 32).participants.list()

    assert [sent - begun for sent in told] == pytest.approx([0, 7, 7, 7, 7, 10, 10], abs=1e-3)


def failing_once(status: int, retry_after: str) -> Handler:
    """Return a server that is away at first, says when to come back, and then knows nobody."""
    away = [web.Response(status=status, headers={"Retry-After": retry_after})]

    async def handle(request: web.BaseRequest) -> web.Response:
        if "/Participants/" in request.path:
            return web.json_response({"code": 20404}, status=404)
        if "/Participants" in request.path and away:
            return away.pop()
        if request.method == "POST":
            return web.json_response({"call_sid": "CA" + "1" * 32})
        return web.json_response({"participants": [], "next_page_uri": None})  # no call log

    return handle


@pytest.mark.parametrize(
    ("retry_after", "waited"), [("7", 7), ("0", 0), ("2.5", 2.5), ("3600", 30), ("9" * 400, 30)]
)
@pytest.mark.parametrize("status", [429, 500, 503, 408])
async def test_whatever_is_repeated_comes_back_when_the_service_says(
    status: int, retry_after: str, waited: float, serve: Serve
) -> None:
    """Exactly then, or after the longest pause of the policy."""
    told: list[AttemptEvent] = []
    client = await serve(failing_once(status, retry_after), on_attempt=told.append)

    await client.conferences("CF" + "1" * 32).participants.list()

    assert [event.sent_at - told[0].sent_at for event in told] == pytest.approx(
        [0, waited], abs=1e-3
    )


@pytest.mark.parametrize("sid", ["\ud800", "?", "x/y", "é"])
async def test_what_a_reply_gives_for_a_sid_may_be_anything(sid: str, serve: Serve) -> None:
    """It is nobody's, and what asks with it says so."""

    async def odd(request: web.BaseRequest) -> web.Response:
        if request.method == "POST":
            return web.json_response({"call_sid": "CA" + "1" * 32, "conference_sid": sid})
        if request.path.endswith("/Conferences.json"):
            return web.json_response({"conferences": [{"sid": sid, "friendly_name": "standup"}]})
        return web.json_response({"code": 20404}, status=404)

    room = (await serve(odd)).conferences("standup")

    for opened in (False, True):
        with pytest.raises(ConferenceNotFound):
            await room.fetch()
        with pytest.raises(ParticipantNotFound):
            await room.participants("alice").fetch()
        if not opened:
            assert (await room.participants.create(from_=FROM, to=TO)).conference_sid == sid


async def test_what_may_not_come_back_before_its_deadline_ends_at_once(serve: Serve) -> None:
    """Nobody waits for an attempt that will not be made."""
    client = await serve(failing_once(503, "20"), deadline=10)
    begun = now()

    with pytest.raises(ServiceFailed):
        await client.conferences("CF" + "1" * 32).participants.list()

    assert now() == pytest.approx(begun, abs=1e-3)


@pytest.mark.parametrize(("settled", "waited"), [(0, 7), (12, 12)])
async def test_a_create_in_doubt_is_sent_again_when_the_service_says(
    settled: float, waited: float, serve: Serve
) -> None:
    """The time that it takes to look for it counts."""
    told: list[AttemptEvent] = []
    client = await serve(
        failing_once(503, "7"),
        retry=RetryPolicy(lookups=1, settled=settled),
        retry_unknown=True,
        on_attempt=told.append,
    )

    await client.conferences("CF" + "1" * 32).participants.create(from_=FROM, to=TO)

    creates = [event.sent_at for event in told if event.kind == "create"]
    assert [sent - creates[0] for sent in creates] == pytest.approx([0, waited], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Retry-After", "Thu, 22 Nov 2029 10:00:03"),
        ("Retry-After", f"Thu, 22 Nov {10**20} 10:00:07 GMT"),
        ("Retry-After", "9" * 5000),
        ("Twilio-Concurrent-Requests", "9" * 5000),
    ],
)
@pytest.mark.parametrize("status", [201, 503])
async def test_no_header_can_hide_what_became_of_a_create(
    status: int, name: str, value: str, serve: Any
) -> None:
    """A gateway in between may write what it likes: 201 is placed, and 503 may be."""

    async def odd(request: web.BaseRequest) -> web.Response:
        if request.method == "GET":
            return web.json_response({"conferences": []})
        placed = {"status": "queued", "call_sid": "CA" + "1" * 32}
        return web.json_response(placed, status=status, headers={name: value})

    told: list[AttemptEvent] = []
    client = await serve(odd, on_attempt=told.append)
    create = client.conferences("standup").participants.create(from_=FROM, to=TO)

    if status == 201:
        assert (await create).status == "queued"
    else:
        with pytest.raises(OutcomeUnknown):
            await create
    assert told[0].concurrent_requests is None


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, b"", ParticipantNotFound),
        (403, b"<html>Forbidden</html>", NotAuthorized),
        (418, b'{"code": "x"}', RequestRefused),
        (408, b"", RequestRefused),
        (502, b"Bad Gateway", ServiceFailed),
        (200, b"[]", UnexpectedReply),
        (200, b"{", UnexpectedReply),
        (200, b"\xff\xfe", UnexpectedReply),
        (200, b'{"label": "alice"}', UnexpectedReply),
        (304, b"", UnexpectedReply),
        (204, b"", UnexpectedReply),
    ],
)
async def test_whatever_a_server_says_ends_in_one_error_of_the_tree(
    status: int, body: bytes, error: type[ConferenceError], serve: Any
) -> None:
    """No exception of HTTP, JSON or conversion reaches the caller."""

    async def odd(_request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, body=body)

    client = (await serve(odd)).with_options(retry=RetryPolicy(attempts=1))
    alice = client.conferences("CF" + "1" * 32).participants("alice")

    for operation in (alice.fetch, alice.mute):
        with pytest.raises(ConferenceError) as caught:
            await operation()
        assert type(caught.value) is error


async def test_a_look_up_that_finds_a_broken_reply_is_not_the_last(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Reconciliation goes on after a look-up failed, and finds the participant."""
    sid = await opened(client)
    emulator.faults.add(Fault.PLACE_THEN_500)
    emulator.faults.add(Fault.HTML_200, on="fetch")
    emulator.faults.add(Fault.FAIL_500, on="fetch")

    created = await client.conferences(sid).participants.create(from_=FROM, to=TO)

    assert created.reconciled
    assert emulator.count("fetch") == 3


async def test_a_deadline_that_ends_a_look_up_in_flight_leaves_the_outcome_unknown(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The look-up may hang as well as the create."""
    sid = await opened(client)
    emulator.faults.add(Fault.PLACE_THEN_500)
    emulator.faults.add(Fault.STALL, on="fetch", times=None)
    room = client.with_options(deadline=3).conferences(sid)
    begun = now()

    with pytest.raises(OutcomeUnknown):
        await room.participants.create(from_=FROM, to=TO)

    assert now() - begun == pytest.approx(3, abs=1e-3)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("CA" + "1" * 32, {"call_sid": "CA" + "2" * 32}),
        ("alice", {"call_sid": "CA" + "2" * 32, "label": "bob"}),
    ],
)
async def test_a_reply_about_somebody_else_is_no_answer(
    serve: Serve, asked: str, answered: dict[str, Any]
) -> None:
    """A connection that has lost count must not lead to another participant's call."""

    async def another(_: web.BaseRequest) -> web.Response:
        return web.json_response(answered)

    handle = (await serve(another)).conferences("CF" + "1" * 32).participants(asked)
    for question in (handle.fetch(), handle.mute()):
        with pytest.raises(UnexpectedReply, match="is about another participant") as caught:
            await question
        assert caught.value.status == 200


async def test_a_reply_without_a_label_is_an_answer(serve: Serve) -> None:
    """The service may leave it out, and tells upper from lower case or does not."""

    async def alice(request: web.BaseRequest) -> web.Response:
        label = None if request.method == "GET" else "ALICE"
        return web.json_response({"call_sid": "CA" + "2" * 32, "label": label})

    handle = (await serve(alice)).conferences("CF" + "1" * 32).participants("alice")

    assert (await handle.fetch()).call_sid == (await handle.mute()).call_sid
