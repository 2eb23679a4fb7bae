"""Each operation on conferences."""

import asyncio
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from conference_async import (
    Conference,
    ConferenceChange,
    ConferenceClient,
    ConferenceNotActive,
    ConferenceNotFound,
    ConferenceStatus,
    InvalidParameter,
    UnexpectedReply,
)
from conference_async.emulator import Emulator, Fault

FROM = "+15017122661"
TO = "+15558675310"
URL = "https://example.com/announcement.mp3"

pytestmark = pytest.mark.looptime


async def open_room(client: ConferenceClient, name: str, *, answered: bool = True) -> str:
    """Dial somebody into a conference of that name, and return its SID."""
    participant = await client.conferences(name).participants.create(from_=FROM, to=TO)
    if answered:
        await asyncio.sleep(1)
    assert participant.conference_sid
    return participant.conference_sid


def names(conferences: list[Conference]) -> list[str | None]:
    """Return the friendly names."""
    return [conference.friendly_name for conference in conferences]


async def test_a_conference_is_fetched_by_sid_or_name(client: ConferenceClient) -> None:
    """All its properties, live or over."""
    sid = await open_room(client, "standup")

    by_name = await client.conferences("standup").fetch()
    by_sid = await client.conferences(sid).fetch()

    assert by_name == by_sid
    assert (by_sid.sid, by_sid.friendly_name) == (sid, "standup")
    assert by_sid.status is ConferenceStatus.IN_PROGRESS
    assert by_sid.account_sid == client.account_sid
    assert by_sid.subresource_uris["participants"]
    assert by_sid.extra == {}


