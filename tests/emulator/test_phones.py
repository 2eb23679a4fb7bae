"""People at the other end: they dial in, are heard by machine detection, and leave for a reason."""

import asyncio
from typing import Any

import pytest

from conference_async.emulator import CannotJoin, Emulator, Fault, NoSuchCall, Script

pytestmark = pytest.mark.looptime

CALLER = "+15550000009"


async def test_somebody_dials_in_under_a_label(api: Any) -> None:
    """They are in at once, uncounted, found by label and caller; the label is theirs until then."""
    call = api.emulator.dial_in("standup", CALLER, label="alice", muted=True)
    listed = (await api.get(f"/Conferences/{call.room.sid}/Participants.json")).json
    logged = (await api.get(f"/Calls/{call.sid}.json")).json
    clash = await api.create(Label="alice")

    assert [one["label"] for one in listed["participants"]] == ["alice"]
    assert (listed["participants"][0]["muted"], call.room.status) == (True, "in-progress")
    assert (logged["direction"], logged["from"], logged["status"]) == (
        "inbound",
        CALLER,
        "in-progress",
    )
    assert (clash.status, clash.code, api.emulator.rings(CALLER)) == (400, 16026, 0)
    assert api.emulator.call(CALLER) is api.emulator.call("alice") is call
    api.emulator.hang_up(CALLER)
    assert (await api.create(Label="alice")).status == 201
    assert call.reason_left == "participant_hung_up"


async def test_who_dials_in_first_decides_where_events_go(api: Any, listener: Any) -> None:
    """Their callback hears of everybody, as that of the first to join does."""
    call = api.emulator.dial_in(
        "standup",
        CALLER,
        end_conference_on_exit=True,
        conference_status_callback=listener.url,
        conference_status_callback_event="start join leave end",
    )
    created = await api.create()
    await asyncio.sleep(1)
    api.emulator.hang_up(call.sid)
    await api.emulator.callbacks.settled()

    assert listener.events == [
        "participant-join",
        "participant-join",
        "conference-start",
        "participant-leave",
        "participant-leave",
        "conference-end",
    ]
    reasons = [body.get("ReasonParticipantLeft") for *_, body, _ in listener.heard]
    assert reasons[3:5] == ["participant_hung_up", "moderator_ended_conference"]
    assert api.emulator.call(created.json["call_sid"]).reason_left == "moderator_ended_conference"


async def test_not_everybody_can_dial_in(api: Any) -> None:
    """A label in use, an odd one, a conference that is over or full: each says so."""
    emulator: Emulator = api.emulator
    first = emulator.dial_in("standup", CALLER, label="alice")
    with pytest.raises(CannotJoin, match="already used"):
        emulator.dial_in("standup", CALLER, label="alice")
    with pytest.raises(CannotJoin, match="Label"):
        emulator.dial_in("standup", CALLER, label="a/b")
    emulator.hang_up(first.sid)
    with pytest.raises(CannotJoin, match="completed"):
        emulator.dial_in(first.room.sid, CALLER)
    with pytest.raises(CannotJoin, match="1 to 128"):
        emulator.dial_in("", CALLER)
    await api.create("two", MaxParticipants="2")
    emulator.dial_in("two", CALLER)
    with pytest.raises(CannotJoin, match="full"):
        emulator.dial_in("two", CALLER)
    with pytest.raises(TypeError, match="Muted must be a bool"):
        emulator.dial_in("standup", CALLER, muted="yes")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="From must be text"):
        emulator.dial_in("standup", 5)  # type: ignore[arg-type]


DETECTION = [
    ("Enable", Script(answered_by="machine_start", detected_after=3), 3, "machine_start"),
    ("enable", Script(answered_by="machine_end_silence"), 0, "machine_start"),
    ("DetectMessageEnd", Script(answered_by="machine_start"), 0, "machine_end_beep"),
    ("DetectMessageEnd", Script(answered_by="machine_end_other"), 0, "machine_end_other"),
    ("Enable", Script(answered_by="fax", detected_after=29), 29, "fax"),
    ("Enable", Script(answered_by="human", detected_after=31), 30, "unknown"),
    ("Enable", Script(detected_after=None), 30, "unknown"),
]


