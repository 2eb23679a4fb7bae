"""Many calls' callbacks, shuffled, doubled and partly lost, at workers that share a log."""

import asyncio
import os
import random
import signal
import sys
import time
from asyncio.subprocess import Process
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from blockbuster import BlockBuster

from conference_async.webhooks import Roster, parse_event, sign
from tests.conftest import UNMEASURED

URL = "https://example.com/hooks"
CALLS = int(os.environ.get("CONFERENCE_ASYNC_TEST_CALLS", "60"))
FULL = 10_000
"""From this size on the figures are held to their bounds: a small storm says nothing of them."""

WORKERS = 4 if CALLS >= FULL else 3

RATE = 250.0
"""Callbacks per second: 30 calls per second have about 200, doubled ones left out."""

ROOM = 50
LATEST = {"sqlite": 0.1, "redis": 0.05, "postgres": 0.05}
"""Seconds from a callback to every listener, of 99 in 100."""

QUIET = 0.01
"""Seconds in which 99 in 100 requests that do nothing are answered while the storm lasts: a machine
that takes longer has other work, and says nothing of the log."""

Callback = dict[str, str]


@pytest.fixture(autouse=True)
def processes_may_be_started(no_blocking_calls: BlockBuster) -> None:
    """Let this test look at folders and processes: nothing of the library runs in it."""
    no_blocking_calls.deactivate()


@attrs.frozen
class Storm:
    """What the service says, and what is true in the end."""

    callbacks: Sequence[Callback]
    """The callbacks that are sent, each of them twice and in any order."""

    rooms: dict[str, list[str]]
    """Who is in each room at the end, whatever was lost."""


def storm(calls: int) -> Storm:
    """Return what becomes of so many calls, one in ten of the callbacks lost."""
    chance = random.Random(5)  # the same every time
    written = format_datetime(datetime.now(UTC))
    callbacks: list[Callback] = []
    rooms: defaultdict[str, list[str]] = defaultdict(list)
    numbers: defaultdict[str, int] = defaultdict(int)

    def conference(room: str, call: str, step: str) -> Callback:
        numbers[room] += 1
        return {
            "ConferenceSid": room,
            "FriendlyName": room[-3:],
            "CallSid": call,
            "StatusCallbackEvent": f"participant-{step}",
            "SequenceNumber": str(numbers[room]),
            "Timestamp": written,
            "Muted": "false",
            "Hold": "false",
            "Coaching": "false",
            "EndConferenceOnExit": "false",
            "StartConferenceOnEnter": "true",
        }

    for number in range(calls):
        room, call = f"CF{number // ROOM:032}", f"CA{number:032}"
        progress = {"CallSid": call, "CallStatus": "in-progress", "SequenceNumber": "2"}
        callbacks += [{**progress, "Timestamp": written}, conference(room, call, "join")]
        rooms[room].append(call)
    for room, people in rooms.items():
        callbacks += [conference(room, call, "leave") for call in people[::2]]
        people[:] = people[1::2]
    kept = [each for each in callbacks if chance.random() > 0.1]
    sent = [*kept, *kept]
    chance.shuffle(sent)
    return Storm(sent, dict(rooms))


def name_of(callback: Callback) -> str:
    """Return the name under which a worker says that it heard a callback."""
    event = parse_event(callback)
    return f"{event.subject} {event.kind} {event.sequence_number}"


