"""A client whose process does not run while the service answers."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from conference_async import (
    ConferenceClient,
    ConferenceHandle,
    NewParticipant,
    PlacedParticipant,
    Polling,
    RetryPolicy,
    bridge,
)
from conference_async.emulator import Emulator, Fault

ALICE, BOB = "+15558675310", "+15558675311"
LIMIT = 60.0
STOPPED = 100.0


async def create(room: ConferenceHandle) -> Any:
    """Ring Alice."""
    return await room.participants.create(
        from_="+15017122661", to=ALICE, label="alice", early_media=True
    )


async def fetch(room: ConferenceHandle) -> Any:
    """Ask for her."""
    return await room.participants("alice").fetch()


async def find(room: ConferenceHandle) -> Any:
    """Ask for all who are there."""
    return (await room.participants.list())[0]


async def wait(room: ConferenceHandle) -> Any:
    """Wait until she has picked up."""
    return await Polling(room).answered("alice", timeout=LIMIT)


async def requested(emulator: Emulator, count: int) -> None:
    """Wait until so many requests have come."""
    while len(emulator.requests) < count:  # noqa: ASYNC110 -- it is to be noticed before the answer leaves
        await asyncio.sleep(0)


@pytest.mark.parametrize("options", [{"deadline": LIMIT}, {"timeout": LIMIT}], ids=str)
@pytest.mark.parametrize("ask", [create, fetch, find, wait])
async def test_an_answer_that_comes_meanwhile_is_taken(
    stand_still: Callable[[float], None],
    emulator: Emulator,
    room: ConferenceHandle,
    client: ConferenceClient,
    ask: Callable[[ConferenceHandle], Coroutine[Any, Any, Any]],
    options: dict[str, Any],
) -> None:
    """All time limits are over when the process goes on, and nothing was wrong."""
    emulator.answer_after = 0
    if ask is not create:
        await create(room)
    emulator.latency = 0.01
    before = len(emulator.requests)
    attempts: list[object] = []
    view = client.with_options(**options, on_attempt=attempts.append)

    asking = asyncio.create_task(ask(view.conferences("standup")))
    await requested(emulator, before + 1)
    stand_still(STOPPED)
    found = await asking

    assert found.label == "alice"
    assert len(attempts) == len(emulator.requests) - before
    if isinstance(found, PlacedParticipant):
        assert not found.reconciled


async def test_so_is_what_a_look_for_a_create_finds(
    stand_still: Callable[[float], None], emulator: Emulator, client: ConferenceClient
) -> None:
    """It was placed and answered 500, and its deadline comes while it is looked for."""
    emulator.faults.add(Fault.PLACE_THEN_500)
    emulator.latency = 0.01
    view = client.with_options(deadline=LIMIT, retry=RetryPolicy(base=0.01))

    creating = asyncio.create_task(create(view.conferences("standup")))
    await requested(emulator, 2)
    stand_still(STOPPED)
    found = await creating

    assert found.reconciled
    assert emulator.rings(ALICE) == 1


async def test_nobody_is_rung_in_place_of_one_who_has_come(
    stand_still: Callable[[float], None], emulator: Emulator, room: ConferenceHandle
) -> None:
    """The time of the next wave has come when the process goes on, and so has the first one."""
    emulator.answer_after = 0
    emulator.latency = 0.01
    first, second = (
        NewParticipant(from_="+15017122661", to=to, label=to[-1]) for to in (ALICE, BOB)
    )

    bridging = asyncio.create_task(
        bridge(room, [[first], [second]], humans=1, wave_every=LIMIT, deadline=2 * LIMIT)
    )
    await requested(emulator, 1)
    stand_still(STOPPED)
    found = await bridging

    assert found.enough
    assert (emulator.rings(ALICE), emulator.rings(BOB)) == (1, 0)
