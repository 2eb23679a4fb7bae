"""A web server in several processes: one application to whoever asks it."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from conference_async.emulator import Emulator

if TYPE_CHECKING:
    from tests.examples.conftest import Reached, Start

EXAMPLES = Path(__file__).parents[2] / "examples"
WORKERS = int(os.environ.get("CONFERENCE_ASYNC_TEST_WORKERS", "2"))


@asynccontextmanager
async def workers_of(
    name: str, start: "Start", emulator: Emulator, port: int, environment: dict[str, str]
) -> AsyncIterator[tuple[Process, list[int]]]:
    """Run an example as its docstring says; yield a server, and the numbers of all workers."""
    shared = {"PORT": str(port), **environment}
    async with AsyncExitStack() as stack:
        if name == "aiohttp_app.py":
            started = [
                await stack.enter_async_context(start(emulator, name, **shared))
                for _ in range(WORKERS)
            ]
            server, workers = started[-1], [process.pid for process in started]
        else:
            shared["PYTHONPATH"] = os.pathsep.join([str(EXAMPLES), *sys.path])
            command = ("-m", "uvicorn", "fastapi_app:app", "--workers", str(WORKERS))
            server = await stack.enter_async_context(
                start(emulator, *command, "--port", str(port), **shared)
            )
            while len(workers := children(server.pid)) < WORKERS:  # noqa: ASYNC110 -- a process's doing
                await asyncio.sleep(0.05)
        yield server, workers


def children(pid: int) -> list[int]:
    """Return the worker processes of a server."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in found
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


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


@pytest.mark.sized
@pytest.mark.skipif(sys.platform != "linux", reason="finds a server's workers in /proc")
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("aiohttp_app.py", "data"),
        pytest.param("fastapi_app.py", "json", marks=pytest.mark.soak),
    ],
)
async def test_several_workers_are_one_application(
    name: str,
    form: str,
    start: "Start",
    reached: "Reached",
    placed_in: Callable[[Path], int],
    emulator: Emulator,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    """Behind a proxy with another path: all callers hear, all workers know, half of them killed."""
    port = free_port()
    emulator.answer_after = 1
    async with (
        behind_a_proxy(port, "/phones") as public_url,
        workers_of(
            *(name, start, emulator, port),
            {"STATE": str(tmp_path), "PUBLIC_URL": public_url, "PATIENCE": "30"},
        ) as (server, workers),
        reached(port, server) as session,
    ):

        async def ask(label: str, number: int) -> list[int]:
            """Ask for somebody to be called, and wait; ask again if the worker died meanwhile."""
            guest: Any = {form: {"to": f"+155586753{number:02}", "label": label}}
            heard: list[int] = []
            while not heard or heard[-1] == HTTPStatus.BAD_GATEWAY:
                async with session.post(
                    f"{public_url}/rooms/standup", headers={"Idempotency-Key": label}, **guest
                ) as response:
                    heard.append(response.status)
            return heard

        async def all_see(labels: list[str]) -> None:
            """Ask many times, so that every worker answers, until all show just these people."""
            sid = emulator.call("guest-0").room.sid

            async def look() -> set[str]:
                async with session.get(f"{public_url}/conferences/{sid}") as response:
                    return {one["label"] for one in await response.json()}

            looks = 20 * WORKERS
            while [*await asyncio.gather(*(look() for _ in range(looks)))] != [{*labels}] * looks:
                pass

        guests = [f"guest-{number}" for number in range(12)]
        statuses = await asyncio.gather(*(ask(label, at) for at, label in enumerate(guests)))
        assert statuses == [[201]] * 12
        await all_see(guests)

        emulator.answer_after = None
        late = [f"late-{number}" for number in range(12)]
        waiting = [asyncio.create_task(ask(label, 20 + at)) for at, label in enumerate(late)]
        # A worker that is killed before it wrote down the reply leaves doubt: an honest 500.
        while await asyncio.to_thread(placed_in, tmp_path / "calls.db") < 24:  # noqa: ASYNC110 -- the processes' doing
            await asyncio.sleep(0.05)
        for worker in workers[: WORKERS // 2]:
            os.kill(worker, signal.SIGKILL)
        await asyncio.sleep(0.5)  # those who lost their worker ask again
        for label in late:
            emulator.answer(label)
        statuses = await asyncio.gather(*waiting)

        for heard in statuses:  # how many had lost their worker, only the system knows
            assert heard[-1] == (201 if len(heard) == 1 else 200)
        await all_see([*guests, *late])
    assert set(emulator.ring_counts.values()) == {1}