@attrs.define
class Worker:
    """A process that takes callbacks."""

    environment: dict[str, str]
    port: int
    process: Process | None = None

    async def start(self) -> None:
        """Start it; see `ready`."""
        # On a slow machine a connection may end just as something is sent: here none ends idle.
        idle = ("--timeout-keep-alive", "900")
        command = ("-m", "uvicorn", "event_worker:app", "--port", str(self.port), *idle)
        folder = str(Path(__file__).parent)
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, *command, "--app-dir", folder, "--log-level", "warning"),
            # Without it a restart would not find what the first start has compiled.
            env={**UNMEASURED, "PYTHONDONTWRITEBYTECODE": "", **self.environment},
        )

    async def kill(self) -> None:
        """End it without a chance to finish anything."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def answers(self, session: aiohttp.ClientSession) -> None:
        """Wait until it answers, as it does once it knows the past."""
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{self.port}/nothing"):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)

    async def says(self, session: aiohttp.ClientSession) -> Any:
        """Return what it has heard."""
        async with session.get(f"http://127.0.0.1:{self.port}/heard") as answer:
            return await answer.json()


@asynccontextmanager
async def running(
    kind: str, where: str, name: str, ports: Sequence[int]
) -> AsyncIterator[list[Worker]]:
    """Run workers that share a log."""
    environment = {"STORE": kind, "WHERE": where, "LOG": name}
    workers = [Worker(environment, port) for port in ports]
    try:
        for worker in workers:
            await worker.start()
        yield workers
    finally:
        for worker in workers:
            await worker.kill()


async def post(session: aiohttp.ClientSession, worker: Worker, callback: Callback) -> bool:
    """Return whether a worker took a callback."""
    headers = {"X-Twilio-Signature": sign(URL, callback, "token")}
    try:
        async with session.post(
            f"http://127.0.0.1:{worker.port}/hooks", data=callback, headers=headers
        ) as answer:
            return answer.status == 204
    except aiohttp.ClientConnectionError:
        return False


@attrs.frozen
class Record:
    """What was noted while the callbacks came."""

    sent: dict[str, float] = attrs.field(factory=dict[str, float])
    """The instant at which each event was first sent."""

    nothing: list[float] = attrs.field(factory=list[float])
    """The seconds that requests took which do nothing."""


async def rage(weather: Storm, workers: Sequence[Worker], session: aiohttp.ClientSession) -> Record:
    """Deliver all callbacks at their rate, and kill the last worker while they come."""
    record = Record()
    loop = asyncio.get_running_loop()

    async def ask_for_nothing() -> None:
        begun = time.monotonic()
        async with session.get(f"http://127.0.0.1:{workers[0].port}/nothing") as answer:
            assert answer.status == 204
        record.nothing.append(time.monotonic() - begun)

    async def deliver(number: int, callback: Callback) -> None:
        """Bring a callback to one of the workers, and to the next if that is gone."""
        record.sent.setdefault(name_of(callback), time.monotonic())
        while not await post(session, workers[number % WORKERS], callback):
            number += 1

    begun = loop.time()
    async with asyncio.TaskGroup() as deliveries:
        for number, callback in enumerate(weather.callbacks):
            await asyncio.sleep(begun + number / RATE - loop.time())
            deliveries.create_task(deliver(number, callback))
            if number % 10 == 0:
                deliveries.create_task(ask_for_nothing())
            if number == len(weather.callbacks) * 3 // 4:
                await workers[-1].kill()
    return record


def told(callbacks: Sequence[Callback]) -> dict[str, list[str]]:
    """Return who is in each room as one roster has it that hears everything."""
    reference = Roster()
    for callback in callbacks:
        reference.apply(parse_event(callback))
    return {
        room.conference_sid: sorted(one.call_sid for one in room.participants)
        for room in reference.rooms()
    }


def p99(values: Sequence[float]) -> float:
    """Return the value that 99 in 100 do not exceed."""
    return sorted(values)[len(values) * 99 // 100]


@pytest.mark.sized
@pytest.mark.timeout(120 + CALLS // 10)
@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgres"])
async def test_every_worker_knows_the_truth(
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    free_port: Callable[[], int],
) -> None:
    """Each event once at each of them, one killed and started again among them; and in time."""
    where = str(tmp_path / "events.db")
    if kind != "sqlite":
        where = request.getfixturevalue(f"{kind}_server")
    weather = storm(CALLS)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        ports = [free_port() for _ in range(WORKERS)]
        workers = await stack.enter_async_context(running(kind, where, tmp_path.name, ports))
        for worker in workers:
            await worker.answers(session)

        record = await rage(weather, workers, session)
        started = time.monotonic()
        await workers[-1].start()
        await workers[-1].answers(session)
        start = time.monotonic() - started
        returned = await workers[-1].says(session)
        said = list[Any]()
        while not said or any(len(each["heard"]) < len(record.sent) for each in said):
            await asyncio.sleep(0.5)
            said = [await worker.says(session) for worker in workers]
        for worker in workers:
            url = f"http://127.0.0.1:{worker.port}/seed"
            async with session.post(url, json=weather.rooms) as answer:
                assert answer.status == 200
        seeded = [await worker.says(session) for worker in workers]

    sent, seen = record.sent, told(weather.callbacks)
    for each in said:
        assert sorted(name for name, _ in each["heard"]) == sorted(sent)
        assert each["rooms"] == seen
    assert all(each["rooms"] == weather.rooms for each in seeded)
    assert returned["rooms"] == seen
    times = [at - sent[name] for each in said[:-1] for name, at in each["heard"]]
    with capsys.disabled():
        print(
            f"\n{kind}: {len(weather.callbacks)} callbacks, {len(sent)} events; to every listener "
            f"{p99(times) * 1000:.1f} ms (99 %), {max(times) * 1000:.0f} ms at most; started again "
            f"in {start:.2f} s, {returned['took']:.2f} s of it to know the past; a request for "
            f"nothing: {p99(record.nothing) * 1000:.1f} ms (99 %)"
        )
    if CALLS >= FULL and p99(record.nothing) <= QUIET:
        assert p99(times) <= LATEST[kind]
        assert start <= 1
