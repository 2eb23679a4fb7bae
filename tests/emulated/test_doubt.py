"""A create is in doubt or not by the point at which it stopped."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from conference_async import (
    AttemptEvent,
    ConferenceClient,
    ConfigurationError,
    CreateLimit,
    Credentials,
    DeadlineExceeded,
    InvalidParameter,
    LabelInUse,
    OutcomeUnknown,
    PersonalData,
    RetryPolicy,
)
from conference_async.emulator import Emulator, Fault

FROM = "+15017122661"
TO = "+15558675310"

pytestmark = pytest.mark.looptime


async def test_a_label_of_the_callers_finds_an_unanswered_create_too(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """It was placed after the create began, so it is the caller's own."""
    emulator.faults.add(Fault.PLACE_THEN_500)
    room = client.conferences("standup")

    created = await room.participants.create(from_=FROM, to=TO, label="alice")

    assert (created.label, created.reconciled) == ("alice", True)
    assert emulator.rings(TO) == 1


async def test_who_came_while_a_create_stood_in_line_is_not_taken_for_it(
    emulator: Emulator,
) -> None:
    """Only what was placed since it was sent can be its own; this one never rang."""
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=CreateLimit(1),
    ) as client:
        participants = client.conferences("standup").participants
        others = [
            asyncio.ensure_future(
                participants.create(from_=FROM, to=f"+1555867{n:04}", label=label)
            )
            for n, label in enumerate(["alice", "b", "c", "d", "e"])
        ]
        namesake = asyncio.ensure_future(participants.create(from_=FROM, to=TO, label="alice"))
        await asyncio.wait(others)
        emulator.faults.add(Fault.FAIL_500, on="create")

        with pytest.raises(LabelInUse):
            await namesake

    assert emulator.rings(TO) == 0


