"""A client and the emulator it talks to, over a real socket."""

from collections.abc import AsyncIterator

import pytest

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