async def test_ending_a_conference_hangs_up_on_everybody(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Then it is completed, says why, and is not what its name means any more."""
    sid = await open_room(client, "standup")
    room = client.conferences("standup")

    ended = await room.end()

    assert emulator.requests[-1].form == {"Status": ["completed"]}
    assert ended.status is ConferenceStatus.COMPLETED
    assert ended.reason_conference_ended == "conference-ended-via-api"
    assert emulator.participants(sid) == []
    assert (await client.conferences(sid).fetch()).status is ConferenceStatus.COMPLETED
    with pytest.raises(ConferenceNotActive) as caught:
        await client.conferences(sid).end()
    assert caught.value.code == 16022


@pytest.mark.parametrize("fault", [Fault.PLACE_THEN_500, Fault.RESET_AFTER])
async def test_ending_a_conference_whose_answer_was_lost(
    client: ConferenceClient, emulator: Emulator, fault: Fault
) -> None:
    """The repeat finds it over, as was asked; the next one of its name is another matter."""
    sid = await open_room(client, "standup")
    room = client.conferences("standup")
    await room.fetch()
    emulator.faults.add(fault, on="conferences.update")

    ended = await room.end()

    assert (ended.sid, ended.status) == (sid, ConferenceStatus.COMPLETED)
    with pytest.raises(ConferenceNotFound):
        await room.end()


@pytest.mark.parametrize(
    ("announce", "form"),
    [
        (lambda room: room.announce(URL), {"AnnounceUrl": [URL]}),
        (
            lambda room: room.announce(URL, method="GET"),
            {"AnnounceUrl": [URL], "AnnounceMethod": ["GET"]},
        ),
        (lambda room: room.update(ConferenceChange(announce_url=URL)), {"AnnounceUrl": [URL]}),
        (
            lambda room: room.update(status="completed", announce_url=URL),
            {"Status": ["completed"], "AnnounceUrl": [URL]},
        ),
    ],
)
async def test_an_announcement_is_an_update(
    announce: Any, form: dict[str, list[str]], client: ConferenceClient, emulator: Emulator
) -> None:
    """It sends its form, and is answered with the conference."""
    sid = await open_room(client, "standup")

    conference = await announce(client.conferences(sid))

    assert emulator.requests[-1].form == form
    assert emulator.requests[-1].kind == "conferences.update"
    assert conference.sid == sid


async def test_an_update_of_nothing_is_refused_here(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """It would be a request without a meaning."""
    with pytest.raises(InvalidParameter):
        await client.conferences("CF" + "0" * 32).update()

    assert emulator.count() == 0


async def test_a_conference_that_is_not_there_is_not_found(client: ConferenceClient) -> None:
    """A SID that the account does not have ends in one clear error."""
    room = client.conferences("CF" + "0" * 32)

    for operation in (room.fetch, room.end, room.participants.list):
        with pytest.raises(ConferenceNotFound) as caught:
            await operation()
        assert (caught.value.status, caught.value.code) == (404, 20404)
        assert caught.value.more_info


async def test_conferences_are_listed_by_status_and_name(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The status is always sent, since what the service means without it is changing."""
    await open_room(client, "over")
    await client.conferences("over").end()
    await open_room(client, "one")
    await open_room(client, "two")
    await open_room(client, "ringing", answered=False)
    before = emulator.count("conferences.list")

    assert names(await client.conferences.list()) == ["one", "two"]
    assert names(await client.conferences.list(status="in-progress")) == ["one", "two"]
    assert names(await client.conferences.list(status="init")) == ["ringing"]
    assert names(await client.conferences.list(status="completed")) == ["over"]
    assert names(await client.conferences.list(friendly_name="two")) == ["two"]
    assert names(await client.conferences.list(friendly_name="two", status="completed")) == []
    sent = [each.query for each in emulator.requests if each.kind == "conferences.list"][before:]
    assert all(query["Status"] for query in sent)
    assert sent[0] == {"Status": ["in-progress"]}


async def test_conferences_are_listed_by_day(client: ConferenceClient, emulator: Emulator) -> None:
    """Days are UTC, also those of an aware datetime."""
    await open_room(client, "standup")
    conference = await client.conferences("standup").fetch()
    assert conference.date_created
    today = conference.date_created.date()
    tomorrow, yesterday = today + timedelta(1), today - timedelta(1)
    east = conference.date_created.astimezone(timezone(timedelta(hours=14)))

    async def found(**days: date | datetime) -> bool:
        filters: Any = days
        return names(await client.conferences.list(**filters)) == ["standup"]

    assert await found(date_created=today)
    assert await found(date_created=east, date_updated=today)
    assert await found(date_created_after=today, date_created_before=tomorrow)
    assert await found(date_updated_after=today, date_updated_before=tomorrow)
    assert not await found(date_created=yesterday)
    assert not await found(date_created_after=tomorrow)
    assert not await found(date_updated_before=yesterday)
    assert emulator.requests[-1].query == {
        "Status": ["in-progress"],
        "DateUpdated<": [yesterday.isoformat()],
    }
    with pytest.raises(InvalidParameter, match="time zone"):
        await client.conferences.list(date_created=datetime.now(UTC).replace(tzinfo=None))


async def test_conferences_come_in_pages(client: ConferenceClient, emulator: Emulator) -> None:
    """Streamed one by one, a page at a time, or as a list with an end."""
    for name in ("a", "b", "c"):
        await open_room(client, name)

    pages = [names(page) async for page in client.conferences.pages(page_size=2)]
    streamed = [each.friendly_name async for each in client.conferences.stream(page_size=1)]

    assert pages == [["a", "b"], ["c"]]
    assert streamed == ["a", "b", "c"]
    assert names(await client.conferences.list(limit=2)) == ["a", "b"]
    assert emulator.requests[-1].query["PageSize"] == ["2"]
    with pytest.raises(InvalidParameter, match="status"):
        await client.conferences.list(status="over")  # type: ignore[arg-type] # the point


@pytest.mark.parametrize("fault", [Fault.HTML_200, Fault.EMPTY_200, Fault.REDIRECT, Fault.TRUNCATE])
async def test_a_reply_that_is_no_conference_ends_in_one_error(
    fault: Fault, client: ConferenceClient, emulator: Emulator
) -> None:
    """Every other reply in a conference's place is an `UnexpectedReply`."""
    sid = await open_room(client, "standup")
    emulator.faults.add(fault, on="conferences.fetch", times=None)
    emulator.faults.add(fault, on="conferences.list", times=None)

    with pytest.raises(UnexpectedReply):
        await client.conferences(sid).fetch()
    with pytest.raises(UnexpectedReply):
        await client.conferences.list()
