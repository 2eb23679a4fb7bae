"""An emulator, calls in it, and a session that looks at its page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from conference_async import ConferenceClient, Credentials, Unpaced
from conference_async.emulator import Emulator

OURS, THEIRS = "+15017122661", "+15558675310"

Dial = Callable[..., Awaitable[list[str]]]
Look = Callable[..., Awaitable[Any]]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return an emulator at two calls a second, answered after two seconds."""
    async with Emulator(cps=2, answer_after=2) as emulator:
        yield emulator


@pytest.fixture
async def session(emulator: Emulator) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a session below the emulator's root."""
    async with aiohttp.ClientSession(emulator.base_url) as session:
        yield session


@pytest.fixture
def look(session: aiohttp.ClientSession) -> Look:
    """Return the state that the page shows of an account."""

    async def looking(account: str = "") -> Any:
        async with session.get(f"/control/overview?account={account}") as answer:
            assert answer.status == 200
            return await answer.json()

    return looking


@pytest.fixture
async def dial(emulator: Emulator) -> AsyncIterator[Dial]:
    """Place calls, one for each label, and return their SIDs."""
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=Unpaced(),
    ) as client:

        async def dialling(*labels: str, room: str = "standup") -> list[str]:
            participants = client.conferences(room).participants
            made = [
                await participants.create(from_=OURS, to=THEIRS, label=label) for label in labels
            ]
            return [str(one.call_sid) for one in made]

        yield dialling
