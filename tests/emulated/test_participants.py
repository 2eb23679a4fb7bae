"""Each operation on a participant, and that it meets that very participant."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from conference_async import (
    ConferenceClient,
    ConferenceHandle,
    ConferenceNotFound,
    InvalidParameter,
    Participant,
    ParticipantChange,
    ParticipantHandle,
    ParticipantNotFound,
    ParticipantStatus,
    PersonalData,
    PlacedParticipant,
    RequestRefused,
)
from conference_async.emulator import Emulator, Fault, Request

FROM = "+15017122661"
TO = "+15558675310"
URL = "https://example.com/hold%20music?a=b&c=d"

Verb = Callable[[ParticipantHandle], Awaitable[Participant]]

pytestmark = pytest.mark.looptime


async def dial(room: ConferenceHandle, label: str, to: str = TO) -> PlacedParticipant:
    """Dial one number under a label."""
    return await room.participants.create(from_=FROM, to=to, label=label)


def last(emulator: Emulator) -> Request:
    """Return the latest request."""
    return emulator.requests[-1]


@pytest.mark.parametrize(
    "label",
    ["a b", "50%", "é☎", "agent#2", "a?b", ";,:@&=", "a+b", "a%20b", "%", "...", "~", "a.json"],
)
async def test_a_label_of_any_characters_meets_that_very_participant(
    label: str, room: ConferenceHandle, emulator: Emulator
) -> None:
    """Fetch, update and delete reach it, and none of those whose labels look alike."""
    lookalikes = {
        "a",
        "a b",
        "a+b",
        "a%20b",
        "50",
        "50%25",
        "agent",
        "é",
        "%",
        "%25",
        "a.json.json",
    }
    others = [await dial(room, other) for other in sorted(lookalikes - {label})]
    created = await dial(room, label)
    handle = room.participants(label)

    fetched = await handle.fetch()
    muted = await handle.mute()
    await handle.delete()

    assert (fetched.call_sid, fetched.label) == (created.call_sid, label)
    assert (muted.call_sid, muted.muted) == (created.call_sid, True)
    assert last(emulator).path.endswith(f"/{quote(label, safe='')}.json")
    left = {each.sid: each for each in emulator.participants("standup")}
    assert left.keys() == {other.call_sid for other in others}
    assert not any(each.muted for each in left.values())


@pytest.mark.parametrize(
    "label", ["", " ", "a/b", "a%2Fb", ".", "..", "x" * 129, "a\nb", "a\x7fb", "\ud800"]
)
async def test_a_label_that_could_go_astray_is_refused_here(
    label: str, room: ConferenceHandle, emulator: Emulator
) -> None:
    """Neither as the label of a new participant nor as the address of one."""
    with pytest.raises(InvalidParameter):
        await dial(room, label)
    with pytest.raises(InvalidParameter):
        room.participants(label)

    assert emulator.count() == 0


async def test_a_call_sid_meets_its_participant_and_is_no_label(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """By SID a participant is addressed like by its label."""
    created = await dial(room, "alice")
    assert created.call_sid

    fetched = await room.participants(created.call_sid).fetch()

    assert fetched.label == "alice"
    assert fetched.conference_sid == created.conference_sid
    with pytest.raises(InvalidParameter, match="Call SID"):
        await dial(room, created.call_sid)


async def test_a_fetch_tells_how_the_call_goes(room: ConferenceHandle) -> None:
    """From queued by way of ringing to connected, as the phone does."""
    created = await dial(room, "alice")
    await asyncio.sleep(0.1)
    ringing = await room.participants("alice").fetch()
    await asyncio.sleep(1)
    connected = await room.participants("alice").fetch()

    assert created.status is ParticipantStatus.QUEUED
    assert ringing.status is ParticipantStatus.RINGING
    assert connected.status is ParticipantStatus.CONNECTED
    assert connected.queue_time is None
    assert connected.date_created
    assert connected.date_created.utcoffset() is not None


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        (lambda alice: alice.mute(), {"Muted": ["true"]}),
        (lambda alice: alice.unmute(), {"Muted": ["false"]}),
        (lambda alice: alice.hold(), {"Hold": ["true"]}),
        (
            lambda alice: alice.hold(URL, method="POST"),
            {"Hold": ["true"], "HoldUrl": [URL], "HoldMethod": ["POST"]},
        ),
        (lambda alice: alice.unhold(), {"Hold": ["false"]}),
        (lambda alice: alice.announce(URL), {"AnnounceUrl": [URL]}),
        (
            lambda alice: alice.announce(URL, method="GET"),
            {"AnnounceUrl": [URL], "AnnounceMethod": ["GET"]},
        ),
        (lambda alice: alice.stop_coaching(), {"Coaching": ["false"]}),
        (lambda alice: alice.update(ParticipantChange(muted=True)), {"Muted": ["true"]}),
        (
            lambda alice: alice.update(wait_url="", beep_on_exit=False, extra={"NewOne": "1"}),
            {"WaitUrl": [""], "BeepOnExit": ["false"], "NewOne": ["1"]},
        ),
    ],
)
async def test_a_verb_sends_its_form_and_nothing_else(
    verb: Verb, form: dict[str, list[str]], room: ConferenceHandle, emulator: Emulator
) -> None:
    """Every verb is one update, answered with the participant."""
    created = await dial(room, "alice")

    changed = await verb(room.participants("alice"))

    request = last(emulator)
    assert (request.kind, request.method, request.form) == ("update", "POST", form)
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Accept"] == "application/json"
    assert changed.call_sid == created.call_sid


async def test_a_coach_is_heard_by_one_person_and_stops(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """Both directions of the verb, and what they send."""
    agent = await dial(room, "agent")
    await dial(room, "coach", to="+15558675311")
    coach = room.participants("coach")
    assert agent.call_sid

    coaching = await coach.coach(agent.call_sid)
    sent = last(emulator).form
    stopped = await coach.stop_coaching()

    assert sent == {"Coaching": ["true"], "CallSidToCoach": [agent.call_sid]}
    assert (coaching.coaching, coaching.call_sid_to_coach) == (True, agent.call_sid)
    assert stopped.coaching is False
    assert (await coach.coach("agent")).call_sid_to_coach == agent.call_sid
    with pytest.raises(RequestRefused) as refused:
        await coach.coach("CA" + "0" * 32)
    assert refused.value.code == 16028
    with pytest.raises(ParticipantNotFound):
        await coach.coach("nobody")


async def test_what_a_verb_changes_the_list_can_ask_for(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """All filters, together and each way."""
    alice = await dial(room, "alice")
    await dial(room, "bob")
    await dial(room, "carol")
    await room.participants("alice").mute()
    await room.participants("bob").hold()
    assert alice.call_sid
    await room.participants("carol").coach(alice.call_sid)

    async def labels(**filters: Any) -> list[str | None]:
        return [each.label for each in await room.participants.list(**filters)]

    assert await labels() == ["alice", "bob", "carol"]
    assert await labels(muted=True) == ["alice"]
    assert await labels(muted=False) == ["bob", "carol"]
    assert await labels(hold=True) == ["bob"]
    assert await labels(coaching=True) == ["carol"]
    assert await labels(coaching=False, hold=False, muted=True, page_size=7) == ["alice"]
    assert last(emulator).query == {
        "Muted": ["true"],
        "Hold": ["false"],
        "Coaching": ["false"],
        "PageSize": ["7"],
    }
    with pytest.raises(InvalidParameter, match="muted"):
        await labels(muted="true")


async def test_pages_come_whole(room: ConferenceHandle) -> None:
    """`pages` yields what `stream` yields, a page at a time."""
    for label in ("alice", "bob", "carol"):
        await dial(room, label)

    pages = [page async for page in room.participants.pages(page_size=2, muted=False)]

    assert [[each.label for each in page] for page in pages] == [["alice", "bob"], ["carol"]]


async def test_a_name_is_looked_up_once(room: ConferenceHandle, emulator: Emulator) -> None:
    """Creating needs no SID; what does shares one look-up, and the SID is kept."""
    created = await dial(room, "alice")
    assert emulator.count("conferences.list") == 0
    await asyncio.sleep(1)
    alice = room.participants("alice")

    await alice.fetch()
    await alice.mute()
    await room.participants.list()
    await room.fetch()

    assert await room.resolve() == created.conference_sid
    assert emulator.count("conferences.list") == 1


async def test_a_conference_where_everybody_is_still_ringing_is_live(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """It is `init`, which the service lists apart."""
    created = await dial(room, "alice")

    assert await room.resolve() == created.conference_sid
    asked = [each.query["Status"] for each in emulator.requests if each.kind == "conferences.list"]
    assert asked == [["in-progress"], ["init"]]


async def test_a_name_that_is_not_live_is_not_found(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The error says how to go on, and the next try looks again."""
    room = client.conferences("standup")
    alice = room.participants("alice")

    for operation in (alice.fetch, alice.mute, alice.delete, room.participants.list, room.end):
        with pytest.raises(ConferenceNotFound, match="no conference named 'standup' is live") as no:
            await operation()
        assert no.value.status == 404
    assert emulator.count() == emulator.count("conferences.list") == 10

    await dial(room, "alice")
    assert (await alice.fetch()).label == "alice"


