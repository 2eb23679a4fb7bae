"""Fixtures of the dialler's tests."""

from collections.abc import AsyncIterator

import pytest

from conference_async import ConferenceClient, CreateLimit, Credentials
from conference_async.emulator import Emulator


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
