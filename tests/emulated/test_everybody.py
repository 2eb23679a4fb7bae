"""One verb for everybody: nobody is left out, and what failed is told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from conference_async import (
    ConferenceClient,
    ConferenceHandle,
    ConferenceNotFound,
    Credentials,
    FanOut,
    InvalidParameter,
    NotAllReached,
    PersonalData,
    RequestRefused,
    Unpaced,
)
from conference_async.emulator import Emulator, Fault

pytestmark = pytest.mark.looptime

FROM = "+15017122661"
LABELS = ["alice", "bob", "carol", "dave"]
Gather = Callable[[], Awaitable[None]]
URL = "https://example.com/music.mp3"


@pytest.fixture
def gather(room: ConferenceHandle, emulator: Emulator) -> Gather:
    """Return what brings four people into the room, the last of whom still rings."""

    async def _gather() -> None:
        emulator.answer_after = None
        for number, label in enumerate(LABELS):
            to = f"+1555867530{number}"
            placed = await room.participants.create(from_=FROM, to=to, label=label)
            if label != "dave":
                emulator.answer(placed.call_sid or "")

    return _gather


def state(emulator: Emulator, name: str) -> dict[str | None, bool]:
    """Return one flag of everybody, in truth."""
    return {call.label: getattr(call, name) for call in emulator.participants("standup")}


async def test_mute_and_unmute(room: ConferenceHandle, gather: Gather, emulator: Emulator) -> None:
    """Everybody but those named, by label or Call SID; the report has them as answered."""
    await gather()
    bob = emulator.participants("standup")[1].sid
    done = await room.participants.mute_all(except_=["alice", bob])

    assert state(emulator, "muted") == dict(zip(LABELS, [False, False, True, True], strict=True))
    assert [(one.label, one.muted) for one in done.succeeded] == [("carol", True), ("dave", True)]
    assert (done.failed, done.gone) == ((), ())

    await room.participants.unmute_all(except_="carol")
    assert [label for label, muted in state(emulator, "muted").items() if muted] == ["carol"]


async def test_hold_and_unhold(room: ConferenceHandle, gather: Gather, emulator: Emulator) -> None:
    """With the music given."""
    await gather()
    await room.participants.hold_all(URL, method="GET", except_="alice")
    assert [label for label, hold in state(emulator, "hold").items() if not hold] == ["alice"]
    assert emulator.requests[-1].form["HoldMethod"] == ["GET"]

    await room.participants.unhold_all()
    assert not any(state(emulator, "hold").values())


async def test_announce(room: ConferenceHandle, gather: Gather, emulator: Emulator) -> None:
    """One request each, with the URL."""
    await gather()
    done = await room.participants.announce_all(URL, method="GET", except_="bob")

    assert {one.label for one in done.succeeded} == {"alice", "carol", "dave"}
    sent = [request.form for request in emulator.requests if request.kind == "update"]
    assert sent == [{"AnnounceUrl": [URL], "AnnounceMethod": ["GET"]}] * 3


async def test_remove(room: ConferenceHandle, gather: Gather, emulator: Emulator) -> None:
    """Everybody else is hung up on, and reported as listed."""
    await gather()
    done = await room.participants.remove_all(except_="alice")

    assert [call.label for call in emulator.participants("standup")] == ["alice"]
    assert [one.label for one in done.succeeded] == ["bob", "carol", "dave"]


async def test_partial_failure(room: ConferenceHandle, gather: Gather, emulator: Emulator) -> None:
    """One refusal keeps nobody else from it, and is reported with its participant."""
    await gather()
    emulator.faults.add(Fault.LABEL_CLASH, on="update", after=1)

    done = await room.participants.mute_all()

    assert len(done.succeeded) == 3
    [failed] = done.failed
    assert isinstance(failed.error, RequestRefused)
    assert state(emulator, "muted")[failed.participant.label] is False


@pytest.mark.parametrize("verb", ["mute_all", "remove_all"])
async def test_who_left_meanwhile_is_gone(
    verb: str, room: ConferenceHandle, gather: Gather, emulator: Emulator
) -> None:
    """That is no failure; and neither is the end of the whole conference."""
    await gather()
    emulator.latency = 1
    run: Callable[[], Awaitable[FanOut]] = getattr(room.participants, verb)
    going = asyncio.ensure_future(run())
    await asyncio.sleep(0.5)  # everybody is listed, and nobody was spoken to yet
    for call in emulator.participants("standup"):
        emulator.hang_up(call.sid)
    done = await going

    assert (done.succeeded, done.failed) == ((), ())
    assert [one.label for one in done.gone] == LABELS


async def test_concurrency_is_the_clients(
    room: ConferenceHandle, gather: Gather, emulator: Emulator
) -> None:
    """No more requests at once than the client allows: four take two seconds in pairs."""
    await gather()
    emulator.latency = 1
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=Unpaced(),
        max_concurrency=2,
    ) as client:
        loop = asyncio.get_running_loop()
        room = client.conferences(await room.resolve())
        begun = loop.time()
        await room.participants.mute_all()

    assert loop.time() - begun == pytest.approx(1 + 2, abs=0.1)


@pytest.mark.parametrize("name", ["", "a/b", None])
async def test_a_name_of_nobody_is_refused(
    name: Any, room: ConferenceHandle, gather: Gather, emulator: Emulator
) -> None:
    """Each must be a Call SID or a label; nothing is done before that is clear."""
    await gather()
    with pytest.raises(InvalidParameter):
        await room.participants.remove_all(except_=[name])

    assert len(emulator.participants("standup")) == 4


async def test_a_wrong_value_is_refused_before_anything_is_sent(
    room: ConferenceHandle, gather: Gather, emulator: Emulator
) -> None:
    """Once, and not as the failure of each participant."""
    await gather()
    sent = emulator.count()
    wrong: Any = 5
    with pytest.raises(InvalidParameter, match="announce_url"):
        await room.participants.announce_all("example.com/music.mp3")
    with pytest.raises(InvalidParameter, match="hold_method"):
        await room.participants.hold_all(URL, method=wrong)
    with pytest.raises(InvalidParameter, match="except_: must be a Call SID or label"):
        await room.participants.remove_all(except_=wrong)

    assert emulator.count() == sent


async def test_a_name_that_nobody_carries_is_told(
    room: ConferenceHandle, gather: Gather, emulator: Emulator
) -> None:
    """A typing mistake in what is spared is in the report, beside what was done."""
    await gather()
    bob = emulator.participants("standup")[1].sid
    done = await room.participants.mute_all(except_=["alcie", bob, "carol", "CA" + "0" * 32])

    assert done.not_found == ("CA" + "0" * 32, "alcie")
    assert [one.label for one in done.succeeded] == ["alice", "dave"]
    assert (await room.participants.unmute_all()).not_found == ()


async def test_raise_if_failed(room: ConferenceHandle, gather: Gather, emulator: Emulator) -> None:
    """One line turns failures into an error that has them all; without any it is the report."""
    await gather()
    done = await room.participants.mute_all()
    assert done.raise_if_failed() is done

    emulator.faults.add(Fault.LABEL_CLASH, on="update", times=2)
    failed = await room.participants.unmute_all()
    with pytest.raises(NotAllReached, match=r"^2 of 4 participants were not reached") as caught:
        failed.raise_if_failed()
    assert caught.value.errors == tuple(each.error for each in failed.failed)
    assert caught.value.__cause__ is failed.failed[0].error


async def test_no_conference(room: ConferenceHandle) -> None:
    """A conference that cannot be listed is the error."""
    with pytest.raises(ConferenceNotFound):
        await room.participants.mute_all()


async def test_cancelled(room: ConferenceHandle, gather: Gather, emulator: Emulator) -> None:
    """It stops at once: nothing more is sent."""
    await gather()
    emulator.latency = 1
    await room.resolve()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await room.participants.mute_all()
    sent = len(emulator.requests)
    await asyncio.sleep(5)

    assert len(emulator.requests) == sent


async def test_nothing_private_is_shown(
    room: ConferenceHandle, gather: Gather, emulator: Emulator
) -> None:
    """The report shows no number, and none from an error."""
    await gather()
    with pytest.warns(PersonalData):
        await room.participants.create(from_=FROM, to="+15558675310", label="+1 555 867 5310")
    emulator.faults.add(Fault.LABEL_CLASH, on="update", times=2)

    shown = repr(await room.participants.mute_all())

    assert "***5310" in shown
    assert "1555867" not in shown
