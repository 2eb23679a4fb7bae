"""Create, fetch, list, update and delete participants."""

import asyncio
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import pytest

from conference_async.emulator import Script

PROPERTIES = [
    "account_sid",
    "call_sid",
    "label",
    "conference_sid",
    "date_created",
    "date_updated",
    "end_conference_on_exit",
    "muted",
    "hold",
    "status",
    "start_conference_on_enter",
    "coaching",
    "call_sid_to_coach",
    "queue_time",
    "uri",
]


async def test_a_create_answers_the_fifteen_properties(api: Any) -> None:
    """201, all properties of the page in its order, with its defaults."""
    answer = await api.create(Label="customer")
    made = answer.json

    assert (answer.status, list(made)) == (201, PROPERTIES)
    assert (made["status"], made["queue_time"], made["label"]) == ("queued", "0", "customer")
    assert made["date_created"].endswith(" +0000")
    assert parsedate_to_datetime(made["date_created"]).tzinfo is not None
    assert made["uri"] == api.root + api.at(answer)
    flags = ("end_conference_on_exit", "muted", "hold", "coaching", "start_conference_on_enter")
    assert [made[flag] for flag in flags] == [False, False, False, False, True]


async def test_the_parameters_of_a_create_show_in_the_participant(api: Any) -> None:
    """A fetch shows what the create asked for, but for the queue time, which only its reply has."""
    answer = await api.create(
        Muted="true", EndConferenceOnExit="true", StartConferenceOnEnter="false"
    )
    found = (await api.get(api.at(answer))).json

    assert (found["muted"], found["end_conference_on_exit"]) == (True, True)
    assert (found["start_conference_on_enter"], found["queue_time"]) == (False, None)


async def test_a_name_joins_the_live_conference_or_makes_one(api: Any) -> None:
    """The same name is the same conference as long as it lives, and a new one afterwards."""
    first, second = await api.create("standup"), await api.create("standup")
    other = await api.create("retro é/?")
    sid = first.json["conference_sid"]
    by_sid = await api.create(sid)
    await api.post(f"/Conferences/{sid}.json", {"Status": "completed"})
    fresh = await api.create("standup")

    assert second.json["conference_sid"] == by_sid.json["conference_sid"] == sid
    assert other.json["conference_sid"] != sid
    assert fresh.json["conference_sid"] != sid
    assert (await api.create(sid)).code == 16022
    assert (await api.create("CF" + "f" * 32)).code == 16022


@pytest.mark.parametrize(
    "label",
    [
        *("a b", "50%", "é☎", "agent#2", "a?b", ";,:@&=", "a+b", "a\nb", "%20", "x.json", ".."),
        *("CA" + "0" * 31, "l" * 128),
    ],
)
async def test_a_label_addresses_its_participant(api: Any, label: str) -> None:
    """Every legal label is found, updated and removed by its percent-encoded spelling."""
    await api.create(Label="somebody else")
    answer = await api.create(Label=label)
    path = api.at(answer, label)

    assert (await api.get(path)).json["label"] == label
    assert (await api.get(path)).json["call_sid"] == answer.json["call_sid"]
    assert (await api.post(path, {"Muted": "true"})).json["muted"] is True
    removed = await api.delete(path)
    assert (removed.status, removed.text) == (204, "")
    assert (await api.get(path)).code == 20404


@pytest.mark.parametrize("label", ["", "a/b", "a%2Fb", "l" * 129, "CA" + "0" * 32, "CA" + "F" * 32])
async def test_a_forbidden_label_is_refused(api: Any, label: str) -> None:
    """400 with code 16024, and nobody is called."""
    answer = await api.create(Label=label)

    assert (answer.status, answer.code, api.emulator.ring_counts) == (400, 16024, {})


async def test_a_label_is_unique_among_the_live_of_a_conference(api: Any) -> None:
    """16026 while its holder lives; free in other conferences, and afterwards."""
    first = await api.create(Label="alice")
    assert (await api.create(Label="alice")).code == 16026
    assert (await api.create("other", Label="alice")).status == 201

    await api.delete(api.at(first))
    assert (await api.create(Label="alice")).status == 201


