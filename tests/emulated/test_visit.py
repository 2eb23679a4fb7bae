"""A participant for the length of a block: nobody stays on the line by accident."""

import asyncio

import pytest

from conference_async import (
    ConferenceClient,
    ConferenceHandle,
    CreateLimit,
    Credentials,
    InvalidParameter,
    NewParticipant,
    OutcomeUnknown,
    RequestTimeout,
    RetryPolicy,
    ServiceFailed,
)
from conference_async.emulator import Emulator, Fault

pytestmark = pytest.mark.looptime

FROM, TO = "+15017122661", "+15558675310"


class MidwayError(Exception):
    """An error in a block."""


def now() -> float:
    """Return the loop's time, in tenths of a second."""
    return round(asyncio.get_running_loop().time(), 1)


def on_the_line(emulator: Emulator) -> int:
    """Return how many calls are live."""
    return sum(len(room.participants) for room in emulator.conferences)


async def test_hung_up_at_the_end(room: ConferenceHandle, emulator: Emulator) -> None:
    """The block has a handle of the participant, who is gone after it."""
    async with room.participant(from_=FROM, to=TO, label="alice") as alice:
        assert (await alice.mute()).label == "alice"
        assert on_the_line(emulator) == 1

    assert on_the_line(emulator) == 0
    assert emulator.rings(TO) == 1


async def test_a_value_may_be_given(room: ConferenceHandle, emulator: Emulator) -> None:
    """One definition of the request serves both; a wrong one is refused before anything else."""
    async with room.participant(NewParticipant(from_=FROM, to=TO)) as someone:
        assert (await someone.fetch()).call_sid == someone.key
    with pytest.raises(InvalidParameter):
        room.participant(from_=FROM, to="nobody")
    with pytest.raises(TypeError, match="one NewParticipant, or its fields as keywords, not both"):
        room.participant(NewParticipant(from_=FROM, to=TO), label="alice")  # type: ignore[call-overload] # as meant

    assert on_the_line(emulator) == 0


async def test_an_error_of_the_block_passes(room: ConferenceHandle, emulator: Emulator) -> None:
    """It hangs up all the same."""
    with pytest.raises(MidwayError):
        async with room.participant(from_=FROM, to=TO):
            raise MidwayError

    assert on_the_line(emulator) == 0


async def test_a_visitor_may_stay(room: ConferenceHandle, emulator: Emulator) -> None:
    """Then nobody is hung up on, also if the block ends in an error."""
    async with room.participant(from_=FROM, to=TO) as first:
        assert not first.stays
        first.stay()

    async def fail() -> None:
        async with room.participant(from_=FROM, to=TO) as second:
            second.stay()
            raise MidwayError

    with pytest.raises(MidwayError):
        await fail()

    assert on_the_line(emulator) == 2


async def test_cancelled_in_the_block(room: ConferenceHandle, emulator: Emulator) -> None:
    """The hanging up is brought to its end, though cancelled again and again."""
    emulator.latency = 3

    async def _visit() -> None:
        async with room.participant(from_=FROM, to=TO):
            await asyncio.sleep(60)

    visit = asyncio.create_task(_visit())
    for at in (10, 11, 12):
        await asyncio.sleep(at - asyncio.get_running_loop().time())
        visit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visit

    assert now() == 13
    assert on_the_line(emulator) == 0


async def test_cancelled_while_hanging_up(room: ConferenceHandle, emulator: Emulator) -> None:
    """The cancellation is not lost: it is raised once the phone is down."""
    emulator.latency = 3
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(4), room.participant(from_=FROM, to=TO):
            pass

    assert now() == 6
    assert on_the_line(emulator) == 0


async def test_who_has_left_is_no_error(room: ConferenceHandle, emulator: Emulator) -> None:
    """Neither one who hung up, nor one whose conference is over."""
    async with room.participant(from_=FROM, to=TO) as someone:
        emulator.hang_up(someone.key)


async def test_a_new_conference_of_the_name(room: ConferenceHandle, emulator: Emulator) -> None:
    """The participant is looked for where they were, not in the next conference of that name."""
    async with room.participant(from_=FROM, to=TO, label="alice") as alice:
        emulator.hang_up(alice.key)
        await room.participants.create(from_=FROM, to=TO, label="alice")

    assert [call.label for call in emulator.participants("standup")] == ["alice"]


