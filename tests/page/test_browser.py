"""The page in a real Chromium without a screen, driven over its debugging protocol."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Self

import aiohttp
import pytest

from conference_async.emulator import Emulator
from tests.conftest import program

pytestmark = pytest.mark.browser

Dial = Callable[..., Awaitable[list[str]]]

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--remote-debugging-port=0",
)
KEYS = {"Tab": (9, ""), "Enter": (13, "\r")}


class Tab:
    """One browser tab."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse") -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._session: dict[str, str] = {}
        self._reading = asyncio.create_task(self._read())
        self.problems: list[str] = []
        """Errors that the page or the browser complained about."""

    async def _read(self) -> None:
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif told["method"] in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.problems.append(json.dumps(told["params"]))

    async def tell(self, method: str, **params: Any) -> Any:
        """Give the browser an order of its protocol and return the result."""
        self._number += 1
        self._answers[self._number] = answer = asyncio.get_running_loop().create_future()
        order = {"id": self._number, "method": method, "params": params, **self._session}
        await self._socket.send_json(order)
        told = await asyncio.wait_for(answer, 20)
        assert "error" not in told, (method, told)
        return told["result"]

    async def open(self) -> Self:
        """Open the tab."""
        target = await self.tell("Target.createTarget", url="about:blank")
        attached = await self.tell("Target.attachToTarget", flatten=True, **target)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log"):
            await self.tell(f"{domain}.enable")
        return self

    async def aclose(self) -> None:
        """Stop listening to the browser."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def go(self, url: str, width: int = 1280, height: int = 900) -> None:
        """Show a page in a window of this size."""
        await self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        await self.tell("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def ask(self, script: str) -> Any:
        """Return what a JavaScript expression yields."""
        answer = await self.tell(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until a JavaScript expression is true."""
        look = f"const look = () => ({script}) ? done() : setTimeout(look, 20); look()"
        await self.ask(f"new Promise((done) => {{ {look} }})")

    async def press(self, key: str) -> None:
        """Press and release a key, as a person does."""
        code, text = KEYS[key]
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.tell("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        await self.tell("Input.dispatchKeyEvent", type="keyUp", **common)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a browser and return the address of its protocol, or skip where there is none."""
    chromium = program("chromium", "chromium-browser")
    profile = tmp_path_factory.mktemp("profile")
    with subprocess.Popen(
        [chromium, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        told = profile / "DevToolsActivePort"
        for _ in range(600):
            if told.exists() and "\n" in told.read_text():
                break
            time.sleep(0.05)
        port, path = told.read_text().split()
        yield f"ws://127.0.0.1:{port}{path}"
        process.terminate()


@pytest.fixture
async def tab(browser: str) -> AsyncIterator[Tab]:
    """Open a tab."""
    async with aiohttp.ClientSession() as session, session.ws_connect(browser) as socket:
        tab = await Tab(socket).open()
        yield tab
        await tab.aclose()


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return an emulator whose phones ring until they are answered by hand."""
    async with Emulator(pace=False, answer_after=None) as emulator:
        yield emulator


def row(label: str) -> str:
    """Return JavaScript for the row of a participant."""
    return f"[...document.querySelectorAll('.call')].find(e => e.innerText.includes('{label}'))"


async def test_states_change_before_the_eyes(tab: Tab, emulator: Emulator, dial: Dial) -> None:
    """Rooms, participants and totals follow what happens, without a reload."""
    await tab.go(emulator.base_url)
    await tab.until("!document.querySelector('#empty').hidden")
    alice, bob = await dial("alice", "bob")
    await tab.until(f"{row('alice')}?.dataset.over === 'false' && {row('bob')}")
    assert await tab.ask("document.querySelector('#empty').hidden")
    emulator.answer(alice)
    emulator.call(alice).muted = True
    emulator.busy(bob)
    await tab.until(f"{row('alice')}.innerText.includes('muted')")
    await tab.until(f"{row('bob')}.querySelector('.pill').innerText === 'busy'")
    await tab.until("document.querySelector('#total-connected').innerText === '1'")
    await tab.until("document.querySelectorAll('#started .bar').length > 0")

    assert await tab.ask(f"{row('alice')}.querySelector('.pill').innerText") == "connected"
    assert tab.problems == []


async def test_markup_stays_text(
    tab: Tab, emulator: Emulator, session: aiohttp.ClientSession, dial: Dial
) -> None:
    """A label, a name or a path with markup in it is shown as it is, and does nothing."""
    markup = "<img src=x onerror=window.hit=1>"
    await tab.go(emulator.base_url)
    await dial(markup, room=markup)
    await dial('a" onclick="hit', room="<script>hit=1<\\script>")
    async with session.get("/<img src=x onerror=window.hit=1>"):
        pass
    await tab.until("document.querySelectorAll('.call').length === 2")
    shown = await tab.ask(
        "[...document.querySelectorAll('.room h3, .who b')].map(e => e.innerText)"
    )

    assert shown == [markup, markup, "<script>hit=1<\\script>", 'a" onclick="hit']
    assert await tab.ask("document.querySelectorAll('main img, main script').length") == 0
    assert await tab.ask("window.hit === undefined")
    assert tab.problems == []


async def test_the_keyboard_is_enough(tab: Tab, emulator: Emulator, dial: Dial) -> None:
    """Tab reaches the buttons, Enter presses them, and the place is kept when a button goes."""
    (sid,) = await dial("alice")
    await tab.go(emulator.base_url)
    await tab.until(row("alice"))
    for _ in range(2):  # past the link that skips
        await tab.press("Tab")
    assert await tab.ask("document.activeElement.ariaLabel") == "Answer: alice"
    await tab.press("Enter")
    await tab.until("document.activeElement.dataset.action === 'hang_up'")
    assert emulator.call(sid).status == "connected"
    await tab.until("document.querySelector('#said').innerText === 'alice picked up'")
    await tab.press("Enter")
    await tab.until("document.activeElement.classList.contains('room')")

    assert emulator.call(sid).call_status == "completed"
    assert tab.problems == []


async def test_a_fault_is_injected_with_the_keyboard(
    tab: Tab, emulator: Emulator, dial: Dial
) -> None:
    """The form takes one, shows it until it has happened, and shows the request it spoiled."""
    await tab.go(emulator.base_url)
    await tab.ask("document.querySelector('#fault').focus()")
    await tab.ask("document.querySelector('#fault').value = 'place_then_500'")
    await tab.ask("document.querySelector('#fault').dispatchEvent(new Event('change'))")
    for _ in range(3):
        await tab.press("Tab")
    await tab.press("Enter")
    await tab.until("document.querySelector('#armed').innerText.includes('Server error, placed')")
    await dial("alice")
    await tab.until("document.querySelector('#requests').innerText.includes('place then 500')")
    await tab.until("document.querySelector('#armed').children.length === 0")

    assert emulator.rings("+15558675310") == 1
    assert tab.problems == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_twelve_participants_fit(
    tab: Tab, emulator: Emulator, dial: Dial, width: int, scheme: str
) -> None:
    """Nothing sticks out or overlaps, whatever the state, the width and the colours."""
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    await tab.tell("Emulation.setEmulatedMedia", features=media)
    sids = await dial(*(f"participant {n}" for n in range(11)), "x" * 128)
    for sid in sids[:6]:
        emulator.answer(sid)
    emulator.busy(sids[6])
    await tab.go(emulator.base_url, width)
    await tab.until("document.querySelectorAll('.call').length === 12")
    overlapping = """[...document.querySelectorAll('.call, .room-head, .acts, header')].flatMap(
        (parent) => {
            const boxes = [...parent.children].map((child) => child.getBoundingClientRect())
                .filter((box) => box.width > 0);
            return boxes.flatMap((one, place) => boxes.slice(place + 1).filter((two) =>
                one.left < two.right - 1 && two.left < one.right - 1 &&
                one.top < two.bottom - 1 && two.top < one.bottom - 1).map(() => parent.innerText));
        })"""
    outside = """[...document.querySelectorAll('button, .pill, .time')]
        .filter((one) => one.getBoundingClientRect().right > innerWidth).length"""
    light = "getComputedStyle(document.body).backgroundColor === 'rgb(244, 246, 247)'"

    assert await tab.ask("document.documentElement.scrollWidth <= innerWidth")
    assert await tab.ask(overlapping) == []
    assert await tab.ask(outside) == 0
    assert await tab.ask(light) == (scheme == "light")
    assert tab.problems == []


async def test_only_those_connected_are_counted_as_in(
    tab: Tab, emulator: Emulator, dial: Dial
) -> None:
    """Twelve are in, one rings and is being called, and those who wait for the start wait."""
    *inside, _ = await dial("alice", *(f"p{n}" for n in range(11)), "carol")
    for sid in inside:
        emulator.answer(sid)
    emulator.conferences[0].status = "init"
    await tab.go(emulator.base_url)
    await tab.until("document.querySelector('.room-count')?.innerText === '12 in · 1 being called'")

    assert await tab.ask(f"{row('alice')}.innerText.includes('waits for the start')")
    assert tab.problems == []


async def test_an_emulator_that_is_gone_is_noticed(tab: Tab, emulator: Emulator) -> None:
    """The page says so, and goes on by itself when it is back."""
    await tab.go(emulator.base_url)
    await tab.until("document.querySelector('#live').innerText === 'live'")
    await emulator.stop_listening()
    await tab.until("document.querySelector('#live').innerText === 'not answering'")
    await emulator.start_listening()
    await tab.until("document.querySelector('#live').innerText === 'live'")