async def test_a_name_is_matched_to_the_letter(serve: Any) -> None:
    """A conference whose name is merely alike is not taken for the one that was meant."""

    async def loose(_request: web.BaseRequest) -> web.Response:
        conference = {"status": "in-progress", "sid": "CF" + "1" * 32, "friendly_name": "Standup"}
        return web.json_response({"conferences": [conference], "next_page_uri": None})

    client = await serve(loose)

    assert await client.conferences("Standup").resolve() == "CF" + "1" * 32
    with pytest.raises(ConferenceNotFound):
        await client.conferences("standup").resolve()
    assert await client.find_placed("standup", "alice") is None


async def test_who_was_placed_is_found_by_name_or_sid(
    room: ConferenceHandle, client: ConferenceClient
) -> None:
    """`find_placed` says that it was looked up, and None when it is not there."""
    created = await dial(room, "alice")
    assert created.conference_sid

    by_name = await client.find_placed("standup", "alice")
    by_sid = await client.find_placed(created.conference_sid, "alice")

    assert by_name == by_sid
    assert by_name is not None
    assert (by_name.call_sid, by_name.reconciled) == (created.call_sid, True)
    assert await client.find_placed("standup", "bob") is None
    assert await client.find_placed("CF" + "0" * 32, "alice") is None