async def test_an_early_attempt_of_ours_is_found_after_a_later_one(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """A call placed by the first attempt in doubt is ours, although a later one was sent since."""
    emulator.faults.add(Fault.PLACE_THEN_500)
    emulator.faults.add(Fault.INVISIBLE, seconds=20)
    emulator.faults.add(Fault.FAIL_503, on="calls.list", times=2)
    policy = RetryPolicy(lookups=2, base=8, settled=0)
    view = client.with_options(retry_unknown=True, retry=policy)

    placed = await view.conferences("standup").participants.create(from_=FROM, to=TO, label="alice")

    assert placed.reconciled
    assert emulator.count("create") == 2
    assert emulator.rings(TO) == 1


async def test_a_bystander_is_not_found_when_an_unknown_outcome_is_asked_later(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """A participant who had the label before, or long after, was not called by that create."""
    room = client.conferences("standup")
    emulator.faults.add(Fault.FAIL_500)
    with pytest.raises(OutcomeUnknown) as caught:
        await room.participants.create(from_=FROM, to=TO, label="alice")
    unknown = caught.value
    assert unknown.sent_at is not None
    await room.participants.create(from_=FROM, to="+15558675311", label="alice")

    long_ago = unknown.sent_at - timedelta(minutes=6)
    too_late = await client.find_placed("standup", "alice", sent_at=long_ago)
    with pytest.raises(LabelInUse, match="was in the conference before"):
        await client.find_placed(
            "standup", "alice", sent_at=datetime.now(UTC) + timedelta(seconds=30)
        )

    assert too_late is None
    assert await client.find_placed("standup", "alice") is not None
    with pytest.raises(InvalidParameter, match="time zone"):
        await client.find_placed("standup", "alice", sent_at=datetime(2026, 1, 1))  # noqa: DTZ001 -- wrong on purpose
    with pytest.raises(InvalidParameter, match="ended_at: must be a datetime with a time zone"):
        await client.find_placed("standup", "alice", ended_at=long_ago.isoformat())  # type: ignore[arg-type]  # wrong on purpose


async def test_what_stops_a_repeat_leaves_the_first_attempt_in_doubt(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """An exception of the caller's before the second attempt does not hide the first."""
    emulator.faults.add(Fault.FAIL_500)
    emulator.faults.add(Fault.FAIL_503, on="calls.list", times=None)

    async def only_once(_label: str | None, attempt: int) -> None:
        if attempt > 1:
            raise OSError("the disk is full")

    view = client.with_options(retry_unknown=True, before_send=only_once)
    with pytest.raises(OutcomeUnknown, match="OSError: the disk is full") as caught:
        await view.conferences("standup").participants.create(from_=FROM, to=TO)

    assert isinstance(caught.value.__cause__, OSError)
    assert emulator.count("create") == 1


async def test_an_unknown_outcome_quotes_the_request_that_was_answered(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The service's support can look it up; where no answer came there is nothing to quote."""
    events: list[AttemptEvent] = []
    participants = client.with_options(on_attempt=events.append).conferences("standup").participants
    emulator.faults.add(Fault.FAIL_500)
    with pytest.raises(OutcomeUnknown) as answered:
        await participants.create(from_=FROM, to=TO)
    emulator.faults.add(Fault.RESET_BEFORE)
    with pytest.raises(OutcomeUnknown) as silent:
        await participants.create(from_=FROM, to=TO)

    assert answered.value.request_id == events[0].request_id
    assert str(answered.value.request_id).startswith("RQ")
    assert silent.value.request_id is None


async def test_a_second_attempt_is_not_judged_by_the_line_any_more(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """It keeps its place, and goes on while the deadline allows."""
    emulator.faults.add(Fault.TOO_MANY, retry_after=3)
    begun = asyncio.get_running_loop().time()
    room = client.with_options(deadline=10).conferences("standup")

    await room.participants.create(from_=FROM, to=TO)

    assert asyncio.get_running_loop().time() - begun == pytest.approx(3, abs=1e-3)
    assert emulator.rings(TO) == 1


async def test_a_time_out_of_the_callers_own_is_not_taken_for_the_deadline(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """An error of `before_send` comes out as it is, and nothing is sent."""

    async def locked(_label: str | None, _attempt: int) -> None:
        raise TimeoutError("the file is locked")

    view = client.with_options(deadline=60, before_send=locked)
    with pytest.raises(TimeoutError, match="the file is locked") as caught:
        await view.conferences("standup").participants.create(from_=FROM, to=TO)

    assert not isinstance(caught.value, DeadlineExceeded)
    assert emulator.count() == 0


@pytest.mark.parametrize("error", [TimeoutError, asyncio.CancelledError])
async def test_a_slot_that_before_send_did_not_use_serves_the_next(
    emulator: Emulator, error: type[BaseException]
) -> None:
    """A create that stops there counts for nothing: the next ones leave at once, and evenly."""

    async def fail(_label: str | None, _attempt: int) -> None:
        raise error

    left: list[AttemptEvent] = []
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=CreateLimit(1),
        on_attempt=left.append,
    ) as client:
        failing = client.with_options(before_send=fail).conferences("standup")
        for _ in range(3):
            with pytest.raises(error):
                await failing.participants.create(from_=FROM, to=TO)
        begun = asyncio.get_running_loop().time()
        for _ in range(2):
            await client.conferences("standup").participants.create(from_=FROM, to=TO)

    assert [event.sent_at - begun for event in left] == pytest.approx([0, 1], abs=1e-3)


async def test_cancelled_while_it_connects_nothing_is_in_doubt() -> None:
    """A handshake that hangs has sent nothing, so the slot goes to the next."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    limit = CreateLimit(1)
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with ConferenceClient(
            Credentials("AC" + "1" * 32, "token"), base_url=f"https://127.0.0.1:{port}", limit=limit
        ) as client:
            room = client.conferences("standup")
            task = asyncio.ensure_future(room.participants.create(from_=FROM, to=TO))
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task

    assert OutcomeUnknown.behind(caught.value) is None
    assert limit.snapshot().next_start == 0


async def test_a_client_that_is_closed_meanwhile_sends_nothing(emulator: Emulator) -> None:
    """A create in line raises, and its slot is somebody else's."""
    limit = CreateLimit(1)
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=limit,
    ) as client:
        room = client.conferences("standup")
        tasks = [
            asyncio.ensure_future(room.participants.create(from_=FROM, to=TO)) for _ in range(2)
        ]
        await asyncio.sleep(0.5)

    await tasks[0]
    with pytest.raises(ConfigurationError, match="closed"):
        await tasks[1]
    assert emulator.count("create") == 1
    assert limit.snapshot().next_start == pytest.approx(0, abs=1e-6)


async def test_who_is_in_flight_when_the_client_is_closed_is_told_at_once(
    emulator: Emulator,
) -> None:
    """The outcome is unknown, and a closed client cannot find out more."""
    emulator.latency = 5
    loop = asyncio.get_running_loop()
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=CreateLimit(1),
    ) as client:
        create = client.conferences("standup").participants.create(from_=FROM, to=TO)
        task = asyncio.ensure_future(create)
        await asyncio.sleep(1)

    with pytest.raises(OutcomeUnknown):
        await task
    assert loop.time() == pytest.approx(1, abs=1e-3)
    assert emulator.rings(TO) == 1


async def test_a_deadline_that_has_come_sends_nothing(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Not even if `before_send` brings its writing to an end instead of being cancelled."""

    async def determined(_label: str | None, _attempt: int) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    view = client.with_options(deadline=0.1, before_send=determined)
    with pytest.raises(DeadlineExceeded, match=r"deadline of 0\.1 s"):
        await view.conferences("standup").participants.create(from_=FROM, to=TO)

    assert emulator.count() == 0
    await client.conferences("standup").participants.create(from_=FROM, to=TO)


async def test_a_pause_before_a_repeat_ends_with_the_deadline(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """However long the policy would have it wait, the deadline is for the whole call."""
    loop, policy = asyncio.get_running_loop(), RetryPolicy(base=30, maximum=30, lookups=1)
    view = client.with_options(deadline=1, retry=policy, retry_unknown=True)
    for _ in range(5):
        emulator.faults.add(Fault.FAIL_500, times=4)
        begun = loop.time()
        with pytest.raises(OutcomeUnknown):
            await view.conferences("standup").participants.create(from_=FROM, to=TO)
        assert loop.time() - begun <= 1.001
        emulator.faults.clear()


async def test_a_number_in_a_label_is_not_logged(
    client: ConferenceClient, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A label should hold none, but one that does is warned of and no excuse to write it down."""
    caplog.set_level("DEBUG", logger="conference_async")
    emulator.faults.add(Fault.FAIL_500, times=20, on="conferences.list")
    emulator.faults.add(Fault.FAIL_500)

    with pytest.warns(PersonalData), pytest.raises(OutcomeUnknown) as caught:
        await client.conferences("standup").participants.create(from_=FROM, to=TO, label=TO)

    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert warnings == [str(caught.value)]
    assert "looking for label ***5310 failed" in caplog.text
    assert TO not in caplog.text


async def test_attempts_are_logged_for_who_reads_debug(
    client: ConferenceClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a callback too, and without the number that was dialled."""
    caplog.set_level("DEBUG", logger="conference_async")

    await client.conferences("standup").participants.create(from_=FROM, to=TO)

    assert "AttemptEvent(kind='create', number=1" in caplog.text
    assert TO not in caplog.text
