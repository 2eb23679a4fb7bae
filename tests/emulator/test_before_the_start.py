"""A waiting room: people who may not start the conference, and who starts it."""

import asyncio
from typing import Any

import pytest

pytestmark = pytest.mark.looptime


async def seen(api: Any, answer: Any) -> tuple[str, bool, str]:
    """Return a participant's status, whether it is shown as muted, and the conference's status."""
    participant = (await api.get(api.at(answer))).json
    conference = (await api.get(f"/Conferences/{participant['conference_sid']}.json")).json
    return participant["status"], participant["muted"], conference["status"]


async def test_people_wait_muted_until_somebody_may_start(api: Any, listener: Any) -> None:
    """The conference is init, they are connected and silent; its start comes with the starter."""
    guests = [
        await api.create(
            StartConferenceOnEnter="false",
            ConferenceStatusCallback=listener.url,
            ConferenceStatusCallbackEvent="start join",
        )
        for _ in range(2)
    ]
    assert await seen(api, guests[0]) == ("ringing", False, "init")
    await asyncio.sleep(5)
    assert [await seen(api, guest) for guest in guests] == [("connected", True, "init")] * 2
    listed = await api.get(api.at(guests[0]).rpartition("/")[0] + ".json", Muted="true")
    assert len(listed.json["participants"]) == 2

    host = await api.create()
    await asyncio.sleep(1)

    everybody = [await seen(api, one) for one in (*guests, host)]
    assert everybody == [("connected", False, "in-progress")] * 3
    told = [(round(at, 1), body["StatusCallbackEvent"]) for at, *_, body, _ in listener.heard]
    assert told == [
        (0.5, "participant-join"),
        (0.5, "participant-join"),
        (5.5, "participant-join"),
        (5.5, "conference-start"),
    ]
    muted = [body.get("Muted") for *_, body, _ in listener.heard]
    assert muted == ["true", "true", "false", None]


async def test_who_was_muted_stays_muted_after_the_start(api: Any) -> None:
    """Waiting is not muting: each is undone by its own."""
    guest = await api.create(StartConferenceOnEnter="false", Muted="true")
    await asyncio.sleep(1)
    unmuted = await api.post(api.at(guest), {"Muted": "false"})
    assert unmuted.json["muted"] is True  # still waiting
    await api.post(api.at(guest), {"Muted": "true"})
    await api.create()
    await asyncio.sleep(1)
    assert await seen(api, guest) == ("connected", True, "in-progress")

    await api.post(api.at(guest), {"Muted": "false"})
    assert await seen(api, guest) == ("connected", False, "in-progress")


async def test_somebody_who_may_start_it_starts_it_alone(api: Any, listener: Any) -> None:
    """It is in progress with one; the event waits for the second, whoever that is."""
    first = await api.create(ConferenceStatusCallback=listener.url)
    await asyncio.sleep(1)
    assert await seen(api, first) == ("connected", False, "in-progress")
    assert listener.events == []

    await api.create(StartConferenceOnEnter="false")
    await asyncio.sleep(1)
    assert listener.events == ["conference-start"]


async def test_a_conference_that_has_started_stays_started(api: Any) -> None:
    """A participant who comes after the starter has left does not wait."""
    host, _ = await api.create(), await api.create(StartConferenceOnEnter="false")
    await asyncio.sleep(1)
    await api.delete(api.at(host))
    late = await api.create(StartConferenceOnEnter="false")
    await asyncio.sleep(1)

    assert await seen(api, late) == ("connected", False, "in-progress")


async def test_an_unanswered_starter_starts_nothing(api: Any) -> None:
    """Being called is not entering."""
    guest = await api.create(StartConferenceOnEnter="false")
    await asyncio.sleep(1)
    api.emulator.answer_after = None
    await api.create()
    await asyncio.sleep(10)

    assert await seen(api, guest) == ("connected", True, "init")


async def test_those_who_wait_can_leave(api: Any) -> None:
    """The last of them ends the conference, which never started."""
    guest = await api.create(StartConferenceOnEnter="false")
    await asyncio.sleep(1)
    api.emulator.hang_up(guest.json["call_sid"])
    (room,) = api.emulator.conferences

    assert (room.status, room.started) == ("completed", False)
    assert room.reason_ended == "last-participant-left"
