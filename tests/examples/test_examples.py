"""Each example, started as it is and driven from outside, against an emulator."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from conference_async.emulator import Emulator, Script

EXAMPLES = Path(__file__).parents[2] / "examples"
OURS = "+15017122661"

Start = Callable[..., AbstractAsyncContextManager[Process]]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return an emulator whose phones are picked up at once."""
    async with Emulator(cps=30, answer_after=0.1) as emulator:
        yield emulator


@pytest.fixture
def start(emulator: Emulator) -> Start:
    """Start an example that knows the emulator, and stop it in the end."""

    @asynccontextmanager
    async def _start(name: str, *arguments: str, **environment: str) -> AsyncIterator[Process]:
        known = {
            "TWILIO_ACCOUNT_SID": emulator.account_sid,
            "TWILIO_AUTH_TOKEN": emulator.auth_token,
            "CONFERENCE_ASYNC_BASE_URL": emulator.base_url,
            "FROM_NUMBER": OURS,
            "CPS": "30",
        }
        command = (sys.executable, "-W", "error", str(EXAMPLES / name), *arguments)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, env={**os.environ, **known, **environment}
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                await process.communicate()

    return _start


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@asynccontextmanager
async def reached(port: int) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a session of a server that has just been started, once it answers."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with asyncio.timeout(30):
            while True:
                try:
                    async with session.get("/"):
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)
        yield session


async def next_picture(response: aiohttp.ClientResponse) -> Any:
    """Return the next server-sent event."""
    async with asyncio.timeout(10):
        while not (line := await response.content.readline()).startswith(b"data: "):
            assert line
    return json.loads(line.removeprefix(b"data: "))


async def settled(response: aiohttp.ClientResponse, people: list[Any]) -> None:
    """Read server-sent events until they show these people."""
    while await next_picture(response) != people:
        pass


@pytest.mark.parametrize(("name", "form"), [("aiohttp_app.py", "data"), ("fastapi_app.py", "json")])
async def test_web_applications(name: str, form: str, start: Start, emulator: Emulator) -> None:
    """They dial, take callbacks, refuse forged ones, and show the room live."""
    port = free_port()
    async with start(name, PORT=str(port)) as process, reached(port) as session:
        guest: Any = {form: {"to": "+15558675310", "label": "alice"}}
        async with session.post("/rooms/standup", **guest) as response:
            assert response.status == 201
            placed = await response.json()
        async with session.get(f"/conferences/{placed['conference_sid']}/live") as response:
            assert response.content_type == "text/event-stream"
            await settled(response, [{"label": "alice", "muted": False}])
            emulator.hang_up(placed["call_sid"])
            await settled(response, [])

            async with session.post("/hooks/twilio", data={"CallSid": "CA1"}) as forged:
                assert forged.status == 403
            guest = {form: {"to": "nobody", "label": "bob"}}
            async with session.post("/rooms/standup", **guest) as refused:
                assert refused.status == 400
                assert "to: " in await refused.text()
            assert process.returncode is None


async def test_worker(start: Start, emulator: Emulator, tmp_path: Path) -> None:
    """It dials everybody in the file once, and says what became of each."""
    emulator.script("+15558675312", Script(outcome="busy", after=0.1))
    people = tmp_path / "people.csv"
    rows = [f"+1555867531{number},guest-{number}" for number in range(4)]
    people.write_text("\n".join(["to,label", *rows, "nobody,x"]))

    async with start("worker.py", "all-hands", str(people)) as process, asyncio.timeout(30):
        said, _ = await process.communicate()

    assert process.returncode == 0
    outcomes = dict(line.split(": ", 1) for line in said.decode().splitlines())
    assert outcomes.pop("guest-2") == "gone (unknown)"
    assert outcomes.pop("x").startswith("to: ")
    assert outcomes == {"guest-0": "answered", "guest-1": "answered", "guest-3": "answered"}
    assert set(emulator.ring_counts.values()) == {1}


async def test_bot(start: Start, emulator: Emulator) -> None:
    """Dial five, wait for three to join, mute the rest."""
    emulator.script("4", Script(after=60))
    emulator.script("3", Script(after=60))
    async with start("bot.py", "standup") as process:
        talk = _Talk(process)
        numbers = " ".join(f"+1555867530{number}" for number in range(5))
        assert await talk.say(f"dial {numbers}") == "dialled 5"
        assert await talk.say("wait 3") == "joined: guest-1, guest-2, guest-3"
        assert await talk.say("mute") == "2 done, 0 failed, 0 gone"
        muted = [call.label for call in emulator.participants("standup") if call.muted]
        assert muted == ["guest-4", "guest-5"]
        assert await talk.say("play https://example.com/a.mp3") == "5 done, 0 failed, 0 gone"
        assert await talk.say("remove guest-2") == "removed"
        assert (await talk.say("remove guest-2")).startswith("the service answered 404")
        assert await talk.say("sing") == "try: dial, wait, mute, play, remove"
        assert await talk.say("remove") == "4 done, 0 failed, 0 gone"
        async with asyncio.timeout(10):
            await process.communicate(b"")

    assert process.returncode == 0


class _Talk:
    def __init__(self, process: Process) -> None:
        assert process.stdin
        assert process.stdout
        self._say, self._hear = process.stdin, process.stdout

    async def say(self, line: str) -> str:
        """Say something, and return the answer."""
        self._say.write(f"{line}\n".encode())
        async with asyncio.timeout(20):
            return (await self._hear.readline()).decode().strip()
