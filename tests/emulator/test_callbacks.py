"""The callbacks that the emulator sends to an application."""

import asyncio
import base64
import hashlib
import hmac
import re
from collections import Counter
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from conference_async.emulator import Callback, Emulator, Script

pytestmark = pytest.mark.looptime

EVERYTHING = "start end join leave mute hold modify speaker announcement"


def calls_back(listener: Any, *, on: str = EVERYTHING) -> dict[str, Any]:
    """Return the parameters that subscribe to a conference."""
    return {"ConferenceStatusCallback": listener.url, "ConferenceStatusCallbackEvent": on}


async def test_call_progress_is_told_in_order(api: Any, listener: Any) -> None:
    """Every event asked for, numbered from 0, at its instant."""
    api.emulator.script("5310", Script(after=2, hang_up_after=70))
    answer = await api.create(
        StatusCallback=f"{listener.url}?id=1#rc=3",
        StatusCallbackEvent=["initiated", "ringing", "answered", "completed"],
    )
    await asyncio.sleep(80)

    assert listener.events == ["initiated", "ringing", "in-progress", "completed"]
    assert [round(at) for at, *_ in listener.heard] == [0, 0, 2, 72]
    assert [body["SequenceNumber"] for *_, body, _ in listener.heard] == ["0", "1", "2", "3"]
    _at, method, path, body, headers = listener.heard[-1]
    assert (method, path) == ("POST", "/events?id=1")
    assert headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    assert body.pop("Timestamp").endswith(" +0000")
    assert body == {
        "CallSid": answer.json["call_sid"],
        "AccountSid": api.account_sid,
        "From": "+15017122661",
        "To": "+15558675310",
        "Caller": "+15017122661",
        "Called": "+15558675310",
        "CallStatus": "completed",
        "ApiVersion": "2010-04-01",
        "Direction": "outbound-api",
        "CallbackSource": "call-progress-events",
        "SequenceNumber": "3",
        "CallDuration": "70",
        "Duration": "2",
        "SipResponseCode": "200",
    }


async def test_only_the_end_is_told_unless_more_is_asked_for(api: Any, listener: Any) -> None:
    """Every ending is a completed event, with the status that it had."""
    scripts = (Script(outcome="busy"), Script(outcome="failed"), Script(outcome="no_answer"))
    for number, script in enumerate(scripts):
        api.emulator.script(str(number), script)
        await api.create(To=f"+1555000000{number}", StatusCallback=listener.url, Timeout="5")
    await api.delete(api.at(await api.create(StatusCallback=listener.url)))
    await asyncio.sleep(20)

    assert sorted(listener.events) == ["busy", "canceled", "failed", "no-answer"]
    assert {body["SequenceNumber"] for *_, body, _ in listener.heard} == {"0"}


async def test_the_end_says_how_in_the_numbers_of_sip(api: Any, listener: Any) -> None:
    """Busy, failed, unanswered, taken down, and over after a talk: each has its code."""
    outcomes: dict[str, Any] = {"0": "busy", "1": "failed", "2": "no_answer", "3": "answer"}
    for number, outcome in outcomes.items():
        api.emulator.script(number, Script(outcome=outcome, hang_up_after=3))
        await api.create(To=f"+1555000000{number}", StatusCallback=listener.url, Timeout="5")
    await api.delete(api.at(await api.create(To="+15550000009", StatusCallback=listener.url)))
    await asyncio.sleep(20)

    codes = {body["CallStatus"]: body["SipResponseCode"] for *_, body, _ in listener.heard}
    assert codes == {
        "busy": "486",
        "failed": "404",
        "no-answer": "487",
        "completed": "200",
        "canceled": "487",
    }


