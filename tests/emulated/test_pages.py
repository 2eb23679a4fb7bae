"""Lists in pages: whole, in order, nobody twice, and never more work than was asked for."""

import asyncio
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from conference_async import (
    ConferenceClient,
    ConferenceHandle,
    Credentials,
    InvalidParameter,
    Participant,
    RetryPolicy,
    ServiceFailed,
    UnexpectedReply,
    Unpaced,
)
from conference_async.emulator import Emulator, Fault
from conference_async.pages import Listing
from conference_async.wire import Page

FROM = "+15017122661"
SID = "CF" + "1" * 32
ROOT = f"/2010-04-01/Accounts/{'AC' + '1' * 32}/Conferences/{SID}/Participants.json"

Serve = Callable[..., Awaitable[ConferenceClient]]

pytestmark = pytest.mark.looptime


class Book:
    """A list that is served as it was written: pages of call numbers, and the links after them."""

    def __init__(self, **pages: tuple[list[int], str | None]) -> None:
        self.pages = pages
        self.asked: list[str] = []

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Answer with the page of that name, the first one without a name."""
        name = request.query.get("Page", "first")
        self.asked.append(name)
        calls, link = self.pages[name]
        return web.json_response(
            {
                "participants": [{"call_sid": f"CA{call}", "status": "queued"} for call in calls],
                "next_page_uri": link and link.replace("ROOT", ROOT),
            }
        )


def calls(participants: list[Participant]) -> list[int]:
    """Return the call numbers."""
    return [int((participant.call_sid or "").removeprefix("CA")) for participant in participants]


async def gather_into(seen: list[Participant], stream: AsyncIterator[Participant]) -> None:
    """Keep what comes before an error does."""
    async for participant in stream:
        await asyncio.sleep(1)
        seen.append(participant)


def prefetching() -> list["asyncio.Task[Any]"]:
    """Return the tasks that fetch a page now."""
    return [each for each in asyncio.all_tasks() if "Listing" in repr(each.get_coro())]


async def crowd(client: ConferenceClient, size: int) -> ConferenceHandle:
    """Dial people labelled 0, 1, 2, … into a conference."""
    room = client.conferences("standup")
    for number in range(size):
        await room.participants.create(from_=FROM, to=f"+1555867{number:04}", label=str(number))
    return room


async def test_pages_follow_the_links_of_the_service(serve: Serve) -> None:
    """Tokens and all, as they came, until there is no link."""
    book = Book(
        first=([1, 2], "ROOT?Page=a%20b&PageToken=PA%2Bx"),
        **{"a b": ([3], "ROOT?Page=c")},
        c=([4], ""),
    )
    room = (await serve(book)).conferences(SID)

    assert calls(await room.participants.list()) == [1, 2, 3, 4]
    assert book.asked == ["first", "a b", "c"]


@pytest.mark.parametrize(
    ("pages", "before"),
    [
        ({"first": ([1], "ROOT")}, []),
        ({"first": ([1], "ROOT?Page=a"), "a": ([2], "ROOT?Page=a")}, [1]),
        (
            {
                "first": ([1], "ROOT?Page=a"),
                "a": ([2], "ROOT?Page=b"),
                "b": ([3], "ROOT?Page=a"),
            },
            [1, 2],
        ),
    ],
)
async def test_a_list_that_would_never_end_ends_with_an_error(
    pages: dict[str, Any], before: list[int], serve: Serve
) -> None:
    """A page that links to itself, to the first one, or to any that was read."""
    book = Book(**pages)
    room = (await serve(book)).conferences(SID)
    seen: list[Participant] = []

    with pytest.raises(UnexpectedReply, match="would never end"):
        await gather_into(seen, room.participants.stream())

    assert calls(seen) == before
    assert len(book.asked) == len(pages)


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.com/2010-04-01/Accounts/x",
        "//evil.example.com/2010-04-01/Accounts/x",
        "http://127.0.0.1:1/2010-04-01/Accounts/x",
        "/2010-04-01/Accounts/../../admin",
        "/2010-04-01/Accounts/%2e%2e/admin",
        "/elsewhere",
        "ROOT?Page=2\r\nHost: evil",
        "?Page=2",
    ],
)
async def test_a_link_that_leaves_the_api_is_not_followed(link: str, serve: Serve) -> None:
    """Our credentials go nowhere but to the host that the client was made for."""
    book = Book(first=([1], link))
    room = (await serve(book)).conferences(SID)

    with pytest.raises(UnexpectedReply, match="not followed"):
        await room.participants.list()

    assert book.asked == ["first"]


async def test_nobody_comes_twice_when_arrivals_shift_the_pages(serve: Serve) -> None:
    """A service that counts from the newest shows the last of one page again on the next."""
    book = Book(
        first=([5, 4], "ROOT?Page=1"),
        **{"1": ([4, 3], "ROOT?Page=2"), "2": ([4, 3, 2], "ROOT?Page=3"), "3": ([2, 1], None)},
    )
    room = (await serve(book)).conferences(SID)

    assert calls(await room.participants.list()) == [5, 4, 3, 2, 1]
    pages = [calls(page) async for page in room.participants.pages()]
    assert pages == [[5, 4], [3], [2], [1]]


async def test_who_comes_or_goes_between_pages_confuses_nobody(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Those who stay come once each, in order; those who join come last, at most once."""
    room = await crowd(client, 8)
    labels: list[str] = []

    async for participant in room.participants.stream(page_size=2):
        assert participant.label is not None
        labels.append(participant.label)
        if participant.label == "2":
            for gone in ("0", "3", "6"):
                await room.participants(gone).delete()
            await room.participants.create(from_=FROM, to="+15558679999", label="late")

    assert labels == ["0", "1", "2", "3", "4", "5", "7", "late"]
    assert emulator.count("list") == 4


