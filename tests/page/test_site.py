"""The page over HTTP: its files, its state, its buttons, and who may press them."""

import asyncio
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import aiohttp
import pytest

from conference_async import ConferenceClient, Credentials, Unpaced
from conference_async.emulator import Emulator, Fault

pytestmark = pytest.mark.looptime

OURS, THEIRS = "+15017122661", "+15558675310"
MARKUP = '<img src=x onerror="alert(1)">'


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return an emulator at two calls a second, answered after two seconds."""
    async with Emulator(cps=2, answer_after=2) as emulator:
        yield emulator


@pytest.fixture
async def session(emulator: Emulator) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a session below the emulator's root."""
    async with aiohttp.ClientSession(emulator.base_url) as session:
        yield session


async def dial(emulator: Emulator, label: str, room: str = "standup", count: int = 1) -> str:
    """Place calls and return the SID of the last."""
    credentials = Credentials(emulator.account_sid, emulator.auth_token)
    sid = ""
    async with ConferenceClient(credentials, base_url=emulator.base_url, limit=Unpaced()) as client:
        for number in range(count):
            name = label if count == 1 else f"{label}{number}"
            made = await client.conferences(room).participants.create(
                from_=OURS, to=THEIRS, label=name
            )
            sid = made.call_sid
    return sid


async def look(session: aiohttp.ClientSession, account: str = "") -> Any:
    """Return the state that the page shows."""
    async with session.get(f"/_emulator/state?account={account}") as answer:
        assert answer.status == 200
        return await answer.json()


async def press(
    session: aiohttp.ClientSession, path: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    """Press a button as the page does; return the status and what it says."""
    origin = {"Origin": str(session._base_url).rstrip("/")}
    async with session.post(
        f"/_emulator/{path}", json=body, headers={**origin, **headers}
    ) as answer:
        return answer.status, None if answer.status == 204 else (await answer.json())["message"]


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html"),
        ("/_emulator/page.css", "text/css"),
        ("/_emulator/page.js", "text/javascript"),
        ("/_emulator/icon.svg", "image/svg+xml"),
        ("/_emulator/state", "application/json"),
    ],
)
async def test_every_file_is_served_under_a_strict_policy(
    session: aiohttp.ClientSession, path: str, content_type: str
) -> None:
    """Type, no sniffing, no caching, nothing from elsewhere, nothing inline, no framing."""
    async with session.get(path) as answer, session.head(path) as head:
        policy = answer.headers["Content-Security-Policy"]
        assert (answer.status, answer.content_type) == (200, content_type)
        assert head.status == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
    assert policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_needs_nothing_from_elsewhere_and_writes_no_markup() -> None:
    """No outside address, no inline script or style, no way to turn text into markup."""
    page = files("conference_async.emulator.page")
    markup, style, script = (
        page.joinpath(name).read_text() for name in ("index.html", "page.css", "page.js")
    )
    for text in (markup, style, script):
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)[a-z]", text)
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", markup)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)
    assert "url(" not in style


def test_the_page_offers_every_fault() -> None:
    """None is missing, none is made up."""
    markup = files("conference_async.emulator.page").joinpath("index.html").read_text()
    choice = markup[markup.index('id="fault"') : markup.index('id="on"')]

    offered = re.findall(r'<option value="(\w+)"', choice)
    assert sorted(offered) == sorted(fault.value for fault in Fault)