async def test_the_end_of_a_recorded_call_names_its_recording(api: Any, listener: Any) -> None:
    """The same recording as its own callback; one that was not answered has none."""
    api.emulator.script("0001", Script(outcome="busy"))
    asked = {"Record": "true", "StatusCallback": listener.url}
    kept = await api.create(RecordingStatusCallback=listener.url, **asked)
    await api.create(To="+15550000001", **asked)
    await asyncio.sleep(30.5)
    api.emulator.hang_up(kept.json["call_sid"])
    await api.emulator.callbacks.settled()
    busy, ended, recording = (body for *_, body, _ in listener.heard)

    assert not [name for name in busy if name.startswith("Recording")]
    assert ended["RecordingDuration"] == recording["RecordingDuration"] == "30"
    assert ended["RecordingSid"] == recording["RecordingSid"]
    assert ended["RecordingUrl"] == recording["RecordingUrl"]
    assert ended["RecordingUrl"].endswith(f"/Recordings/{ended['RecordingSid']}")


async def test_callbacks_are_signed_by_the_account(api: Any, listener: Any) -> None:
    """HMAC-SHA1 with its auth token over the URL without fragment and the sorted parameters."""
    await api.create(StatusCallback=f"{listener.url}?b=2&a=1#rc=1", StatusCallbackEvent="ringing")
    await api.emulator.callbacks.settled()
    [(_at, _method, _path, body, headers)] = listener.heard

    text = f"{listener.url}?b=2&a=1" + "".join(name + body[name] for name in sorted(body))
    digest = hmac.digest(api.emulator.auth_token.encode(), text.encode(), hashlib.sha1)
    assert headers["X-Twilio-Signature"] == base64.b64encode(digest).decode()


async def test_a_get_callback_has_everything_in_its_query(api: Any, listener: Any) -> None:
    """The signature covers the URL alone."""
    for query in ("", "?a=1"):
        await api.create(
            StatusCallback=listener.url + query,
            StatusCallbackMethod="GET",
            StatusCallbackEvent="ringing",
        )
    await api.emulator.callbacks.settled()

    assert len(listener.heard) == 2
    for _at, method, path, body, headers in listener.heard:
        assert (method, body) == ("GET", {})
        assert "CallStatus=ringing" in path
        whole = listener.url.removesuffix("/events") + path
        digest = hmac.digest(api.emulator.auth_token.encode(), whole.encode(), hashlib.sha1)
        assert headers["X-Twilio-Signature"] == base64.b64encode(digest).decode()


async def test_the_life_of_a_conference_is_told(api: Any, listener: Any) -> None:
    """Join, start with two, changes, leave with its reason, end with its reason."""
    alice = await api.create(Label="alice", **calls_back(listener))
    bob = await api.create(Label="bob")
    await asyncio.sleep(1)
    path = api.at(alice)
    for form in (
        {"Muted": "true"},
        {"Muted": "true"},
        {"Muted": "false"},
        {"Hold": "true"},
        {"Hold": "false"},
        {"EndConferenceOnExit": "true"},
        {"BeepOnExit": "false"},
        {"WaitUrl": ""},
        {"CallSidToCoach": bob.json["call_sid"]},
        {"AnnounceUrl": "http://myapp.com/announce"},
    ):
        await api.post(path, form)
    await asyncio.sleep(2)
    api.emulator.speak(bob.json["call_sid"], 3)
    await asyncio.sleep(4)
    api.emulator.hang_up(alice.json["call_sid"])
    await api.emulator.callbacks.settled()

    assert listener.events == [
        "participant-join",
        "participant-join",
        "conference-start",
        "participant-mute",
        "participant-unmute",
        "participant-hold",
        "participant-unhold",
        *["participant-modify"] * 4,
        "announcement-end",
        "participant-speech-start",
        "participant-speech-stop",
        "participant-leave",
        "participant-leave",
        "conference-end",
    ]
    bodies = [body for *_, body, _ in listener.heard]
    assert [body["SequenceNumber"] for body in bodies] == [str(n) for n in range(1, 18)]
    assert {body["FriendlyName"] for body in bodies} == {"standup"}
    mute, announced, spoke, silent, left, taken, end = bodies[3], *bodies[-6:]
    assert spoke["CallSid"] == silent["CallSid"] == bob.json["call_sid"]
    assert (mute["Muted"], mute["Hold"], mute["ParticipantLabel"]) == ("true", "false", "alice")
    assert announced["AnnounceUrl"] == "http://myapp.com/announce"
    assert (left["ReasonParticipantLeft"], left["ParticipantCallStatus"], left["Coaching"]) == (
        "participant_hung_up",
        "completed",
        "true",
    )
    assert taken["ReasonParticipantLeft"] == "moderator_ended_conference"
    assert end["ReasonConferenceEnded"] == "participant-with-end-conference-on-exit-left"
    assert end["CallSidEndingConference"] == alice.json["call_sid"]
    assert end["ParticipantLabelEndingConference"] == "alice"
    assert "CallSid" not in end
    parsedate_to_datetime(end["Timestamp"])