async def test_hanging_up_takes_too_long(room: ConferenceHandle, emulator: Emulator) -> None:
    """After ten seconds it is given up, and the error says who may still be on the line."""
    emulator.faults.add(Fault.STALL_BEFORE, on="delete", times=None)

    with pytest.raises(RequestTimeout, match=r"^CA\w+ may still be on the line"):
        async with room.participant(from_=FROM, to=TO):
            pass

    assert now() == 10


async def test_hanging_up_fails(client: ConferenceClient, emulator: Emulator) -> None:
    """The service's error is raised, and the library's own time-outs stay what they are."""
    emulator.faults.add(Fault.FAIL_500, on="delete", times=1)
    once = client.with_options(retry=RetryPolicy(attempts=1))
    with pytest.raises(ServiceFailed):
        async with once.conferences("standup").participant(from_=FROM, to=TO):
            pass

    emulator.faults.add(Fault.STALL_BEFORE, on="delete", times=1)
    hasty = client.with_options(timeout=2, retry=RetryPolicy(attempts=1))
    with pytest.raises(RequestTimeout, match="no answer within 2 s"):
        async with hasty.conferences("standup").participant(from_=FROM, to=TO):
            pass


async def test_an_error_of_the_block_is_not_hidden(
    client: ConferenceClient, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """If hanging up fails after an error, it is logged, and the error is the block's."""
    emulator.faults.add(Fault.FAIL_500, on="delete")
    once = client.with_options(retry=RetryPolicy(attempts=1))
    with pytest.raises(MidwayError):
        async with once.conferences("standup").participant(from_=FROM, to=TO):
            raise MidwayError

    assert "hanging up failed" in caplog.text


async def test_cancelled_while_waiting_to_be_sent(emulator: Emulator) -> None:
    """Nothing was sent, and nothing is looked for."""
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=CreateLimit(0.1),
    ) as client:
        room = client.conferences("standup")
        await room.participants.create(from_=FROM, to=TO)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3), room.participant(from_=FROM, to=TO):
                pytest.fail("nobody was placed")

    assert now() == 3
    assert len(emulator.requests) == 1


async def test_cancelled_in_flight(room: ConferenceHandle, emulator: Emulator) -> None:
    """A call that the create may have placed is looked for by label, and hung up."""
    emulator.faults.add(Fault.DELAY, seconds=20)
    emulator.visibility_lag = 3
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(1), room.participant(from_=FROM, to=TO):
            pytest.fail("nobody was placed")

    assert OutcomeUnknown.behind(caught.value)
    assert emulator.rings(TO) == 1
    assert on_the_line(emulator) == 0
    assert now() < 11


@pytest.mark.parametrize(("stalled", "until"), [("create", 8.5), (None, 11)])
async def test_cancelled_in_flight_and_not_placed(
    stalled: str | None, until: float, room: ConferenceHandle, emulator: Emulator
) -> None:
    """The search ends: once nothing was found often enough, or after ten seconds."""
    emulator.faults.add(Fault.STALL_BEFORE, on=stalled, times=None)

    async def _visit() -> None:
        async with room.participant(from_=FROM, to=TO):
            pytest.fail("nobody was placed")

    visit = asyncio.create_task(_visit())
    await asyncio.sleep(1)
    visit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visit

    assert now() == until


async def test_cancelled_in_flight_beside_a_namesake(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """Somebody who had the label before is not hung up on."""
    await room.participants.create(from_=FROM, to="+15558675311", label="alice")
    await asyncio.sleep(60)
    emulator.faults.add(Fault.STALL_BEFORE)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1), room.participant(from_=FROM, to=TO, label="alice"):
            pytest.fail("nobody was placed")

    assert on_the_line(emulator) == 1


async def test_cancelled_in_flight_without_a_label(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """There is nothing to look for, so the cancellation is raised at once."""
    emulator.faults.add(Fault.STALL_BEFORE)
    room = client.with_options(mint_labels=False).conferences("standup")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1), room.participant(from_=FROM, to=TO):
            pytest.fail("nobody was placed")

    assert now() == 1
