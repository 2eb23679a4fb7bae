"""Lists in pages: whole, in order, nobody twice, and never more work than was asked for."""

import asyncio
import gc
import json
import os
import pickle
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
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
    RequestTimeout,
    RetryPolicy,
    ServiceFailed,
    UnexpectedReply,
    Unpaced,
)
from conference_async.emulator import Emulator, Fault
from conference_async.sending.pages import REMEMBERED, Listing
from conference_async.wire import PageReply

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


class Endless:
    """A list each of whose pages links to another one."""

    def __init__(self, *, newcomers: bool) -> None:
        self.asked = 0
        self._newcomers = newcomers

    async def __call__(self, _request: web.BaseRequest) -> web.Response:
        """Answer with one person, always the same or never."""
        self.asked += 1
        who = {"call_sid": f"CA{self.asked * self._newcomers}", "status": "queued"}
        link = f"{ROOT}?Page={self.asked}"
        room = {"sid": f"CF{self.asked}", "status": "in-progress"}
        return web.json_response(
            {"participants": [who], "conferences": [room], "next_page_uri": link}
        )


async def test_pages_that_bring_nobody_new_are_not_followed_without_end(serve: Serve) -> None:
    """A hundred pages in a row without a newcomer are an error, whatever the limit."""
    endless = Endless(newcomers=False)
    room = (await serve(endless)).conferences(SID)

    with pytest.raises(UnexpectedReply, match="100 pages in a row brought nobody new"):
        await room.participants.list(limit=10)

    assert endless.asked == 101


async def test_a_deadline_is_for_the_whole_list(serve: Serve) -> None:
    """Not for each of its pages, which may go on without end."""

    class Slow(Endless):
        async def __call__(self, request: web.BaseRequest) -> web.Response:
            await asyncio.sleep(0.9)
            return await super().__call__(request)

    slow = Slow(newcomers=True)
    client = await serve(slow, deadline=5)
    begun = asyncio.get_running_loop().time()

    for listing in (client.conferences(SID).participants.list(), client.conferences.list()):
        with pytest.raises(RequestTimeout, match="within its deadline of 5 s"):
            await listing

    assert asyncio.get_running_loop().time() - begun == pytest.approx(10, abs=1e-3)
    assert not prefetching()


async def test_somebody_is_known_again_after_many_others(serve: Serve) -> None:
    """Over one turn of what is remembered, so that its older half counts too."""
    size = REMEMBERED // 2
    book = Book(
        first=(list(range(size)), "ROOT?Page=a"),
        a=(list(range(size, 2 * size)), "ROOT?Page=b"),
        b=([0, size, 2 * size], None),
    )
    room = (await serve(book)).conferences(SID)

    assert calls(await room.participants.list()) == list(range(2 * size + 1))


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
        **{"1": ([4, 3], "ROOT?Page=2"), "2": ([4, 3, 2], "ROOT?Page=3"), "3": ([2, 1, 1], None)},
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
@pytest.mark.usefixtures("nothing_left_over")
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
        ({"limit": -1}, "limit: must be an int of 0 or more, not -1"),
        ({"limit": "5"}, "limit"),
        ({"limit": 2.5}, "limit"),
        ({"limit": True}, "limit"),
        (
            {"page_size": 0},
            r"page_size: must be an int from 1 to 1000 \(the service's error 20007\)",
        ),
        ({"page_size": 1001}, "page_size"),
        ({"page_size": True}, "page_size"),
        ({"page_size": "50"}, "page_size"),
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
    """A page fetched ahead does not fail before its turn."""
    room = await crowd(client.with_options(retry=RetryPolicy(attempts=1)), 4)
    emulator.faults.add(Fault.FAIL_500, on="list", after=1)
    seen: list[Participant] = []

    with pytest.raises(ServiceFailed):
        await gather_into(seen, room.participants.stream(page_size=2))

    assert [participant.label for participant in seen] == ["0", "1"]


@pytest.mark.usefixtures("nothing_left_over")
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


