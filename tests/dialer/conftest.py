"""Fixtures of the dialler's tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from conference_async import ConferenceClient, CreateLimit, Credentials
from conference_async.emulator import Emulator


@pytest.fixture(autouse=True, scope="session")
def idle_event_loop() -> Iterator[None]:
    """Give looptime the loop that it asks for in tests without one, and close it in the end.

    Otherwise it makes one that nobody closes, and a later test is blamed for that.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return a service that answers every call after half a second."""
    async with Emulator(cps=30) as emulator:
        yield emulator


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[ConferenceClient]:
    """Return a client of the emulator that starts 30 calls a second."""
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=CreateLimit(30),
    ) as client:
        yield client
