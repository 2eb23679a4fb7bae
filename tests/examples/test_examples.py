"""Each example, started as it is and driven from outside, against an emulator."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis.asyncio as redis
from aiohttp import web
from yarl import URL

from conference_async.emulator import Emulator, Fault, Script

EXAMPLES = Path(__file__).parents[2] / "examples"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
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
        command = (name, *arguments) if name.startswith("-") else (str(EXAMPLES / name), *arguments)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", *command),
            stdin=PIPE,
            stdout=PIPE,
            env={**os.environ, **known, **environment},
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                await process.communicate()

    return _start


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
    async with asyncio.timeout(30):
        while not (line := await response.content.readline()).startswith(b"data: "):
            assert line
    return json.loads(line.removeprefix(b"data: "))


async def settled(response: aiohttp.ClientResponse, people: list[Any]) -> None:
    """Read server-sent events until they show these people."""
    while await next_picture(response) != people:
        pass


SERVERS = pytest.mark.parametrize(
    ("name", "form"), [("aiohttp_app.py", "data"), ("fastapi_app.py", "json")]
)


@SERVERS
async def test_web_applications(
    name: str,
    form: str,
    start: Start,
    emulator: Emulator,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    """They dial, take callbacks, refuse forged ones, and show the room live."""
    port = free_port()
    async with (
        start(name, PORT=str(port), STATE=str(tmp_path)) as process,
        reached(port) as session,
    ):
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
            assert process.returncode is None


@SERVERS
async def test_web_applications_dial_once_for_a_key(
    name: str,
    form: str,
    start: Start,
    emulator: Emulator,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    """Two workers, one key: whoever asks second is answered with the call of the first."""
    ports = free_port(), free_port()
    public = f"http://127.0.0.1:{ports[0]}"  # one for both, as behind a proxy
    guest: Any = {form: {"to": "+15558675310", "label": "alice"}}
    key = {"Idempotency-Key": "order-42"}
    async with AsyncExitStack() as stack:
        sessions: list[aiohttp.ClientSession] = []
        for port in ports:
            known = {"PORT": str(port), "STATE": str(tmp_path), "PUBLIC_URL": public}
            await stack.enter_async_context(start(name, **known))
            sessions.append(await stack.enter_async_context(reached(port)))

        async def ask(session: aiohttp.ClientSession, to: str = "+15558675310") -> tuple[int, Any]:
            guest[form]["to"] = to
            async with session.post("/rooms/standup", headers=key, **guest) as response:
                return response.status, await response.json()

        both = await asyncio.gather(*map(ask, sessions))
        later = await ask(sessions[0])
        assert sorted(status for status, _ in both) == [200, 201], both
        assert [status for status, _ in (later, await ask(sessions[1], "+15558675311"))] == [
            200,
            422,
        ]
        assert all(shown == later[1] for _, shown in both)
    assert emulator.ring_counts == {"+15558675310": 1}


@SERVERS
async def test_web_applications_say_whether_anybody_was_called(
    name: str,
    form: str,
    start: Start,
    emulator: Emulator,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    """A mistake, a refusal, an outage and doubt are told apart, and only an outage is repeated."""
    port = free_port()
    guest: Any = {form: {"to": "+15558675310", "label": "alice"}}
    async with (
        start(name, PORT=str(port), STATE=str(tmp_path), DEADLINE="3"),
        reached(port) as session,
    ):

        async def answered(**asked: Any) -> tuple[int, Any, str | None]:
            """Return status, body and hint of an answer."""
            async with session.post("/rooms/standup", **(asked or guest)) as response:
                retry = response.headers.get("Retry-After")
                return response.status, await response.json(), retry

        status, body, _ = await answered(**{form: {"to": "nobody", "label": "alice"}})
        assert (status, body["parameter"]) == (422, "to")
        emulator.faults.add(Fault.LABEL_CLASH)
        status, body, _ = await answered()
        assert (status, body["code"]) == (502, 16026)
        if form == "data":  # which `curl -d` would send without encoding
            status, body, _ = await answered(data="to=+15558675310&label=alice", headers=FORM)
            assert (status, "a + may have been lost" in body["detail"]) == (422, True)
        assert emulator.ring_counts == {}
        emulator.faults.add(Fault.RESET_AFTER)
        emulator.faults.add(Fault.INVISIBLE, seconds=3600)
        status, body, _ = await answered()
        assert (status, body["label"]) == (500, "alice")
        assert emulator.rings("+15558675310") == 1
        await emulator.stop_listening()
        began = asyncio.get_running_loop().time()
        assert await answered() == (503, {"detail": "nobody was called; try again"}, "5")
        assert asyncio.get_running_loop().time() - began < 8


@asynccontextmanager
async def four_workers(
    name: str, start: Start, port: int, public_url: str, state: Path
) -> AsyncIterator[list[int]]:
    """Run an example as its docstring says, and yield the process numbers of its workers."""
    shared = {"PORT": str(port), "STATE": str(state), "PUBLIC_URL": public_url, "PATIENCE": "30"}
    async with AsyncExitStack() as stack:
        if name == "aiohttp_app.py":
            started = [await stack.enter_async_context(start(name, **shared)) for _ in range(4)]
            workers = [process.pid for process in started]
        else:
            shared["PYTHONPATH"] = os.pathsep.join([str(EXAMPLES), *sys.path])
            command = ("-m", "uvicorn", "fastapi_app:app", "--workers", "4", "--port", str(port))
            parent = await stack.enter_async_context(start(*command, **shared))
            while len(workers := children(parent.pid)) < 4:  # noqa: ASYNC110 -- a process's doing
                await asyncio.sleep(0.05)
        yield workers


def children(pid: int) -> list[int]:
    """Return the worker processes of a server."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in found
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def placed_in(journal: Path) -> int:
    """Return for how many keys a journal knows the participant."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        count = "SELECT count(participant) FROM conference_async_intent"
        return int(connection.execute(count).fetchone()[0])


@asynccontextmanager
async def behind_a_proxy(port: int, prefix: str) -> AsyncIterator[str]:
    """Lead an address with a path of its own to a server, and yield that address."""

    async def forward(request: web.Request) -> web.Response:
        """Pass a request on, over a connection of its own: to any worker."""
        url = URL(f"http://127.0.0.1:{port}{request.raw_path.removeprefix(prefix)}", encoded=True)
        kept = (
            *("Content-Type", "Idempotency-Key"),
            *("X-Twilio-Signature", "I-Twilio-Idempotency-Token"),
        )
        headers = {each: request.headers[each] for each in kept if each in request.headers}
        try:
            async with session.request(
                request.method, url, data=await request.read(), headers=headers
            ) as answer:
                return web.Response(
                    status=answer.status,
                    body=await answer.read(),
                    content_type=answer.content_type,
                )
        except aiohttp.ClientError:
            return web.Response(status=HTTPStatus.BAD_GATEWAY)

    app = web.Application()
    app.router.add_route("*", prefix + "/{path:.*}", forward)
    runner = web.AppRunner(app, access_log=None)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}{prefix}"
        finally:
            await runner.cleanup()


@pytest.mark.skipif(sys.platform != "linux", reason="finds a server's workers in /proc")
@pytest.mark.timeout(200)
@SERVERS
async def test_four_workers_are_one_application(
    name: str,
    form: str,
    start: Start,
    emulator: Emulator,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    """Behind a proxy with another path: all callers hear, all workers know, two of them killed."""
    port = free_port()
    emulator.answer_after = 1
    async with (
        behind_a_proxy(port, "/phones") as public_url,
        four_workers(name, start, port, public_url, tmp_path) as workers,
        reached(port) as session,
    ):

        async def ask(label: str, number: int) -> int:
            """Ask for somebody to be called, and wait; ask again if the worker died meanwhile."""
            guest: Any = {form: {"to": f"+155586753{number:02}", "label": label}}
            while True:
                async with session.post(
                    f"{public_url}/rooms/standup", headers={"Idempotency-Key": label}, **guest
                ) as response:
                    if response.status != HTTPStatus.BAD_GATEWAY:
                        return response.status

        async def all_see(labels: list[str]) -> None:
            """Ask many times, so that every worker answers, until all show just these people."""
            sid = emulator.call("guest-0").room.sid

            async def look() -> set[str]:
                async with session.get(f"{public_url}/conferences/{sid}") as response:
                    return {one["label"] for one in await response.json()}

            async with asyncio.timeout(60):
                while [*await asyncio.gather(*(look() for _ in range(40)))] != [set(labels)] * 40:
                    pass

        guests = [f"guest-{number}" for number in range(12)]
        statuses = await asyncio.gather(*(ask(label, at) for at, label in enumerate(guests)))
        assert statuses == [201] * 12
        await all_see(guests)

        emulator.answer_after = None
        late = [f"late-{number}" for number in range(12)]
        waiting = [asyncio.create_task(ask(label, 20 + at)) for at, label in enumerate(late)]
        # A worker that is killed before it wrote down the reply leaves doubt: an honest 500.
        while await asyncio.to_thread(placed_in, tmp_path / "calls.db") < 24:  # noqa: ASYNC110 -- the processes' doing
            await asyncio.sleep(0.05)
        for worker in workers[:2]:
            os.kill(worker, signal.SIGKILL)
        await asyncio.sleep(0.5)  # those who lost their worker ask again
        for label in late:
            emulator.answer(label)
        statuses = await asyncio.gather(*waiting)

        assert set(statuses) <= {200, 201}
        assert statuses.count(201) > 0
        await all_see([*guests, *late])
    assert set(emulator.ring_counts.values()) == {1}


@SERVERS
async def test_a_phone_is_hung_up_where_nobody_waits_for_it(
    name: str,
    form: str,
    start: Start,
    emulator: Emulator,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    """The client goes away, or it rings for too long: the call is taken down, and that is said."""
    port = free_port()
    emulator.answer_after = None
    alice: Any = {form: {"to": "+15558675311", "label": "alice"}}
    bob: Any = {form: {"to": "+15558675312", "label": "bob"}}
    carol: Any = {form: {"to": "+15558675313", "label": "carol"}}
    async with (
        start(name, PORT=str(port), STATE=str(tmp_path), PATIENCE="3"),
        reached(port) as session,
    ):
        with pytest.raises(TimeoutError):
            async with session.post(
                "/rooms/standup", **alice, timeout=aiohttp.ClientTimeout(total=1)
            ):
                pass
        async with session.post("/rooms/standup", **bob) as response:
            assert (response.status, await response.json()) == (504, {"detail": "nobody picked up"})
        busy = asyncio.create_task(_status(session, carol))
        while "carol" not in {call.label for call in emulator.calls}:  # noqa: ASYNC110 -- a process's doing
            await asyncio.sleep(0.05)
        emulator.busy("carol")

        assert await busy == 409
        assert {call.label: call.call_status for call in emulator.calls} == {
            "alice": "canceled",
            "bob": "canceled",
            "carol": "busy",
        }


async def _status(session: aiohttp.ClientSession, guest: Any) -> int:
    """Return what comes of a request to dial somebody."""
    async with session.post("/rooms/standup", **guest) as response:
        return response.status


@pytest.mark.parametrize("name", ["aiohttp_app.py", "fastapi_app.py"])
def test_the_commands_in_a_docstring_send_what_they_show(name: str) -> None:
    """A form without encoding would lose the plus of its number."""
    commands = [line for line in (EXAMPLES / name).read_text().splitlines() if "curl" in line]

    assert len(commands) == 2
    assert "--data-urlencode to=+" in commands[0] or "--json" in commands[0]


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


@pytest.mark.timeout(200)
async def test_queue_worker(
    start: Start, emulator: Emulator, redis_server: str, tmp_path: Path
) -> None:
    """What a killed worker had taken comes again, to another: all answer, nobody rang twice."""
    emulator.answer_after = 1
    guests = [f"guest-{number}" for number in range(12)]
    shared = {"REDIS_URL": redis_server, "STATE": str(tmp_path), "LEASE": "4"}
    async with redis.Redis.from_url(redis_server, decode_responses=True) as queue:
        for number, label in enumerate(guests):
            to = f"+155586753{number:02}"
            row: Any = {"id": label, "room": "standup", "to": to, "label": label}
            await queue.xadd("invitations", row)
        # One in a second: none is claimed, and not yet called, at the instant of the kill.
        async with start("queue_worker.py", **shared, CPS="1") as dies:
            while len(emulator.calls) < 3:  # noqa: ASYNC110 -- a process's doing
                await asyncio.sleep(0.02)
            dies.kill()
            await dies.wait()
        # A call that was under way when it died is known half a minute later, from the log.
        async with start("queue_worker.py", **shared) as other, asyncio.timeout(150):
            while await queue.xlen("outcomes") < 12:  # noqa: ASYNC110 -- another process's doing
                await asyncio.sleep(0.1)
        said: Any = await queue.xrange("outcomes")

    assert other.returncode == 0
    assert {row["label"]: row["became"] for _, row in said} == dict.fromkeys(guests, "answered")
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
        async with asyncio.timeout(30):
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
        async with asyncio.timeout(30):
            return (await self._hear.readline()).decode().strip()
