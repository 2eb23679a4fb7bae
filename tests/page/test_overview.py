"""The page's data: the state of rooms, calls, pace and requests."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from conference_async.emulator import Emulator, Fault

pytestmark = pytest.mark.looptime

THEIRS = "+15558675310"

Dial = Callable[..., Awaitable[list[str]]]
Look = Callable[..., Awaitable[Any]]


async def test_the_state_tells_rooms_calls_and_pace(
    emulator: Emulator, dial: Dial, look: Look
) -> None:
    """Status and seconds of each call, starts in each second, queue time: all at their instants."""
    await dial(*(f"p{n}" for n in range(6)))
    emulator.faults.add(Fault.FAIL_500, on="list", times=None)
    emulator.faults.add(Fault.DELAY, times=3)
    await asyncio.sleep(2.2)
    emulator.conferences[0].participants[0].muted = True
    state = await look()

    (room,) = state["rooms"]
    assert (room["name"], room["status"], room["live"], room["over"]) == (
        "standup",
        "in-progress",
        6,
        0,
    )
    assert [(call["label"], call["status"], call["seconds"]) for call in room["calls"]] == [
        ("p0", "connected", 0),
        ("p1", "ringing", 2),
        ("p2", "ringing", 1),
        ("p3", "ringing", 1),
        ("p4", "ringing", 0),
        ("p5", "queued", 0),
    ]
    assert room["inside"] == 1
    assert not any(call["waiting"] for call in room["calls"])
    assert [call["muted"] for call in room["calls"]] == [True, *[False] * 5]
    assert room["calls"][0]["to"] == THEIRS
    assert state["totals"] == {
        "placed": 6,
        "queued": 1,
        "ringing": 4,
        "connected": 1,
        "requests": 6,
    }
    assert state["pace"]["cps"] == "2"
    assert state["pace"]["started"] == [*[0] * 57, 2, 2, 1]
    assert max(state["pace"]["queue_time"]) == 2500
    assert [(rule["fault"], rule["on"], rule["times"]) for rule in state["faults"]] == [
        ("fail_500", "list", None),
        ("delay", "create", 3),
    ]


async def test_the_pace_is_that_of_the_last_minute(
    emulator: Emulator, dial: Dial, look: Look
) -> None:
    """A start older than a minute leaves the plot."""
    await dial("alice")
    await asyncio.sleep(59)
    assert sum((await look())["pace"]["started"]) == 1
    await asyncio.sleep(1)
    assert sum((await look())["pace"]["started"]) == 0
    emulator.pace = False
    assert (await look())["pace"]["cps"] is None


async def test_what_is_over_stays_in_sight_for_a_while(
    emulator: Emulator, dial: Dial, look: Look
) -> None:
    """Ended calls are shown with how they ended, newest first, and so are ended conferences."""
    await dial(*(f"p{n}" for n in range(15)))
    for number in range(15):
        emulator.busy(emulator.conferences[0].labels[f"p{number}"].sid)
    for number in range(7):
        emulator.fail(*await dial("x", room=f"room {number}"))
    state = await look()

    assert [room["name"] for room in state["rooms"]] == [f"room {n}" for n in (6, 5, 4, 3, 2)]
    assert {room["status"] for room in state["rooms"]} == {"completed"}
    assert [call["call_status"] for call in state["rooms"][0]["calls"]] == ["failed"]
    for number in range(3):
        emulator.fail(*await dial("y", room=f"late {number}"))
    await dial("q", room="now")
    rooms = (await look())["rooms"]
    assert [room["name"] for room in rooms][:2] == ["now", "late 2"]


async def test_the_state_is_bounded(dial: Dial, look: Look) -> None:
    """However much goes on, so many rooms, calls and requests are shown; the rest is counted."""
    await dial(*(f"a{n}" for n in range(250)))
    await dial(*(f"b{n}" for n in range(250)), room="b")
    for number in range(41):
        await dial("c", room=f"c{number}")
    state = await look()

    assert len(state["rooms"]) == 40
    assert state["hidden_rooms"] == 3
    assert sum(len(room["calls"]) for room in state["rooms"]) == 500
    assert [room["hidden"] for room in state["rooms"]] == [0, 0, *[1] * 38]
    assert len(state["requests"]) == 40
    assert [one["number"] for one in state["requests"][:2]] == [541, 540]


async def test_no_secret_is_on_the_page(
    emulator: Emulator, session: aiohttp.ClientSession, dial: Dial
) -> None:
    """Neither the token nor a key's secret is in the state."""
    _, secret = emulator.add_api_key()
    await dial("alice")
    async with session.get("/control/overview") as answer:
        text = await answer.text()

    assert emulator.auth_token not in text
    assert secret not in text


async def test_each_account_is_shown_by_itself(emulator: Emulator, dial: Dial, look: Look) -> None:
    """The main account unless another is asked for; one that is not there is the main one."""
    other = emulator.add_account(cps=7.5)
    await dial("alice")
    main, second, wrong = [await look(sid) for sid in (emulator.account_sid, other.sid, "AC%3Cb")]

    assert main["accounts"] == [emulator.account_sid, other.sid]
    assert (main["account"], len(main["rooms"])) == (emulator.account_sid, 1)
    assert (second["account"], second["rooms"], second["pace"]["cps"]) == (other.sid, [], "7.5")
    assert wrong["account"] == emulator.account_sid
