"""Settings of a conference that several participants give: whose word counts, for each."""

import asyncio
from typing import Any

import pytest

from conference_async.emulator import Script

pytestmark = pytest.mark.looptime

LATE, BUSY = "+15550000001", "+15550000002"


@pytest.fixture(autouse=True)
def outcomes(api: Any) -> None:
    """Let one number answer after everybody else, and one be busy."""
    api.emulator.script(LATE, Script(after=5))
    api.emulator.script(BUSY, Script(outcome="busy"))


async def end(api: Any) -> None:
    """End the one live conference, and wait for its callbacks."""
    (room,) = [room for room in api.emulator.conferences if room.live]
    await api.post(f"/Conferences/{room.sid}.json", {"Status": "completed"})
    await api.emulator.callbacks.settled()


async def test_the_first_to_join_sets_the_status_callback(api: Any, listener: Any) -> None:
    """Not the first that is called; events, method and URL come from the same participant."""
    await api.create(
        To=LATE, ConferenceStatusCallback="http://127.0.0.1:1/", ConferenceStatusCallbackEvent="end"
    )
    await api.create(
        ConferenceStatusCallback=listener.url,
        ConferenceStatusCallbackEvent="join end",
        ConferenceStatusCallbackMethod="GET",
    )
    await asyncio.sleep(10)
    await end(api)

    assert [method for _, method, *_ in listener.heard] == ["GET"] * 3
    assert len(api.emulator.callbacks.sent) == 3


async def test_a_first_to_join_without_a_callback_leaves_none(api: Any, listener: Any) -> None:
    """Later ones are ignored, by the page's word."""
    await api.create()
    await api.create(To=LATE, ConferenceStatusCallback=listener.url)
    await asyncio.sleep(10)
    await end(api)

    assert list(api.emulator.callbacks.sent) == []


async def test_later_callbacks_are_ignored(api: Any, listener: Any) -> None:
    """By default only start and end are sent."""
    first = await api.create(ConferenceStatusCallback=listener.url)
    await api.create(ConferenceStatusCallback="http://127.0.0.1:1/")
    await asyncio.sleep(1)
    path = f"/Conferences/{first.json['conference_sid']}.json"
    await api.post(path, {"AnnounceUrl": "http://myapp.com/"})
    await end(api)

    assert listener.events == ["conference-start", "conference-end"]
    assert listener.heard[-1][3]["ReasonConferenceEnded"] == "conference-ended-via-api"
    assert "CallSidEndingConference" not in listener.heard[-1][3]


async def test_those_called_in_vain_are_reported_before_anybody_joins(
    api: Any, listener: Any
) -> None:
    """To the first callback that was given, until somebody is in."""
    await api.create(To=LATE)
    await api.create(
        To=BUSY, ConferenceStatusCallback=listener.url, ConferenceStatusCallbackEvent="leave"
    )
    await asyncio.sleep(2)

    assert listener.events == ["participant-leave"]
    assert listener.heard[0][3]["ReasonParticipantLeft"] == "participant_add_failed"


async def test_a_plain_create_takes_no_setting_away(api: Any, listener: Any) -> None:
    """Recording and its callback stay when somebody else joins, with a callback or without."""
    await api.create(
        ConferenceRecord="true",
        ConferenceRecordingStatusCallback=f"{listener.url}/recording",
        ConferenceRecordingStatusCallbackEvent="in-progress completed",
    )
    await asyncio.sleep(1)
    await api.create()
    await api.create(ConferenceStatusCallback="http://127.0.0.1:1/")
    await asyncio.sleep(59.5)
    await end(api)

    bodies = [body for *_, body, _ in listener.heard]
    assert [body["RecordingStatus"] for body in bodies] == ["in-progress", "completed"]
    assert bodies[0]["RecordingSid"] == bodies[1]["RecordingSid"]
    assert bodies[0]["RecordingStartTime"] == bodies[1]["RecordingStartTime"]
    assert bodies[1]["RecordingDuration"] == "60"


async def test_whoever_sets_a_recording_first_decides(api: Any, listener: Any) -> None:
    """Among those who join: one who does not answer decides nothing, nor does a second wish."""
    await api.create(To=BUSY, ConferenceRecord="true")
    await api.create(ConferenceRecord="do-not-record")
    await asyncio.sleep(1)
    await api.create(
        ConferenceRecord="true", ConferenceRecordingStatusCallback=f"{listener.url}/recording"
    )
    await asyncio.sleep(10)
    await end(api)

    assert listener.heard == []
    assert api.emulator.conferences[0].recording is None


async def test_a_conference_that_never_started_has_no_recording(api: Any, listener: Any) -> None:
    """Nothing is recorded of those who wait."""
    await api.create(
        StartConferenceOnEnter="false",
        ConferenceRecord="true",
        ConferenceRecordingStatusCallback=listener.url,
    )
    await asyncio.sleep(10)
    await end(api)

    assert listener.heard == []


async def test_region_and_size_are_of_the_first_who_sets_them(api: Any) -> None:
    """Each by itself, whether or not its phone is answered."""
    first = await api.create(To=BUSY, Region="ie1")
    await api.create(MaxParticipants="3", Region="au1")
    await asyncio.sleep(1)
    await api.create(MaxParticipants="2", Region="jp1")
    await api.create()
    conference = (await api.get(f"/Conferences/{first.json['conference_sid']}.json")).json

    assert conference["region"] == "ie1"
    assert (await api.create()).code == 16020
