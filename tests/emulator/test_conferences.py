"""Conferences and the call log."""

import asyncio
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from conference_async.emulator import Script


def days(created: Any) -> tuple[str, str]:
    """Return the day of a create and the next one."""
    day = parsedate_to_datetime(created.json["date_created"]).date()
    return day.isoformat(), (day + timedelta(days=1)).isoformat()


async def names(api: Any, **query: str) -> list[str]:
    """Return the names of the conferences that a query lists."""
    answer = await api.get("/Conferences.json", **query)
    assert answer.status == 200
    return [conference["friendly_name"] for conference in answer.json["conferences"]]


@pytest.mark.looptime
async def test_a_conference_is_in_progress_once_somebody_is_in(api: Any) -> None:
    """It is init while it only dials, in-progress from the first answer, completed at its end."""
    api.emulator.answer_after = 2
    sid = (await api.create(Region="ie1")).json["conference_sid"]
    path = f"/Conferences/{sid}.json"
    dialling = (await api.get(path)).json
    await asyncio.sleep(2)
    talking = (await api.get(path)).json
    ended = await api.post(path, {"Status": "completed"})

    assert [one["status"] for one in (dialling, talking, ended.json)] == [
        "init",
        "in-progress",
        "completed",
    ]
    assert (ended.status, ended.json["reason_conference_ended"]) == (
        200,
        "conference-ended-via-api",
    )
    assert (dialling["friendly_name"], dialling["region"]) == ("standup", "ie1")
    assert dialling["uri"] == api.root + path
    assert dialling["subresource_uris"]["participants"] == (
        f"{api.root}/Conferences/{sid}/Participants.json"
    )
    assert (await api.get(path)).json == ended.json
    moved = parsedate_to_datetime(talking["date_updated"])
    assert moved - parsedate_to_datetime(dialling["date_updated"]) == timedelta(seconds=2)


@pytest.mark.looptime
async def test_conferences_are_listed_by_status_name_and_date(api: Any) -> None:
    """Without a status those in progress; never two statuses in one answer."""
    api.emulator.script("0000", Script(outcome="no_answer"))
    over = await api.create("over")
    await api.create("live")
    await api.create("dialling", To="+15550000000")
    await asyncio.sleep(1)
    await api.post(f"/Conferences/{over.json['conference_sid']}.json", {"Status": "completed"})
    await api.create("over")
    await asyncio.sleep(1)

    assert await names(api) == ["live", "over"]
    assert await names(api, Status="in-progress", PageSize="1") == ["live"]
    assert await names(api, Status="init") == ["dialling"]
    assert await names(api, Status="completed", FriendlyName="over") == ["over"]
    assert await names(api, FriendlyName="live") == ["live"]
    assert await names(api, FriendlyName="nobody's") == []
    assert await names(api, FriendlyName="live", Status="init") == []
    today, tomorrow = days(over)
    assert await names(api, **{"DateCreated>": today}) == ["live", "over"]
    assert await names(api, **{"DateCreated<": today}) == []
    assert await names(api, **{"DateUpdated<": tomorrow, "DateUpdated": today}) == ["live", "over"]


@pytest.mark.parametrize(
    "query", [{"Status": "done"}, {"DateCreated": "2026-01-31T00:00:00Z"}, {"DateUpdated>": "x"}]
)
async def test_bad_filters_are_refused(api: Any, query: Any) -> None:
    """Unknown statuses, and dates that are not whole days."""
    assert (await api.get("/Conferences.json", **query)).status == 422


async def test_an_unknown_conference_is_not_found(api: Any) -> None:
    """404 for reading and for ending it."""
    path = f"/Conferences/CF{'0' * 32}.json"

    assert (await api.get(path)).code == 20404
    assert (await api.post(path, {"Status": "completed"})).code == 20404


async def test_a_conference_that_is_over_cannot_be_changed(api: Any) -> None:
    """16022 for a second end; other values of Status are refused before."""
    path = f"/Conferences/{(await api.create()).json['conference_sid']}.json"
    assert (await api.post(path, {"Status": "paused"})).code == 20422
    await api.post(path, {"Status": "completed"})

    assert (await api.post(path, {"Status": "completed"})).code == 16022