async def test_who_never_answers_leaves_too(api: Any, listener: Any) -> None:
    """The leave says that the participant could not be added."""
    api.emulator.script("0000", Script(outcome="busy"))
    await api.create(**calls_back(listener, on="leave"))
    await api.create(To="+15550000000")
    await asyncio.sleep(1)
    [(*_, body, _headers)] = listener.heard

    assert body["ReasonParticipantLeft"] == "participant_add_failed"
    assert body["ParticipantCallStatus"] == "busy"
    assert "ParticipantLabel" not in body


async def test_machine_detection_reports_who_answered(api: Any, listener: Any) -> None:
    """The report comes after its time, and later events know it too."""
    api.emulator.script("5310", Script(answered_by="machine_start", detected_after=3))
    answer = await api.create(
        MachineDetection="Enable", AmdStatusCallback=listener.url, StatusCallback=listener.url
    )
    await asyncio.sleep(10)
    await api.delete(api.at(answer))
    await api.emulator.callbacks.settled()
    (at, _m, _p, report, _h), (*_, ended, _headers) = listener.heard

    assert round(at, 2) == 3.5
    assert report == {
        "CallSid": answer.json["call_sid"],
        "AccountSid": api.account_sid,
        "AnsweredBy": "machine_start",
        "MachineDetectionDuration": "3000",
    }
    assert ended["AnsweredBy"] == "machine_start"


async def test_nothing_is_reported_to_nobody(api: Any) -> None:
    """Detection and recording without a callback are just done."""
    await api.create(MachineDetection="Enable", Record="true")
    await asyncio.sleep(1)

    assert api.emulator.participants("standup")[0].answered_by == "human"
    assert list(api.emulator.callbacks.sent) == []


async def test_recordings_are_reported(api: Any, listener: Any) -> None:
    """Of the call and of the conference, each with its own parameters."""
    await api.create(
        Record="true",
        RecordingChannels="dual",
        RecordingStatusCallback=f"{listener.url}/call",
        RecordingStatusCallbackEvent="in-progress completed",
        ConferenceRecord="record-from-start",
        ConferenceRecordingStatusCallback=f"{listener.url}/conference",
        **calls_back(listener, on="end"),
    )
    await api.create(Record="true", RecordingStatusCallback=f"{listener.url}/other")
    await asyncio.sleep(60.5)
    sid = api.emulator.conferences[0].sid
    await api.post(f"/Conferences/{sid}.json", {"Status": "completed"})
    await api.emulator.callbacks.settled()
    told = {path.rpartition("/")[2]: body for _at, _method, path, body, _headers in listener.heard}

    assert (told["call"]["RecordingStatus"], told["call"]["RecordingDuration"]) == (
        "completed",
        "60",
    )
    assert (told["call"]["RecordingChannels"], told["other"]["RecordingChannels"]) == ("2", "1")
    assert told["call"]["RecordingTrack"] == "both"
    assert told["conference"]["RecordingSource"] == "Conference"
    assert (told["conference"]["ConferenceSid"], "CallSid" in told["conference"]) == (sid, False)


async def test_a_conference_recording_is_reported_if_asked_for(api: Any, listener: Any) -> None:
    """Other events than the one that comes are not told."""
    answer = await api.create(
        ConferenceRecord="true",
        ConferenceRecordingStatusCallback=listener.url,
        ConferenceRecordingStatusCallbackEvent="failed",
        **calls_back(listener, on="start"),
    )
    await api.delete(api.at(answer))
    await api.emulator.callbacks.settled()

    assert listener.heard == []


