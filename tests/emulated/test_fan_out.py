"""One verb for everybody: nobody is left out, and what failed is told."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from conference_async import (
    ConferenceClient,
    ConferenceHandle,
    ConferenceNotFound,
    Credentials,
    FanOut,
    InvalidParameter,
    RequestRefused,
    Unpaced,
)
from conference_async.emulator import Emulator, Fault

pytestmark = pytest.mark.looptime

FROM = "+15017122661"
LABELS = ["alice", "bob", "carol", "dave"]
URL = "https://example.com/music.mp3"


@pytest.fixture
async def standup(room: ConferenceHandle, emulator: Emulator) -> ConferenceHandle:
    """Return a conference of four, one of whom still rings."""
    emulator.answer_after = None
    for number, label in enumerate(LABELS):
        placed = await room.participants.create(from_=FROM, to=f"+1555867530{number}", label=label)
        if label != "dave":
            emulator.answer(placed.call_sid or "")
    return room


def state(emulator: Emulator, name: str) -> dict[str | None, bool]:
    """Return one flag of everybody, in truth."""
    return {call.label: getattr(call, name) for call in emulator.participants("standup")}


async def test_mute_and_unmute(standup: ConferenceHandle, emulator: Emulator) -> None:
    """Everybody but those named, by label or Call SID; the report has them as answered."""
    bob = emulator.participants("standup")[1].sid
    done = await standup.participants.mute_all(except_=["alice", bob])

    assert state(emulator, "muted") == dict(zip(LABELS, [False, False, True, True], strict=True))
    assert [(one.label, one.muted) for one in done.succeeded] == [("carol", True), ("dave", True)]
    assert (done.failed, done.gone) == ((), ())

    await standup.participants.unmute_all(except_="carol")
    assert [label for label, muted in state(emulator, "muted").items() if muted] == ["carol"]


async def test_hold_and_unhold(standup: ConferenceHandle, emulator: Emulator) -> None:
    """With the music given."""
    await standup.participants.hold_all(URL, method="GET", except_="alice")
    assert [label for label, hold in state(emulator, "hold").items() if not hold] == ["alice"]

    await standup.participants.unhold_all()
    assert not any(state(emulator, "hold").values())


async def test_announce(standup: ConferenceHandle, emulator: Emulator) -> None:
    """One request each, with the URL."""
    done = await standup.participants.announce_all(URL, method="GET", except_="bob")

    assert {one.label for one in done.succeeded} == {"alice", "carol", "dave"}
    sent = [request for request in emulator.requests if request.kind == "update"]
    assert len(sent) == 3


async def test_remove(standup: ConferenceHandle, emulator: Emulator) -> None:
    """Everybody else is hung up on, and reported as listed."""
    done = await standup.participants.remove_all(except_="alice")

    assert [call.label for call in emulator.participants("standup")] == ["alice"]
    assert [one.label for one in done.succeeded] == ["bob", "carol", "dave"]


async def test_partial_failure(standup: ConferenceHandle, emulator: Emulator) -> None:
    """One refusal keeps nobody else from it, and is reported with its participant."""
    emulator.faults.add(Fault.FAIL_400, on="update", after=1)

    done = await standup.participants.mute_all()

    assert len(done.succeeded) == 3
    [failed] = done.failed
    assert isinstance(failed.error, RequestRefused)
    assert state(emulator, "muted")[failed.participant.label] is False


@pytest.mark.parametrize("verb", ["mute_all", "remove_all"])
async def test_who_left_meanwhile_is_gone(
    verb: str, standup: ConferenceHandle, emulator: Emulator
) -> None:
    """That is no failure; and neither is the end of the whole conference."""
    emulator.latency = 1
    run: Callable[[], Awaitable[FanOut]] = getattr(standup.participants, verb)
    going = asyncio.ensure_future(run())
    await asyncio.sleep(2.5)  # the name is resolved, and everybody listed
    for call in emulator.participants("standup"):
        emulator.hang_up(call.sid)
    done = await going

    assert (done.succeeded, done.failed) == ((), ())
    assert [one.label for one in done.gone] == LABELS


async def test_concurrency_is_the_clients(standup: ConferenceHandle, emulator: Emulator) -> None:
    """No more requests at once than the client allows: four take two seconds in pairs."""
    emulator.latency = 1
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=Unpaced(),
        max_concurrency=2,
    ) as client:
        loop = asyncio.get_running_loop()
        room = client.conferences(await standup.resolve())
        begun = loop.time()
        await room.participants.mute_all()

    assert loop.time() - begun == pytest.approx(1 + 2, abs=0.1)


@pytest.mark.parametrize("name", ["", "a/b", None])
async def test_a_name_of_nobody_is_refused(
    name: str | None, standup: ConferenceHandle, emulator: Emulator
) -> None:
    """Who is to be spared must be a Call SID or a label; nothing is done before that is clear."""
    with pytest.raises(InvalidParameter):
        await standup.participants.remove_all(except_=[name])

    assert len(emulator.participants("standup")) == 4


async def test_no_conference(room: ConferenceHandle) -> None:
    """Where nobody can be listed, that is the error."""
    with pytest.raises(ConferenceNotFound):
        await room.participants.mute_all()


async def test_cancelled(standup: ConferenceHandle, emulator: Emulator) -> None:
    """It stops at once: nothing more is sent."""
    emulator.latency = 1
    await standup.resolve()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await standup.participants.mute_all()
    sent = len(emulator.requests)
    await asyncio.sleep(5)

    assert len(emulator.requests) == sent


async def test_nothing_private_is_shown(standup: ConferenceHandle, emulator: Emulator) -> None:
    """The report shows no number, and none from an error."""
    await standup.participants.create(from_=FROM, to="+15558675310", label="x +15558675310")
    emulator.faults.add(Fault.FAIL_400, on="update", times=2)

    shown = repr(await standup.participants.mute_all())

    assert "***5310" in shown
    assert "1555867" not in shown