@pytest.mark.looptime
async def test_the_last_to_leave_ends_the_conference(api: Any) -> None:
    """By hanging up or by being removed; the reason and the call are told."""
    left, kicked = await api.create("left"), await api.create("kicked")
    await asyncio.sleep(1)
    api.emulator.hang_up(left.json["call_sid"])
    await api.delete(api.at(kicked))

    for answer, reason in ((left, "last-participant-left"), (kicked, "last-participant-kicked")):
        found = (await api.get(f"/Conferences/{answer.json['conference_sid']}.json")).json
        assert (found["status"], found["reason_conference_ended"]) == ("completed", reason)
        assert found["call_sid_ending_conference"] == answer.json["call_sid"]


@pytest.mark.looptime
async def test_a_participant_may_take_the_conference_along(api: Any) -> None:
    """EndConferenceOnExit ends it for everybody, but not before its owner was in."""
    host = await api.create(EndConferenceOnExit="true")
    await api.create()
    absent = await api.create(EndConferenceOnExit="true")
    await api.delete(api.at(absent))
    await asyncio.sleep(1)
    assert len(api.emulator.participants("standup")) == 2

    await api.delete(api.at(host))
    assert api.emulator.participants("standup") == []
    assert [call.status for call in api.emulator.conferences[0].past] == ["complete"] * 3
    assert api.emulator.conferences[0].reason_ended == (
        "participant-with-end-conference-on-exit-kicked"
    )


@pytest.mark.looptime
async def test_the_call_log_keeps_what_is_over(api: Any) -> None:
    """Ended and live calls, by target, status and time."""
    api.emulator.script("0001", Script(outcome="busy"))
    await api.create(To="+15550000001")
    made = await api.create(To="+15550000002")
    await asyncio.sleep(61)
    await api.delete(api.at(made))
    await api.create(To="+15550000002", From="+15017122662")

    async def statuses(**query: str) -> list[str]:
        return [call["status"] for call in (await api.get("/Calls.json", **query)).json["calls"]]

    assert await statuses() == ["ringing", "completed", "busy"]
    assert await statuses(To="+15550000002") == ["ringing", "completed"]
    assert await statuses(From="+15017122662") == ["ringing"]
    assert await statuses(Status="busy") == ["busy"]
    today, _ = days(made)
    assert await statuses(**{"EndTime>": today}) == ["completed", "busy"]
    assert await statuses(**{"StartTime": today, "EndTime<": "2100-01-01"}) == ["completed", "busy"]
    assert await statuses(**{"StartTime<": today}) == []
    assert (await api.get("/Calls.json", StartTime="yesterday")).code == 20422
    call = (await api.get(f"/Calls/{made.json['call_sid']}.json")).json
    assert (call["duration"], call["direction"]) == ("60", "outbound-api")
    assert await statuses(StartTime=_moment(call["start_time"])) == ["completed", "busy"]
    assert (await api.get("/Calls/CA1.json")).code == 20404


@pytest.mark.looptime
async def test_a_ringing_call_is_logged_as_ringing(open_api: Any) -> None:
    """The log has no word for a call that is set up but does not ring yet."""
    async with open_api(pace=False, ring_after=5) as api:
        await api.create()
        await asyncio.sleep(1)
        assert [call.status for call in api.emulator.participants("standup")] == ["connecting"]
        assert (await api.get("/Calls.json")).json["calls"][0]["status"] == "ringing"


def _moment(date: str) -> str:
    return parsedate_to_datetime(date).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.looptime
async def test_only_the_latest_of_what_is_over_is_remembered(open_api: Any) -> None:
    """Memory does not grow with the number of calls made."""
    async with open_api(pace=False, keep_ended=3) as api:
        for number in range(9):
            await api.delete(api.at(await api.create(f"room{number}")))

        assert len(api.emulator.conferences) == 3
        assert len((await api.get("/Calls.json")).json["calls"]) == 3
        await api.create("busy room")
        for _ in range(9):
            await api.delete(api.at(await api.create("busy room")))
        assert len(api.emulator.conferences[-1].past) == 3