async def test_who_has_left_is_not_found(room: ConferenceHandle, emulator: Emulator) -> None:
    """Every operation says so; deleting somebody who was never there is no success."""
    created = await dial(room, "alice")
    await dial(room, "bob")
    alice = room.participants("alice")
    emulator.hang_up(created.call_sid)

    for operation in (alice.fetch, alice.mute, alice.delete):
        with pytest.raises(ParticipantNotFound, match="may have left") as caught:
            await operation()
        assert (caught.value.status, caught.value.code) == (404, 20404)
        assert caught.value.request_id


@pytest.mark.parametrize("fault", [Fault.RESET_AFTER, Fault.PLACE_THEN_500, Fault.STALL])
async def test_a_delete_whose_answer_was_lost_is_done_when_nobody_is_there(
    fault: Fault, room: ConferenceHandle, emulator: Emulator
) -> None:
    """A 404 after an attempt that may have arrived is what was asked for."""
    await dial(room, "alice")
    emulator.faults.add(fault, on="delete")

    await room.participants("alice").delete()

    assert emulator.count("delete") == 2
    assert emulator.participants("standup") == []


async def test_a_404_after_an_attempt_that_never_arrived_is_a_404(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """429 is no doubt: nobody was removed by us."""
    await dial(room, "alice")
    await room.resolve()
    emulator.faults.add(Fault.TOO_MANY, on="delete", retry_after=1)

    with pytest.raises(ParticipantNotFound):
        await room.participants("bob").delete()


async def test_handles_of_one_participant_are_equal(client: ConferenceClient) -> None:
    """So they are keys: whoever asks the conference for a handle again finds what it noted."""
    room = client.conferences("standup")
    noted = {room.participants("alice"): "muted"}

    assert noted[room.participants("alice")] == "muted"
    assert room.participants("bob") not in noted
    assert client.conferences("retro").participants("alice") not in noted
    assert room.participants("alice") != "alice"


async def test_handles_show_whom_they_address(client: ConferenceClient, emulator: Emulator) -> None:
    """Making and showing them sends nothing."""
    room = client.conferences("standup")

    assert repr(room) == "<ConferenceHandle 'standup'>"
    assert repr(room.participants) == "<Participants of 'standup'>"
    assert repr(room.participants("alice")) == "<ParticipantHandle 'alice' of 'standup'>"
    assert repr(client.conferences) == f"<Conferences of {client.account_sid}>"
    with pytest.warns(PersonalData):
        dad = client.conferences("dad +15558675310").participants("+15558675311")
    assert repr(dad) == "<ParticipantHandle '***5311' of 'dad ***5310'>"
    assert emulator.count() == 0