async def test_delivery_may_be_late(api: Any, listener: Any) -> None:
    """Every callback comes so many seconds after its event."""
    api.emulator.callbacks.delay = 30.0
    await api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated")
    await api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated ringing answered")
    await api.emulator.callbacks.settled()

    assert round(listener.heard[0][0], 2) == 30.0
    assert listener.events == ["initiated", "initiated", "ringing", "in-progress"]


async def test_delivery_may_be_out_of_order(api: Any, listener: Any) -> None:
    """All come, but not in the order of their numbers."""
    api.emulator.callbacks.jitter = 60.0
    for number in range(20):
        await api.create(f"room{number}", StatusCallback=f"{listener.url}?{number}")
    await asyncio.sleep(5)
    for number in range(20):
        api.emulator.hang_up(api.emulator.participants(f"room{number}")[0].sid)
    await api.emulator.callbacks.settled()
    order = [int(path.partition("?")[2]) for _at, _method, path, *_ in listener.heard]

    assert sorted(order) == list(range(20))
    assert order != sorted(order)


async def test_delivery_may_be_repeated(api: Any, listener: Any) -> None:
    """Twice the same, idempotency token included; different events have different ones."""
    api.emulator.callbacks.copies = 2
    await api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated ringing")
    await api.emulator.callbacks.settled()
    tokens = [headers["I-Twilio-Idempotency-Token"] for *_, headers in listener.heard]

    assert listener.events == ["initiated", "initiated", "ringing", "ringing"]
    assert tokens[0] == tokens[1] != tokens[2] == tokens[3]


async def test_delivery_may_fail_now_and_then(open_api: Any, listener: Any) -> None:
    """The share that is dropped is never sent."""
    async with open_api(pace=False, seed=1) as api:
        api.emulator.callbacks.drop = 0.5
        for _ in range(40):
            await api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated")
        await api.emulator.callbacks.settled()

    assert 10 < len(listener.heard) < 30


async def test_what_became_of_each_callback_is_recorded(api: Any, listener: Any) -> None:
    """The listener's status, or the error, in the operating system's words where it has any."""
    listener.status = 500
    plain = listener.url.replace("http:", "https:")
    for url in (listener.url, "http://user:pass@127.0.0.1:1/", plain):
        await api.create(StatusCallback=url, StatusCallbackEvent="ringing")
    await api.emulator.callbacks.settled()
    sent: list[Callback] = sorted(api.emulator.callbacks.sent, key=lambda one: one.error or "")

    assert [(one.status, one.error, one.event) for one in sent] == [
        (500, None, "ringing"),
        (None, "ConnectionRefusedError", "ringing"),
        (None, "SSLError", "ringing"),
    ]
    assert "8675310" not in repr(sent)
    assert len(listener.heard) == 1


async def test_a_listener_has_15_seconds(api: Any, listener: Any) -> None:
    """Then the callback has failed, and the next one goes out."""
    listener.pause = 20.0
    await api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated ringing")
    await asyncio.sleep(100)

    assert [one.error for one in api.emulator.callbacks.sent] == ["TimeoutError"] * 2
    assert [round(at) for at, *_ in listener.heard] == [0, 15]


