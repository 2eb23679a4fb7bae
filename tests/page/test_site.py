"""The page over HTTP: its files, its buttons, and who may press them."""

import asyncio
import base64
import re
import socket
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import aiohttp
import pytest

from conference_async.emulator import Emulator, Fault

pytestmark = pytest.mark.looptime

Dial = Callable[..., Awaitable[list[str]]]


async def press(
    session: aiohttp.ClientSession,
    path: str,
    body: Any = None,
    *,
    method: str = "POST",
    **headers: str,
) -> tuple[int, Any]:
    """Press a button as the page does; return the status and what it says."""
    origin = {"Origin": str(session._base_url).rstrip("/")}
    async with session.request(
        method, f"/control/{path}", json=body, headers={**origin, **headers}
    ) as answer:
        return answer.status, None if answer.status == 204 else (await answer.json()).get("message")


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html"),
        ("/_emulator/page.css", "text/css"),
        ("/_emulator/page.js", "text/javascript"),
        ("/_emulator/icon.svg", "image/svg+xml"),
        ("/control/overview", "application/json"),
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


async def test_the_page_leaves_no_trace(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    """Its requests are not recorded, delayed, spoiled or counted as open."""
    emulator.latency = 100
    emulator.faults.add(Fault.RESET_BEFORE, on=None, times=None)
    begin = asyncio.get_running_loop().time()
    for path in ("/", "/control/overview", "/_emulator/nothing"):
        async with session.get(path) as answer:
            assert answer.status == (404 if path.endswith("nothing") else 200)
    assert (await press(session, "faults", method="DELETE"))[0] == 204

    assert asyncio.get_running_loop().time() - begin < 1
    assert (emulator.count(), emulator.accounts[0].open_requests) == (0, 0)


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
    emulator: Emulator, session: aiohttp.ClientSession, action: str, status: str, dial: Dial
) -> None:
    """Each does what the emulator's method of that name does."""
    (sid,) = await dial("alice")

    assert await press(session, f"calls/{sid}/{action}") == (200, None)
    assert emulator.call(sid).call_status == status


async def test_a_fault_is_injected_and_cleared(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    """It spoils the next request of its kind, with its particulars."""
    body = {"fault": "too_many", "on": "fetch", "times": 2, "retry_after": 7}
    assert await press(session, "faults", body) == (201, None)
    delay = {"fault": "delay", "on": None, "times": None, "seconds": 3}
    assert await press(session, "faults", delay) == (201, None)
    one, two = emulator.faults.rules

    assert (one.injection.fault, one.on, one.times) == (Fault.TOO_MANY, "fetch", 2)
    assert one.injection.retry_after == 7
    assert (two.injection.seconds, two.on, two.times) == (3, None, None)
    assert two.injection.retry_after is None
    assert await press(session, "faults", method="DELETE") == (204, None)
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
        {"fault": "delay", "once": True},
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
    "path",
    [
        "calls/CA1/answer",
        "calls/CA1/explode",
        "",
        "faults/none",
        "state",
        "rings/%FF",
        "calls//busy",
    ],
)
async def test_what_is_not_there_is_not_found(session: aiohttp.ClientSession, path: str) -> None:
    """Unknown calls, paths and actions are answered 404."""
    assert (await press(session, path))[0] == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_only_its_own_methods_are_known(session: aiohttp.ClientSession, method: str) -> None:
    """Nothing is changed by another method, and no cross-origin question is answered."""
    for path in ("/control/clock/advance", "/_emulator/page.js"):
        async with session.request(method, path) as answer:
            assert (answer.status, answer.headers["Allow"] in ("POST", "GET")) == (405, True)
            assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://example.com", "null", "", "http://127.0.0.1:1", "https://{host}"]
)
async def test_another_site_cannot_press_buttons(
    emulator: Emulator, session: aiohttp.ClientSession, origin: str, dial: Dial
) -> None:
    """A request that does not come from the page itself is refused, and nothing changes."""
    (sid,) = await dial("alice")
    host = emulator.base_url.removeprefix("http://")
    status, _ = await press(session, f"calls/{sid}/answer", Origin=origin.format(host=host))
    site = {"Sec-Fetch-Site": "cross-site"}
    async with session.post(f"/control/calls/{sid}/answer", headers=site) as without:
        assert without.status == 403

    assert status == 403
    assert emulator.call(sid).call_status == "ringing"