PHONE = "+15558675310"


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"To": None}, 400, 21201),
        ({"To": ""}, 400, 21201),
        ({"To": "nobody"}, 400, 21211),
        ({"To": "+1 555 867 5310"}, 400, 21211),
        ({"To": "+15558675310?a=b"}, 400, 21211),
        ({"To": "sip:nobody"}, 400, 21211),
        ({"To": "app:AP1"}, 400, 21218),
        ({"From": None}, 400, 21213),
        ({"From": "alice"}, 400, 21212),
        ({"CallerId": "client:alice"}, 400, 21212),
        ({"Timeout": "4"}, 400, 21208),
        ({"Timeout": "601"}, 400, 21208),
        ({"Timeout": "soon"}, 400, 21208),
        ({"MachineDetection": "maybe"}, 400, 21234),
        ({"MachineDetectionSpeechThreshold": "999"}, 400, 21234),
        ({"MachineDetectionSpeechEndThreshold": "5001"}, 400, 21234),
        ({"MachineDetectionSilenceTimeout": "1999"}, 400, 21234),
        ({"StatusCallback": "ftp://x"}, 400, 21205),
        ({"StatusCallback": "http://my_app.com"}, 400, 21205),
        ({"StatusCallback": "http://["}, 400, 21205),
        ({"StatusCallbackMethod": "PUT"}, 400, 21209),
        ({"StatusCallbackEvent": ["ringing", "singing"]}, 400, 21626),
        ({"ConferenceStatusCallbackEvent": "start leave stop"}, 400, 21626),
        ({"Trim": "true"}, 400, 13239),
        ({"Byoc": "BY1"}, 400, 21300),
        ({"CallSidToCoach": "CA1"}, 400, 13240),
        ({"Coaching": "true"}, 400, 13240),
        ({"CallSidToCoach": "CA" + "b" * 32}, 400, 16028),
        ({"Muted": "yes"}, 422, 20422),
        ({"Beep": "loud"}, 422, 20422),
        ({"MaxParticipants": "251"}, 422, 20422),
        ({"CallerDisplayName": "x"}, 422, 20422),
        ({"Passports": "a,b,c,d,e,f"}, 422, 20422),
        ({"EmergencyCountry": "DE"}, 422, 20422),
        ({"EmergencyCallerPosition": "here"}, 422, 20422),
        ({"RecordingConfigurationId": "cfg1", "Record": "true"}, 422, 20422),
        ({"RecordingConfigurationId": "cfg1", "Trim": "do-not-trim"}, 422, 20422),
        ({"WaitUrl": "no"}, 422, 20422),
        ({"Region": "mars"}, 422, 20422),
    ],
)
async def test_a_bad_value_is_refused_with_its_code(
    api: Any, form: Any, status: int, code: int
) -> None:
    """The service's code for it, and no call, conference or ring."""
    answer = await api.create("room", **form)

    assert (answer.status, answer.code) == (status, code)
    assert (api.emulator.ring_counts, api.emulator.conferences) == ({}, [])