async def test_callbacks_that_wait_are_bounded(
    api: Any, listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound one is given up and recorded as such; the others arrive in order."""
    monkeypatch.setattr("conference_async.emulator.callbacks.delivery._MOST_WAITING", 2)
    listener.pause = 5.0
    await api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated ringing answered")
    await asyncio.sleep(20)
    await api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated")
    await api.emulator.callbacks.settled()

    assert listener.events == ["initiated", "ringing", "initiated"]
    assert [one.error for one in api.emulator.callbacks.sent] == [
        "TooManyWaiting",
        None,
        None,
        None,
    ]


async def test_an_answer_changes_nothing_about_later_callbacks(api: Any, listener: Any) -> None:
    """A redirect is recorded and not followed, and every request has a connection of its own."""
    listener.status = 302
    await api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated ringing")
    await api.emulator.callbacks.settled()

    assert [one.status for one in api.emulator.callbacks.sent] == [302, 302]
    assert len(listener.heard) == 2
    assert {headers["Connection"] for *_, headers in listener.heard} == {"close"}
    assert not any("Cookie" in headers for *_, headers in listener.heard)


async def test_a_hundred_listeners_are_called_at_once(api: Any, listener: Any) -> None:
    """The others wait for a place, and their 15 seconds begin when they have one."""
    listener.pause = 10.0
    for number in range(150):
        await api.create(
            f"room{number}",
            StatusCallback=f"{listener.url}?{number}",
            StatusCallbackEvent="initiated",
        )
    await api.emulator.callbacks.settled()

    assert Counter(round(at) for at, *_ in listener.heard) == {0: 100, 10: 50}
    assert {one.status for one in api.emulator.callbacks.sent} == {204}


async def test_user_info_of_a_url_signs_in(api: Any, listener: Any) -> None:
    """It is sent as Basic credentials and not as part of the host."""
    url = listener.url.replace("127", "us%20er:pass@127")
    await api.create(StatusCallback=url, StatusCallbackEvent="initiated")
    await api.emulator.callbacks.settled()
    headers = listener.heard[0][-1]

    assert headers["Authorization"] == f"Basic {base64.b64encode(b'us er:pass').decode()}"
    assert "@" not in headers["Host"]


async def test_an_answer_that_is_no_http_is_an_error(api: Any) -> None:
    """A listener that talks nonsense is recorded as such."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\r\n")
        writer.write_eof()
        await reader.read()  # closing with something unread would be a reset, which is no answer
        writer.close()

    nonsense = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{nonsense.sockets[0].getsockname()[1]}"
    await api.create(StatusCallback=url, StatusCallbackEvent="initiated")
    await api.emulator.callbacks.settled()
    nonsense.close()

    assert [one.error for one in api.emulator.callbacks.sent] == ["ClientResponseError"]


async def test_closing_drops_what_is_under_way(listener: Any, open_api: Any) -> None:
    """Neither a delayed callback nor one that waits for its answer outlives the emulator."""
    listener.pause = 5.0
    async with open_api(pace=False) as api:
        emulator: Emulator = api.emulator
        await api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated")
        emulator.callbacks.delay = 10.0
        await api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated")
        await asyncio.sleep(1)
    await asyncio.sleep(60)

    assert len(listener.heard) == 1
    assert list(emulator.callbacks.sent) == []


@pytest.mark.parametrize(
    ("parameter", "sent"),
    [
        ("StatusCallbackEvent", "initiated ringing answered completed"),
        (
            "ConferenceStatusCallbackEvent",
            "start end join leave mute hold modify speaker announcement",
        ),
        ("RecordingStatusCallbackEvent", "in-progress completed"),
        ("ConferenceRecordingStatusCallbackEvent", "in-progress completed"),
    ],
)
async def test_what_is_accepted_and_never_sent_is_listed(
    api: Any, parameter: str, sent: str
) -> None:
    """The documentation names each such word."""
    words = [*EVERYTHING.split(), "initiated", "ringing", "answered", "started", "in-progress"]
    words += ["paused", "resumed", "stopped", "completed", "failed", "absent"]
    accepted = [word for word in words if (await api.create(**{parameter: word})).status == 201]
    page = Path(__file__).parents[2] / "docs" / "reference" / "emulator.md"
    start = f"| `{parameter}`: "
    lines = [line for line in page.read_text().splitlines() if line.startswith(start)]
    listed = "".join(line for line in lines if "accepted, never sent" in line).partition("|")[2]
    never = re.findall(r"`([a-z-]+)`", listed.partition("|")[0])

    assert sorted(never) == sorted(set(accepted) - set(sent.split()))