async def test_exactly_one_page_is_fetched_ahead(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """While the caller works on one page the next one comes, and no other."""
    room = await crowd(client, 6)
    await room.resolve()
    assert emulator.count("list") == 0
    stream = room.participants.stream(page_size=2)
    await asyncio.sleep(1)
    assert emulator.count("list") == 0
    asked: list[int] = []

    async for _ in stream:
        await asyncio.sleep(1)
        asked.append(emulator.count("list"))

    assert asked == [2, 2, 3, 3, 3, 3]


async def test_the_next_page_comes_while_the_caller_works(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Three pages of two seconds, two seconds of work on each: eight seconds, not twelve."""
    room = await crowd(client, 3)
    await room.resolve()
    emulator.latency = 2
    begun = asyncio.get_running_loop().time()

    async for _ in room.participants.pages(page_size=1):
        await asyncio.sleep(2)

    assert asyncio.get_running_loop().time() - begun == pytest.approx(8, abs=1e-3)


@pytest.mark.parametrize("method", ["stream", "pages"])
async def test_leaving_early_leaves_nothing_behind(
    method: str, client: ConferenceClient, emulator: Emulator
) -> None:
    """After a break no task goes on fetching, even without a word to the generator."""
    room = await crowd(client, 6)
    await room.resolve()
    emulator.latency = 5

    async for _ in getattr(room.participants, method)(page_size=2):
        assert len(prefetching()) == 1
        break
    await asyncio.sleep(0.1)

    assert prefetching() == []
    assert client._sender.congestion.busy == 0


@pytest.mark.parametrize("method", ["stream", "pages"])
def test_a_stream_that_is_left_half_way_ends_with_the_loop_quietly(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody still holds it then, so that the loop closes it, and finds nothing to say."""

    async def hold() -> AsyncIterator[Any]:
        async with (
            Emulator(cps=30) as emulator,
            ConferenceClient(
                Credentials(emulator.account_sid, emulator.auth_token),
                base_url=emulator.base_url,
                limit=Unpaced(),
            ) as client,
        ):
            room = await crowd(client, 3)
            held = cast("AsyncIterator[Any]", getattr(room.participants, method)(page_size=1))
            await anext(held)
            return held

    held = asyncio.run(hold())

    assert caplog.records == []
    del held


async def test_a_cancelled_list_leaves_nothing_behind(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Cancelled while a page is on its way, the page is not waited for."""
    room = await crowd(client, 6)
    await room.resolve()
    emulator.latency = 5
    task = asyncio.create_task(room.participants.list(page_size=2))
    await asyncio.sleep(7)
    assert len(prefetching()) == 1

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert prefetching() == []
    assert asyncio.get_running_loop().time() == pytest.approx(7, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "page_size", "requests", "found"),
    [
        ({}, None, 1, 5),
        ({"limit": 3}, "3", 1, 3),
        ({"limit": 5}, "5", 1, 5),
        ({"limit": 9}, "9", 1, 5),
        ({"limit": 0}, None, 0, 0),
        ({"limit": 3, "page_size": 2}, "2", 2, 3),
        ({"limit": 4, "page_size": 2}, "2", 2, 4),
        ({"limit": 1, "page_size": 5}, "5", 1, 1),
        ({"page_size": 1000}, "1000", 1, 5),
        ({"limit": 5000}, "1000", 1, 5),
        ({"page_size": 2}, "2", 3, 5),
    ],
)
async def test_a_limit_asks_for_no_more_than_it_needs(
    options: dict[str, Any],
    page_size: str | None,
    requests: int,
    found: int,
    client: ConferenceClient,
    emulator: Emulator,
) -> None:
    """The page size follows from it where none is given, and no page is fetched in vain."""
    room = await crowd(client, 5)

    participants = await room.participants.list(**options)

    assert [each.label for each in participants] == [str(number) for number in range(found)]
    assert emulator.count("list") == requests
    asked = [each.query.get("PageSize") for each in emulator.requests if each.kind == "list"]
    assert asked == [None if page_size is None else [page_size]] * requests


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"limit": -1}, "limit: must be 0 or more"),
        ({"limit": True}, "limit"),
        (
            {"page_size": 0},
            r"page_size: must be from 1 to 1000, not 0 \(the service's error 20007\)",
        ),
        ({"page_size": 1001}, "page_size"),
        ({"page_size": True}, "page_size"),
    ],
)
async def test_bounds_of_a_list_are_checked_here(
    options: dict[str, Any], says: str, client: ConferenceClient, emulator: Emulator
) -> None:
    """Nothing is sent for what the service would refuse or misread."""
    for listing in (client.conferences, client.conferences(SID).participants):
        with pytest.raises(InvalidParameter, match=says):
            await listing.list(**options)

    assert emulator.count() == 0


async def test_an_error_on_a_later_page_comes_after_the_earlier_ones(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """What was fetched ahead does not fail before its turn."""
    room = await crowd(client.with_options(retry=RetryPolicy(attempts=1)), 4)
    emulator.faults.add(Fault.FAIL_500, on="list", after=1)
    seen: list[Participant] = []

    with pytest.raises(ServiceFailed):
        await gather_into(seen, room.participants.stream(page_size=2))

    assert [participant.label for participant in seen] == ["0", "1"]


async def test_an_error_on_a_page_that_nobody_wants_any_more_is_nobodys(
    client: ConferenceClient, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """It is neither raised nor logged as never retrieved."""
    room = await crowd(client.with_options(retry=RetryPolicy(attempts=1)), 4)
    emulator.faults.add(Fault.FAIL_500, on="list", after=1)

    async for _ in room.participants.stream(page_size=2):
        await asyncio.sleep(1)
        break
    await asyncio.sleep(1)
    gc.collect()

    assert emulator.count("list") == 2
    assert prefetching() == []
    assert caplog.text == ""


async def peak_of(serve: Serve, size: int) -> int:
    """Return the most memory in bytes in use while so many participants are streamed."""
    in_page = 1000

    async def generated(request: web.BaseRequest) -> web.Response:
        query = parse_qs(request.query_string)
        first = int(query.get("PageToken", ["0"])[0])
        participants = [
            {
                "account_sid": "AC" + "1" * 32,
                "call_sid": f"CA{number:032x}",
                "label": f"agent {number}",
                "conference_sid": SID,
                "date_created": f"Fri, 18 Feb 2011 21:07:{number % 60:02} +0000",
                "date_updated": "Fri, 18 Feb 2011 21:07:19 +0000",
                "end_conference_on_exit": False,
                "muted": False,
                "hold": False,
                "status": "connected",
                "start_conference_on_enter": True,
                "coaching": False,
                "call_sid_to_coach": None,
                "queue_time": None,
                "uri": f"{ROOT.removesuffix('.json')}/CA{number:032x}.json",
            }
            for number in range(first, min(first + in_page, size))
        ]
        after = first + in_page
        link = f"{ROOT}?PageSize={in_page}&PageToken={after}" if after < size else None
        page = {"participants": participants, "next_page_uri": link}
        return web.Response(body=json.dumps(page).encode())

    room = (await serve(generated)).conferences(SID)
    count = 0
    tracemalloc.start()
    try:
        async for _ in room.participants.stream(page_size=in_page):
            count += 1
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        assert count == size


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_memory_does_not_grow_with_the_list(serve: Serve) -> None:
    """Streaming 100,000 participants takes at most 20 MB more than streaming 1,000."""
    few = await peak_of(serve, 1_000)

    many = await peak_of(serve, 100_000)

    print(f"peaks: {few / 1e6:.1f} MB for 1,000, {many / 1e6:.1f} MB for 100,000")
    assert many - few < 20_000_000


async def test_an_item_that_cannot_be_read_names_the_request(serve: Serve) -> None:
    """The error tells what came, and the service's own name for the exchange."""

    async def answer(_: web.BaseRequest) -> web.Response:
        page = {"participants": [{"status": "queued"}, {"status": 7}], "next_page_uri": None}
        return web.json_response(page, headers={"Twilio-Request-Id": "RQ1"})

    client = await serve(answer)
    with pytest.raises(UnexpectedReply, match="page of participants") as caught:
        await client.conferences(SID).participants.list()

    assert (caught.value.status, caught.value.request_id) == (200, "RQ1")


async def test_a_long_page_does_not_hold_up_the_loop(serve: Serve) -> None:
    """While its items are read, others have their turn again and again."""
    client = await serve(Book(first=([1], None)))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    noted: list[int] = []

    def slowly_read() -> Iterator[int]:
        for number in range(1000):
            noted.append(turns)
            yield number

    listing = Listing(
        sender=client._sender,
        kind="list",
        path=ROOT,
        decode=lambda _: Page(items=slowly_read(), next_page_uri=None),
        key=int,
        resource="conference",
    )
    task = asyncio.create_task(others())
    async with listing.walk() as pages:
        (page,) = [page async for page in pages]
    task.cancel()

    assert page == list(range(1000))
    assert max(noted.count(turn) for turn in set(noted)) <= 100