@pytest.mark.parametrize(
    "form",
    [
        {"From": "4405512345678", "To": "4157663747"},
        {"From": "client:alice", "To": "client:bob?a=1&b=2"},
        {"From": "alice", "To": "sip:bob@twilio.com", "CallerDisplayName": "John Doe"},
        {"To": "app:APaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
        {"WaitUrl": "", "MachineDetection": "enable", "Newer": "parameter"},
        {"StatusCallbackEvent": "initiated ringing", "Beep": "onEnter", "Timeout": "600"},
        {"StatusCallback": "https://user:pass@myapp.com:8443/events?a=1#rc=2"},
        {"CallerId": "+17736772737", "Byoc": "BY" + "b" * 32, "JitterBufferSize": "small"},
    ],
)
async def test_what_the_page_allows_is_accepted(api: Any, form: Any) -> None:
    """Every kind of target and every sample's values are fine, and unknown names are ignored."""
    assert (await api.create(**form)).status == 201


async def test_a_name_has_at_most_128_characters(api: Any) -> None:
    """13237 above that."""
    assert (await api.create("n" * 128)).status == 201
    assert (await api.create("n" * 129)).code == 13237


async def test_a_conference_is_full_at_its_maximum(api: Any) -> None:
    """16020 beyond the number that the first participant set; room again after one leaves."""
    first = await api.create(MaxParticipants="2")
    await api.create(MaxParticipants="9")
    assert (await api.create()).code == 16020

    await api.delete(api.at(first))
    assert (await api.create()).status == 201


async def test_a_conference_holds_250_by_default(api: Any) -> None:
    """The 251st is refused with 16020."""
    for _ in range(250):
        assert (await api.create()).status == 201
    assert (await api.create()).code == 16020


@pytest.mark.parametrize("code", [16021, 10004])
async def test_an_account_has_so_many_live_calls_and_no_more(open_api: Any, code: int) -> None:
    """Queued, ringing and in progress count alike, those that ended do not; nothing is placed."""
    async with open_api(cps=1, max_live=3, max_live_code=code, answer_after=0.5) as api:
        first = await api.create("a")
        await api.create("b")
        await asyncio.sleep(0.7)
        await api.create("b")  # is queued, while one rings and one talks
        refused = await api.create("c")
        assert (refused.status, refused.code) == (400, code)
        assert len(api.emulator.calls) == 3

        await api.delete(api.at(first))
        assert (await api.create("c")).status == 201
        assert (await api.create("c")).code == code
        other = api.emulator.add_account()
        api.user, api.account_sid = (other.sid, other.auth_token), other.sid
        assert (await api.create()).status == 201


@pytest.mark.parametrize("sid", ["CF" + "0" * 32, "CF" + "f" * 32])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_nobody_is_found_in_an_unknown_conference(api: Any, sid: str, method: str) -> None:
    """404 with code 20404 for participants of a conference that never was."""
    answer = await api.ask(method, f"/Conferences/{sid}/Participants/alice.json")

    assert (answer.status, answer.code) == (404, 20404)


async def test_an_encoded_slash_stays_in_its_segment(api: Any) -> None:
    """``%2F`` is part of a label that nobody can have."""
    answer = await api.create(Label="a")
    path = f"/Conferences/{answer.json['conference_sid']}/Participants/a%2Fb.json"

    assert (await api.get(path)).code == 20404


async def test_form_spaces_may_be_spelt_both_ways(api: Any) -> None:
    """``+`` and ``%20`` are the same space."""
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    for number, spelling in enumerate(("a+b", "a%20b")):
        body = f"From=%2B15017122661&To=%2B15558675310&Label={spelling}"
        path = f"/Conferences/room{number}/Participants.json"
        answer = await api.ask("POST", path, data=body.encode(), headers=headers)
        assert answer.json["label"] == "a b"


@pytest.mark.looptime  # no second passes between two replies
async def test_updates_change_what_they_name(api: Any) -> None:
    """Mute, hold, exit behaviour; what is not named stays."""
    answer = await api.create(Muted="true")
    path = api.at(answer)
    held = (await api.post(path, {"Hold": "true", "HoldUrl": "http://myapp.com/hold"})).json
    ends = (await api.post(path, {"EndConferenceOnExit": "true", "BeepOnExit": "false"})).json
    loud = (await api.post(path, {"Muted": "anything else"})).json
    same = await api.post(path, {})

    assert (held["muted"], held["hold"]) == (True, True)
    assert (ends["hold"], ends["end_conference_on_exit"]) == (True, True)
    assert loud["muted"] is False
    assert (same.status, same.json) == (200, loud)


async def test_an_update_refuses_bad_values(api: Any) -> None:
    """Nothing of a refused update is done."""
    path = api.at(await api.create())
    answer = await api.post(path, {"Muted": "true", "Hold": "maybe"})

    assert (answer.status, answer.code) == (422, 20422)
    assert (await api.get(path)).json["muted"] is False


async def test_coaching_needs_somebody_in_the_conference(api: Any) -> None:
    """The coached one is there and not on hold; stopping forgets whom."""
    agent, coach = await api.create(), await api.create()
    agent_sid, path = agent.json["call_sid"], api.at(coach)
    assert (await api.post(path, {"Coaching": "true"})).code == 13240
    assert (await api.post(path, {"CallSidToCoach": "CA" + "b" * 32})).code == 16028
    assert (await api.post(path, {"CallSidToCoach": "CA1"})).code == 13240

    coaching = (await api.post(path, {"CallSidToCoach": agent_sid})).json
    assert (coaching["coaching"], coaching["call_sid_to_coach"]) == (True, agent_sid)
    again = (await api.post(path, {"Coaching": "true"})).json
    assert again["call_sid_to_coach"] == agent_sid
    over = (await api.post(path, {"Coaching": "false"})).json
    assert (over["coaching"], over["call_sid_to_coach"]) == (False, None)

    await api.post(api.at(agent), {"Hold": "true"})
    assert (await api.post(path, {"CallSidToCoach": agent_sid})).code == 16027
    assert (await api.create(CallSidToCoach=agent_sid)).code == 16027


async def test_a_participant_may_come_to_coach(api: Any) -> None:
    """``CallSidToCoach`` alone means coaching; an explicit false does not."""
    agent_sid = (await api.create()).json["call_sid"]

    assert (await api.create(CallSidToCoach=agent_sid)).json["coaching"] is True
    quiet = (await api.create(CallSidToCoach=agent_sid, Coaching="false")).json
    assert (quiet["coaching"], quiet["call_sid_to_coach"]) == (False, None)


async def test_lists_are_filtered(api: Any) -> None:
    """Muted, Hold and Coaching narrow the list together; bad values are refused."""
    agent = await api.create(Label="agent")
    await api.create(Label="muted", Muted="true")
    coach = await api.create(Label="coach", Muted="true", CallSidToCoach=agent.json["call_sid"])
    await api.post(api.at(agent), {"Hold": "true"})
    path = f"/Conferences/{coach.json['conference_sid']}/Participants.json"

    async def labels(**query: str) -> list[str]:
        listed = (await api.get(path, **query)).json["participants"]
        return [participant["label"] for participant in listed]

    assert await labels() == ["agent", "muted", "coach"]
    assert await labels(Muted="true") == ["muted", "coach"]
    assert await labels(Muted="false") == ["agent"]
    assert await labels(Hold="true") == ["agent"]
    assert await labels(Muted="true", Coaching="false") == ["muted"]
    assert (await api.get(path, Muted="maybe")).code == 20422


@pytest.mark.looptime
async def test_the_ended_are_gone_at_once(api: Any) -> None:
    """A participant that hung up is found no more, nor listed; others stay."""
    api.emulator.script("5310", Script(after=1, hang_up_after=2))
    leaves = await api.create(Label="leaves")
    await api.create(To="+15550000000", Label="stays")
    await asyncio.sleep(2.5)
    assert (await api.get(api.at(leaves, "leaves"))).json["status"] == "connected"
    await asyncio.sleep(0.5)

    assert (await api.get(api.at(leaves, "leaves"))).status == 404
    assert (await api.get(api.at(leaves))).status == 404
    listed = await api.get(f"/Conferences/{leaves.json['conference_sid']}/Participants.json")
    assert [one["label"] for one in listed.json["participants"]] == ["stays"]


async def test_nobody_is_listed_in_a_conference_that_is_over(api: Any) -> None:
    """The list of a completed conference is empty, its participants are not found."""
    answer = await api.create(Label="alice")
    sid = answer.json["conference_sid"]
    await api.post(f"/Conferences/{sid}.json", {"Status": "completed"})

    assert (await api.get(f"/Conferences/{sid}/Participants.json")).json["participants"] == []
    assert (await api.get(api.at(answer, "alice"))).status == 404


async def test_a_custom_parameter_of_a_client_is_kept(api: Any) -> None:
    """Targets are counted by the raw ``To``, query and all."""
    await api.create(To="client:bob?a=1", From="client:alice")

    assert api.emulator.ring_counts == {"client:bob?a=1": 1}
    calls = (await api.get("/Calls.json?To=" + quote("client:bob?a=1"))).json["calls"]
    assert len(calls) == 1