async def test_the_state_tells_rooms_calls_and_pace(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    """Status and seconds of each call, starts in each second, queue time: all at their instants."""
    await dial(emulator, "p", count=6)
    emulator.faults.add(Fault.FAIL_500, on="list", times=None)
    emulator.faults.add(Fault.DELAY, times=3)
    await asyncio.sleep(2.2)
    emulator.conferences[0].participants[0].muted = True
    state = await look(session)

    (room,) = state["rooms"]
    assert (room["name"], room["status"], room["live"], room["over"]) == (
        "standup",
        "in-progress",
        6,
        0,
    )
    assert [(call["label"], call["status"], call["seconds"]) for call in room["calls"]] == [
        ("p0", "connected", 0),
        ("p1", "ringing", 2),
        ("p2", "ringing", 1),
        ("p3", "ringing", 1),
        ("p4", "ringing", 0),
        ("p5", "queued", 0),
    ]
    assert [call["muted"] for call in room["calls"]] == [True, *[False] * 5]
    assert room["calls"][0]["to"] == THEIRS
    assert state["totals"] == {
        "placed": 6,
        "queued": 1,
        "ringing": 4,
        "connected": 1,
        "requests": 6,
    }
    assert state["pace"]["cps"] == "2"
    assert state["pace"]["started"] == [*[0] * 57, 2, 2, 1]
    assert max(state["pace"]["queue_time"]) == 2500
    assert state["faults"] == [
        {"fault": "fail_500", "on": "list", "left": None},
        {"fault": "delay", "on": "create", "left": 3},
    ]


async def test_the_pace_is_that_of_the_last_minute(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    """What is longer ago leaves the plot."""
    await dial(emulator, "alice")
    await asyncio.sleep(59)
    assert sum((await look(session))["pace"]["started"]) == 1
    await asyncio.sleep(1)
    assert sum((await look(session))["pace"]["started"]) == 0
    emulator.pace = False
    assert (await look(session))["pace"]["cps"] is None


async def test_what_is_over_stays_in_sight_for_a_while(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    """Ended calls are shown with how they ended, newest first, and so are ended conferences."""
    await dial(emulator, "p", count=15)
    for number in range(15):
        emulator.busy(emulator.conferences[0].labels[f"p{number}"].sid)
    for number in range(7):
        emulator.fail(await dial(emulator, "x", room=f"room {number}"))
    state = await look(session)

    assert [room["name"] for room in state["rooms"]] == [f"room {n}" for n in (6, 5, 4, 3, 2)]
    assert {room["status"] for room in state["rooms"]} == {"completed"}
    assert [call["call_status"] for call in state["rooms"][0]["calls"]] == ["failed"]
    for number in range(3):
        emulator.fail(await dial(emulator, "y", room=f"late {number}"))
    await dial(emulator, "q", room="now")
    rooms = (await look(session))["rooms"]
    assert [room["name"] for room in rooms][:2] == ["now", "late 2"]


async def test_the_state_is_bounded(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    """However much goes on, so many rooms, calls and requests are shown; the rest is counted."""
    await dial(emulator, "a", count=250)
    await dial(emulator, "b", room="b", count=250)
    for number in range(41):
        await dial(emulator, "c", room=f"c{number}")
    state = await look(session)

    assert len(state["rooms"]) == 40
    assert state["hidden_rooms"] == 3
    assert sum(len(room["calls"]) for room in state["rooms"]) == 500
    assert [room["hidden"] for room in state["rooms"]] == [0, 0, *[1] * 38]
    assert len(state["requests"]) == 40
    assert [one["number"] for one in state["requests"][:2]] == [541, 540]


async def test_the_page_leaves_no_trace(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    """Its requests are not recorded, delayed, spoiled or counted as open."""
    emulator.latency = 100
    emulator.faults.add(Fault.RESET_BEFORE, on=None, times=None)
    begin = asyncio.get_running_loop().time()
    for path in ("/", "/_emulator/state", "/_emulator/nothing"):
        async with session.get(path) as answer:
            assert answer.status == (404 if path.endswith("nothing") else 200)
    assert (await press(session, "faults/clear"))[0] == 204

    assert asyncio.get_running_loop().time() - begin < 1
    assert (emulator.count(), emulator.accounts[0].open_requests) == (0, 0)


async def test_no_secret_is_on_the_page(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    """Neither the token nor a key's secret is in the state."""
    _, secret = emulator.add_api_key()
    await dial(emulator, "alice")
    async with session.get("/_emulator/state") as answer:
        text = await answer.text()

    assert emulator.auth_token not in text
    assert secret not in text


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("answer", "in-progress"),
        ("hang_up", "busy"),
        ("busy", "busy"),
        ("no_answer", "no-answer"),
        ("fail", "failed"),
    ],
)
async def test_a_button_drives_a_call(
    emulator: Emulator, session: aiohttp.ClientSession, action: str, status: str
) -> None:
    """Each does what the emulator's method of that name does."""
    sid = await dial(emulator, "alice")

    assert await press(session, f"calls/{sid}/{action}") == (204, None)
    assert emulator.call(sid).call_status == status


async def test_a_fault_is_injected_and_cleared(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    """It spoils the next request of its kind, with its particulars."""
    body = {"fault": "too_many", "on": "fetch", "times": 2, "seconds": 7}
    assert await press(session, "faults", body) == (204, None)
    assert await press(session, "faults", {"fault": "delay", "seconds": 3}) == (204, None)
    one, two = emulator.faults.rules

    assert (one.injection.fault, one.on, one.times) == (Fault.TOO_MANY, "fetch", 2)
    assert one.injection.retry_after == 7
    assert (two.injection.seconds, two.on, two.times) == (3, None, float("inf"))
    assert two.injection.retry_after is None
    assert await press(session, "faults/clear") == (204, None)
    assert emulator.faults.rules == []


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"fault": "none"},
        {"fault": "delay", "seconds": "x"},
        {"fault": "delay", "seconds": -1},
        {"fault": "delay", "seconds": float("nan")},
        {"fault": "delay", "times": 0},
        {"fault": "delay", "times": float("inf")},
        {"fault": "delay", "times": 10**9},
        {"fault": "delay", "on": "nothing"},
        {"fault": "delay", "on": ["create"]},
    ],
)
async def test_an_odd_fault_is_refused(
    emulator: Emulator, session: aiohttp.ClientSession, body: Any
) -> None:
    """400, with a reason, and nothing changes."""
    status, reason = await press(session, "faults", body)

    assert status == 400
    assert reason
    assert emulator.faults.rules == []


@pytest.mark.parametrize(
    "path", ["calls/CA1/answer", "calls/CA1", "calls/CA1/explode", "", "faults/none", "state"]
)
async def test_what_is_not_there_is_not_found(session: aiohttp.ClientSession, path: str) -> None:
    """Unknown calls and actions are answered 404."""
    assert (await press(session, path))[0] == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_only_get_and_post_are_known(session: aiohttp.ClientSession, method: str) -> None:
    """Nothing is changed by another method, and no cross-origin question is answered."""
    async with session.request(method, "/_emulator/faults/clear") as answer:
        assert answer.status == 405
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://example.com", "null", "", "http://127.0.0.1:1", "https://{host}"]
)
async def test_another_site_cannot_press_buttons(
    emulator: Emulator, session: aiohttp.ClientSession, origin: str
) -> None:
    """Whoever does not come from the page itself is refused, and nothing changes."""
    sid = await dial(emulator, "alice")
    host = emulator.base_url.removeprefix("http://")
    status, _ = await press(session, f"calls/{sid}/answer", Origin=origin.format(host=host))
    async with session.post(f"/_emulator/calls/{sid}/answer") as without:
        assert without.status == 403

    assert status == 403
    assert emulator.call(sid).call_status == "ringing"


@pytest.mark.parametrize(
    ("host", "bound", "status"),
    [
        ("localhost:{port}", "127.0.0.1", 200),
        ("emulator.localhost", "127.0.0.1", 200),
        ("[::1]:{port}", "127.0.0.1", 200),
        ("127.0.0.2", "127.0.0.1", 200),
        ("192.0.2.1", "127.0.0.1", 403),
        ("evil.example", "127.0.0.1", 403),
        ("127.0.0.1.evil.example", "127.0.0.1", 403),
        ("localhost.evil.example", "127.0.0.1", 403),
        ("[", "127.0.0.1", 403),
        ("192.0.2.1:{port}", "0.0.0.0", 200),
        ("evil.example", "0.0.0.0", 403),
    ],
)
async def test_a_name_that_only_points_here_is_refused(host: str, bound: str, status: int) -> None:
    """A site that lets its own name resolve to this machine sees and changes nothing."""
    async with Emulator(host=bound) as emulator, aiohttp.ClientSession() as session:
        headers = {"Host": host.format(port=emulator.port)}
        root = f"http://127.0.0.1:{emulator.port}"
        for path in ("/", "/_emulator/state"):
            async with session.get(root + path, headers=headers) as answer:
                assert answer.status == status
        headers["Origin"] = f"http://{headers['Host']}"
        async with session.post(root + "/_emulator/faults/clear", headers=headers) as answer:
            assert answer.status == (204 if status == 200 else 403)


async def test_each_account_is_shown_by_itself(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    """The main account unless another is asked for; one that is not there is the main one."""
    other = emulator.add_account(cps=7.5)
    await dial(emulator, "alice")
    main, second, wrong = [
        await look(session, sid) for sid in (emulator.account_sid, other.sid, "AC%3C&b")
    ]

    assert main["accounts"] == [emulator.account_sid, other.sid]
    assert (main["account"], len(main["rooms"])) == (emulator.account_sid, 1)
    assert (second["account"], second["rooms"], second["pace"]["cps"]) == (other.sid, [], "7.5")
    assert wrong["account"] == emulator.account_sid