@pytest.mark.parametrize(("mode", "script", "after", "heard"), DETECTION)
async def test_detection_reports_when_it_has_heard(
    api: Any, listener: Any, mode: str, script: Script, after: float, heard: str
) -> None:
    """At its instant, in its mode's words, and not before: nothing knows the result earlier."""
    api.emulator.answer_after = 0
    api.emulator.script("5310", script)
    made = await api.create(
        MachineDetection=mode, AmdStatusCallback=listener.url, MachineDetectionTimeout="30"
    )
    call = api.emulator.call(made.json["call_sid"])
    if after:
        await asyncio.sleep(after - 0.1)
        assert (call.answered_by, listener.heard) == (None, [])
    await asyncio.sleep(0.2)
    await api.emulator.callbacks.settled()
    ((*_, body, _),) = listener.heard

    assert (body["AnsweredBy"], call.answered_by) == (heard, heard)
    assert body["MachineDetectionDuration"] == str(after * 1000)


async def test_a_test_decides_what_detection_hears(api: Any, listener: Any) -> None:
    """Once, while the call is connected and asked for it; who hangs up before is not reported."""
    emulator: Emulator = api.emulator
    emulator.answer_after = 0
    emulator.script("", Script(detected_after=None))
    asked = {"MachineDetection": "Enable", "AmdStatusCallback": listener.url}
    await api.create(**asked, Label="alice")
    await api.create(**asked, Label="bob")
    await api.create(Label="carol")
    await asyncio.sleep(0.1)
    emulator.detect("alice", "fax")
    emulator.detect("alice", "human")
    emulator.hang_up("bob")
    await asyncio.sleep(60)
    await emulator.callbacks.settled()

    assert [body["AnsweredBy"] for *_, body, _ in listener.heard] == ["fax"]
    for who in ("bob", "carol"):
        with pytest.raises(ValueError, match="asked for machine detection"):
            emulator.detect(who, "human")
    with pytest.raises(ValueError, match="answered_by must be one of"):
        emulator.detect("alice", "dog")  # type: ignore[arg-type]
    with pytest.raises(NoSuchCall):
        emulator.detect("dave", "human")


async def test_a_script_says_why_in_numbers(api: Any, listener: Any) -> None:
    """The last event of a call that fails has the script's code, an answered one the usual."""
    api.emulator.script("0001", Script(outcome="failed", after=0, sip_response_code=503))
    api.emulator.script("0002", Script(hang_up_after=1, sip_response_code=503))
    for to in ("+15550000001", "+15550000002"):
        await api.create(To=to, StatusCallback=listener.url)
    await asyncio.sleep(5)

    assert [body["SipResponseCode"] for *_, body, _ in listener.heard] == ["503", "200"]


async def test_reset_brings_back_what_was_at_the_opening(open_api: Any, listener: Any) -> None:
    """Calls, requests, rings, faults and accounts are gone; settings and scripts as they were."""
    async with open_api(cps=2, answer_after=1) as api:
        emulator: Emulator = api.emulator
        before = emulator.dial_in("old", CALLER)
        emulator.script("1", Script(outcome="busy"))
        emulator.answer_after, emulator.accounts[0].cps = None, 9
        emulator.callbacks.delay = 100
        emulator.faults.add(Fault.STALL, after=5)
        emulator.add_api_key(emulator.add_account())
        emulator.freeze()
        made = await api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated")
        await emulator.reset()
        await asyncio.sleep(200)

        assert (emulator.calls, emulator.conferences, emulator.starts) == ([], [], [])
        assert (emulator.count(), emulator.ring_counts, list(emulator.requests)) == (0, {}, [])
        assert (emulator.scripts, emulator.faults.rules, emulator.frozen) == ({}, [], False)
        assert repr((emulator.answer_after, emulator.accounts[0].cps)) == "(1, 2)"
        assert (emulator.callbacks.delay, listener.heard) == (0, [])
        assert [one.sid for one in emulator.accounts] == [api.account_sid]
        again = await api.create()
        assert again.status == 201
        assert again.json["queue_time"] == "0"
        assert again.json["call_sid"] not in (before.sid, made.json["call_sid"])
        await asyncio.sleep(2)
        assert emulator.calls[0].status == "connected"
