"""A handle that stands while meetings of its name come and go."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from conference_async import (
    Conference,
    ConferenceClient,
    ConferenceError,
    ConferenceHandle,
    ConferenceNotFound,
    ConferenceStatus,
    FanOut,
    InvalidParameter,
    Participant,
    ParticipantNotFound,
    Participants,
    PlacedParticipant,
    Polling,
    dial_and_wait,
)
from conference_async.emulator import Emulator
from conference_async.models import NewParticipant

pytestmark = pytest.mark.looptime

DOCS = Path(__file__).parents[2] / "docs"
FROM, TO = "+15017122661", "+15558675310"
URL = "https://example.com/music.mp3"
Operation = Callable[[ConferenceHandle], Awaitable[Any]]


async def dial(room: ConferenceHandle, label: str = "alice") -> PlacedParticipant:
    """Bring somebody into the conference."""
    return await room.participants.create(from_=FROM, to=TO, label=label)


async def meet_twice(room: ConferenceHandle, emulator: Emulator) -> PlacedParticipant:
    """Hold one meeting that ends, and open the next in another process; return who is in that."""
    first = await dial(room)
    emulator.hang_up(first.call_sid)
    other = ConferenceHandle(room._room.sender, room.name)
    second = await dial(other)
    assert second.conference_sid != first.conference_sid
    return second


async def everybody(participants: Participants) -> list[str | None]:
    """Return the calls of a stream."""
    return [each.call_sid async for each in participants.stream()]


OPERATIONS: dict[str, Operation] = {
    "fetch": lambda room: room.fetch(),
    "announce": lambda room: room.announce(URL),
    "end": lambda room: room.end(),
    "list": lambda room: room.participants.list(),
    "list-filtered": lambda room: room.participants.list(muted=True),
    "stream": lambda room: everybody(room.participants),
    "mute_all": lambda room: room.participants.mute_all(),
    "remove_all": lambda room: room.participants.remove_all(),
    "participant-fetch": lambda room: room.participants("alice").fetch(),
    "participant-mute": lambda room: room.participants("alice").mute(),
    "participant-coach": lambda room: room.participants("alice").coach("bob"),
    "participant-delete": lambda room: room.participants("alice").delete(),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_a_used_handle_raises_what_a_fresh_one_raises(
    operation: Operation, room: ConferenceHandle, client: ConferenceClient, emulator: Emulator
) -> None:
    """While no conference of the name is live, each operation says so, and in the same words."""
    placed = await dial(room)
    assert (await room.fetch()).sid == placed.conference_sid
    emulator.hang_up(placed.call_sid)

    with pytest.raises(ConferenceNotFound) as used:
        await operation(room)
    with pytest.raises(ConferenceNotFound) as fresh:
        await operation(client.conferences("standup"))
    with pytest.raises(ConferenceNotFound):
        await room.resolve()

    assert str(used.value) == str(fresh.value)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_a_used_handle_reaches_the_meeting_of_now(
    operation: Operation, room: ConferenceHandle, emulator: Emulator
) -> None:
    """Once another meeting has the name, each operation ends there."""
    second = await meet_twice(room, emulator)
    with suppress(ParticipantNotFound):  # whom nobody called bob cannot coach
        await operation(room)

    sent = [each.path for each in emulator.requests if each.kind != "conferences.list"]
    assert second.conference_sid in sent[-1]


TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (DOCS / "explanation" / "handles.md").read_text().splitlines()
    if line.startswith("| `")
]
DOCUMENTED: dict[str, Operation] = {
    "`participants.create(...)`": dial,
    "`resolve()`": lambda room: room.resolve(),
    "`fetch()`": OPERATIONS["fetch"],
    "`announce(...)`, `update(...)`": OPERATIONS["announce"],
    "`end()`": OPERATIONS["end"],
    "`participants.list()`, `stream()`, `pages()`": OPERATIONS["list"],
    "`participants.mute_all()` and the others for all": OPERATIONS["mute_all"],
    "`participants(...).fetch()`": OPERATIONS["participant-fetch"],
    "`participants(...).mute()` and the other changes": OPERATIONS["participant-mute"],
    "`participants(...).delete()`": OPERATIONS["participant-delete"],
}


@pytest.mark.parametrize(("called", "by_name", "by_sid"), TABLE)
async def test_the_table_of_the_documentation_is_what_happens(
    called: str,
    by_name: str,
    by_sid: str,
    room: ConferenceHandle,
    client: ConferenceClient,
    emulator: Emulator,
) -> None:
    """Every row, by name and by SID, once the conference is over."""
    placed = await dial(room)
    emulator.hang_up(placed.call_sid)
    operation = DOCUMENTED[called]

    async def outcome(handle: ConferenceHandle) -> str:
        try:
            done = await operation(handle)
        except ConferenceError as error:
            return f"`{type(error).__name__}`"
        if isinstance(done, PlacedParticipant):
            assert done.conference_sid != placed.conference_sid
            return "opens a new conference"
        if isinstance(done, Conference):
            return f"returns it, `{done.status}`"
        return {
            placed.conference_sid: "returns the SID",
            "[]": "nobody",
            str(FanOut()): "a report of nobody",
        }[str(done)]

    assert await outcome(client.conferences(placed.conference_sid)) == by_sid
    assert await outcome(room) == by_name


def test_the_table_of_the_documentation_is_whole() -> None:
    """No row is left out of the test."""
    assert [row[0] for row in TABLE] == list(DOCUMENTED)


async def test_what_is_done_reaches_those_who_are_in_the_room(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """The second meeting is muted, listed and cleared through the handle of the first."""
    second = await meet_twice(room, emulator)
    alice = room.participants("alice")

    assert await room.resolve() == second.conference_sid
    assert (await alice.mute()).call_sid == second.call_sid
    assert (await room.fetch()).status is not ConferenceStatus.COMPLETED
    assert await everybody(room.participants) == [second.call_sid]
    assert [one.call_sid for one in (await room.participants.remove_all()).succeeded] == [
        second.call_sid
    ]
    assert emulator.participants("standup") == []


async def test_dialling_again_waits_for_the_call_that_it_dialled(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """Somebody who is in the second meeting is not taken for somebody who left."""
    polling = Polling(room, every=0.5)
    for _ in range(3):
        view = await dial_and_wait(
            room,
            NewParticipant(from_=FROM, to=TO, label="alice"),
            calls=polling,
            timeout=30,
            until="joined",
        )
        assert view.joined
        assert (await room.participants("alice").fetch()).call_sid == view.call_sid
        emulator.hang_up(view.call_sid)


async def test_a_create_tells_every_task_what_the_name_means(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """Its answer is taken over, so that nobody looks the name up as long as that meeting lives."""
    participants, alice = room.participants, room.participants("alice")
    for _ in range(2):
        placed = await dial(room)
        before = emulator.count("conferences.list")
        await asyncio.gather(*(alice.fetch() for _ in range(5)), participants.list(), room.fetch())
        assert emulator.count("conferences.list") == before
        emulator.hang_up(placed.call_sid)


async def test_a_visit_tells_what_the_name_means(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """As a create does."""
    async with room.participant(from_=FROM, to=TO, label="alice"):
        await room.participants("alice").mute()

    assert emulator.count("conferences.list") == 0


async def test_a_slow_look_up_does_not_undo_what_a_create_told(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """The answer of a create that came meanwhile is the newer one."""
    emulator.latency = 2
    looking = asyncio.create_task(room.resolve())  # finds nobody in progress, then asks for init
    await asyncio.sleep(1)
    emulator.latency = 0
    placed = await dial(room)

    assert await looking == placed.conference_sid
    assert (await room.participants("alice").fetch()).call_sid == placed.call_sid


async def test_a_sid_is_never_looked_up(room: ConferenceHandle, client: ConferenceClient) -> None:
    """A handle by SID means that one conference, over or not."""
    placed = await dial(room)
    by_sid = client.conferences(placed.conference_sid)
    await by_sid.end()

    assert (await by_sid.fetch()).status is ConferenceStatus.COMPLETED
    assert await by_sid.participants.list() == []
    with pytest.raises(ParticipantNotFound):
        await by_sid.participants("alice").fetch()


async def test_from_a_participant_to_its_handle(
    room: ConferenceHandle, client: ConferenceClient, emulator: Emulator
) -> None:
    """It means that very call, though the name and the label have gone to others since."""
    first = await dial(room)
    (listed,) = await room.participants.list()
    assert (await client.participant(listed).mute()).call_sid == first.call_sid
    emulator.hang_up(first.call_sid)
    second = await dial(room)

    with pytest.raises(ParticipantNotFound):
        await client.participant(first).fetch()
    assert (await client.participant(second).fetch()).muted is False


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (Participant(status="queued", call_sid="CA" + "1" * 32), "no conference_sid"),
        (Participant(status="queued", conference_sid="CF" + "1" * 32), "neither a Call SID nor"),
    ],
)
def test_a_participant_without_an_address_is_refused(
    seen: Participant, says: str, client: ConferenceClient
) -> None:
    """The page has every property nullable; the error says which one is missing."""
    with pytest.raises(InvalidParameter, match=says):
        client.participant(seen)
