"""A client and the emulator it talks to, over a real socket."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from conference_async import ConferenceClient, ConferenceHandle, Credentials, Unpaced
from conference_async.emulator import Emulator


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return an emulator whose account may dial 30 calls a second."""
    async with Emulator(cps=30, seed=1) as emulator:
        yield emulator


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[ConferenceClient]:
    """Return a client that is not paced."""
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=Unpaced(),
    ) as client:
        yield client


@pytest.fixture
def room(client: ConferenceClient) -> ConferenceHandle:
    """Return a conference addressed by name; it opens with its first participant."""
    return client.conferences("standup")


Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]
Serve = Callable[..., Awaitable[ConferenceClient]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Return what starts a server of any behaviour, and makes a client of it with any options."""
    async with AsyncExitStack() as running:

        async def start(handler: Handler, **options: Any) -> ConferenceClient:
            runner = web.ServerRunner(web.Server(handler, access_log=None))
            await runner.setup()
            running.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            return await running.enter_async_context(
                ConferenceClient(
                    Credentials("AC" + "1" * 32, "token"),
                    base_url=f"http://{host}:{port}",
                    limit=Unpaced(),
                    **options,
                )
            )

        yield start