async def test_programs_need_not_say_where_they_come_from(
    emulator: Emulator, session: aiohttp.ClientSession, dial: Dial
) -> None:
    """Browsers always do when they change something; a shell's request has no origin."""
    await dial("alice")
    async with session.post("/control/calls/alice/answer") as answer:
        assert (answer.status, (await answer.json())["call_status"]) == (200, "in-progress")


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
        headers["Authorization"] = f"Bearer {emulator.control_token}"
        root = f"http://127.0.0.1:{emulator.port}"
        for path in ("/", "/control/overview"):
            async with session.get(root + path, headers=headers) as answer:
                assert answer.status == status
        headers["Origin"] = f"http://{headers['Host']}"
        async with session.delete(root + "/control/faults", headers=headers) as answer:
            assert answer.status == (204 if status == 200 else 403)


async def test_json_of_any_depth_is_refused(session: aiohttp.ClientSession) -> None:
    """A body nested a hundred thousand times is a 400 and no server error."""
    origin = {"Origin": str(session._base_url).rstrip("/")}
    body = b'{"fault":' * 100_000
    async with session.post("/control/faults", data=body, headers=origin) as answer:
        assert answer.status == 400


async def test_faults_have_a_bound(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    """The page cannot make the emulator keep more than ten thousand rules."""
    for _ in range(10_000):
        emulator.faults.add(Fault.DELAY)

    assert (await press(session, "faults", {"fault": "delay"}))[0] == 400
    assert len(emulator.faults.rules) == 10_000


PASSWORDS = [
    ("", 401),
    ("Bearer wrong", 401),
    ("Digest {token}", 401),
    ("Basic %%%", 401),
    ("Basic /w==", 401),
    ("Basic {wrong}", 401),
    ("Basic {right}", 200),
    ("Bearer {token}", 200),
]


@pytest.mark.parametrize(("authorization", "status"), PASSWORDS)
async def test_a_token_is_asked_for(authorization: str, status: int) -> None:
    """Without it the page neither shows nor changes anything; a browser asks for a password."""
    right, wrong = (base64.b64encode(one).decode() for one in (b"any:a:b", b"a:b:any"))
    given = authorization.format(token="a:b", right=right, wrong=wrong)
    async with Emulator(control_token="a:b") as emulator:
        headers = {"Authorization": given, "Origin": emulator.base_url}
        async with aiohttp.ClientSession(emulator.base_url, headers=headers) as session:
            for path in ("/", "/control/overview", "/_emulator/page.js"):
                async with session.get(path) as answer:
                    assert answer.status == status
                    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
            async with session.delete("/control/faults") as answer:
                assert answer.status == (204 if status == 200 else 401)
        assert "a:b" not in repr(emulator)


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("0.0.0.0", "127.0.0.1"),
        pytest.param(
            "::",
            "[::1]",
            marks=pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6"),
        ),
    ],
)
async def test_listening_beyond_loopback_is_said_and_guarded(
    host: str, near: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning names the address and not the token, which is made up and asked for."""
    async with Emulator(host=host) as emulator, aiohttp.ClientSession() as session:
        async with session.get(f"http://{near}:{emulator.port}/control/overview") as answer:
            assert answer.status == 401
        token = emulator.control_token
    (record,) = caplog.records

    assert token
    assert len(token) > 20
    assert host in record.getMessage()
    assert token not in record.getMessage()


@pytest.mark.parametrize(
    ("host", "beyond"),
    [
        ("127.0.0.1", False),
        ("127.1.2.3", False),
        ("::1", False),
        ("localhost", False),
        ("emulator.localhost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("", True),
        ("192.0.2.1", True),
        ("example.com", True),
    ],
)
def test_what_is_beyond_loopback(host: str, *, beyond: bool) -> None:
    """Every address that is not surely this machine's own."""
    assert Emulator(host=host).beyond_loopback == beyond