@pytest.mark.sized
@pytest.mark.timeout(300)
async def test_memory_does_not_grow_with_the_list(serve: Serve) -> None:
    """Streaming ten times as many takes hardly more: a page at a time is held."""
    size = int(os.environ.get("CONFERENCE_ASYNC_TEST_LISTED", "10000"))
    few = await peak_of(serve, size // 10)

    many = await peak_of(serve, size)

    print(f"peaks: {few / 1e6:.1f} MB for {size // 10}, {many / 1e6:.1f} MB for {size}")
    assert many - few < 4_000_000


async def test_an_item_that_cannot_be_read_names_the_request(serve: Serve) -> None:
    """The error tells what came, and the service's own name for the exchange."""

    async def answer(_: web.BaseRequest) -> web.Response:
        page = {"participants": [{"status": "queued"}, 7], "next_page_uri": None}
        return web.json_response(page, headers={"Twilio-Request-Id": "RQ1"})

    client = await serve(answer)
    with pytest.raises(UnexpectedReply, match="page of participants") as caught:
        await client.conferences(SID).participants.list()

    assert (caught.value.status, caught.value.request_id) == (200, "RQ1")


@pytest.mark.parametrize("in_pages", [True, False])
async def test_a_long_page_does_not_hold_up_the_loop(in_pages: bool, serve: Serve) -> None:
    """While its items are read, others have their turn again and again."""
    client = await serve(Book(first=([1], None)))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    noted: list[int] = []

    def read(payloads: list[dict[str, Any]]) -> list[str]:
        noted.extend(turns for _ in payloads)
        return [payload["sid"] for payload in payloads]

    sids = [str(number) for number in range(1000)]
    reply = PageReply(payloads=[{"sid": sid} for sid in sids], keys=sids, read=read, fields={})
    listing = Listing(
        sender=client._sender,
        kind="list",
        open=lambda page: page(ROOT),
        decode=lambda _: reply,
        resource="conference",
    )
    task = asyncio.create_task(others())
    async with listing.walk() as walk:
        if in_pages:
            found = list(await walk.page() or ())
        else:
            found = [sid async for some in walk for sid in some]
    task.cancel()

    assert found == sids
    assert max(noted.count(turn) for turn in set(noted)) <= 200


async def test_a_page_says_where_it_stands(client: ConferenceClient) -> None:
    """The service's paging fields stand beside the items, and its links lead both ways."""
    room = await crowd(client, 5)
    pages = [page async for page in room.participants.pages(page_size=2)]

    assert [(one.page, one.page_size, one.start, one.end) for one in pages] == [
        (0, 2, 0, 1),
        (1, 2, 2, 3),
        (2, 2, 4, 4),
    ]
    assert pages[0].previous_page_uri is None
    assert pages[2].next_page_uri is None
    assert {one.first_page_uri for one in pages} == {pages[0].uri}
    travelled = pickle.loads(pickle.dumps(pages[1]))
    assert (travelled, vars(travelled)) == (pages[1], vars(pages[1]))


async def test_a_list_goes_on_from_a_link_that_was_kept(client: ConferenceClient) -> None:
    """In another process, for instance: by SID or by name, forwards and backwards."""
    room = await crowd(client, 5)
    pages = [page async for page in room.participants.pages(page_size=2)]
    by_sid = client.conferences(await room.resolve())

    for participants in (room.participants, by_sid.participants):
        rest = await participants.list(start=pages[0].next_page_uri)
        assert [one.label for one in rest] == ["2", "3", "4"]
        back = await participants.list(start=pages[2].previous_page_uri, limit=1)
        assert [one.label for one in back] == ["2"]


async def test_the_list_of_conferences_goes_on_too(client: ConferenceClient) -> None:
    """With the filters that its link holds."""
    for name in ("a", "b", "c"):
        await client.conferences(name).participants.create(from_=FROM, to="+15558675310")
    pages = [page async for page in client.conferences.pages(page_size=1, status="init")]

    rest = client.conferences.stream(start=pages[0].next_page_uri)
    assert [one.friendly_name async for one in rest] == ["b", "c"]


@pytest.mark.parametrize(
    "start",
    [
        "",
        "/elsewhere",
        f"http://evil.example.com{ROOT}?Page=1",
        f"//evil.example.com{ROOT}?Page=1",
        ROOT.replace("CF1", "CF2") + "?Page=1",
        ROOT.replace("AC1", "AC2") + "?Page=1",
        f"{ROOT}/../../Participants.json",
        f"{ROOT}?Page=1 HTTP/1.1",
        f"{ROOT}?Page=1#there",
        f"{ROOT}?Page=1\r\nHost: evil",
    ],
)
async def test_a_list_begins_nowhere_else(start: str, serve: Serve) -> None:
    """A link to another list, account or host is refused before anything is sent."""
    book = Book(first=([1], None))
    room = (await serve(book)).conferences(SID)

    with pytest.raises(InvalidParameter, match="start: must be a link to a page of this very"):
        await room.participants.list(start=start)

    assert book.asked == []


async def test_a_link_holds_its_filters(client: ConferenceClient, emulator: Emulator) -> None:
    """A filter given beside it would have no effect, so it is refused."""
    room = client.conferences(SID)
    for listing in (
        room.participants.list(start=ROOT, page_size=5),
        room.participants.list(start=ROOT, muted=True),
    ):
        with pytest.raises(InvalidParameter, match="start: holds the filters and page size"):
            await listing

    assert emulator.count() == 0


async def test_a_wrong_keyword_names_the_public_functions(client: ConferenceClient) -> None:
    """And what they take, so that a typing mistake is found by reading."""
    wrong: dict[str, Any] = {"mutd": True}
    with pytest.raises(TypeError, match=r"^participants\.list.*take no 'mutd', but muted, hold"):
        await client.conferences("standup").participants.list(**wrong)
    with pytest.raises(TypeError, match=r"^conferences\.list.*take no 'mutd', but status, fri"):
        await client.conferences.list(**wrong)


@pytest.mark.parametrize("said", [{}, {"call_sid": None}, {"call_sid": ""}])
async def test_people_without_a_call_are_all_listed(said: dict[str, Any], serve: Serve) -> None:
    """The page has `call_sid` nullable, and no SID is nobody's who came before."""
    nameless = [{"label": label, "status": "connected", **said} for label in "abcd"]

    async def answer(request: web.BaseRequest) -> web.Response:
        first = "Page" not in request.query
        return web.json_response(
            {
                "participants": nameless[:2] if first else nameless[2:],
                "next_page_uri": f"{ROOT}?Page=1" if first else None,
            }
        )

    room = (await serve(answer)).conferences(SID)
    assert [one.label for one in await room.participants.list()] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("said", [{}, {"sid": None}, {"sid": ""}])
async def test_conferences_without_a_sid_are_all_listed(said: dict[str, Any], serve: Serve) -> None:
    """As are people without a call."""
    path = "/2010-04-01/Accounts/AC1/Conferences.json"

    async def answer(request: web.BaseRequest) -> web.Response:
        first = "PageToken" not in request.query
        names = "ab" if first else "cd"
        return web.json_response(
            {
                "conferences": [{"friendly_name": name, **said} for name in names],
                "next_page_uri": f"{path}?PageToken=PA1" if first else None,
            }
        )

    client = await serve(answer)
    assert [one.friendly_name for one in await client.conferences.list()] == ["a", "b", "c", "d"]
