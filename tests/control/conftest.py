"""An emulator, and a caller of its control API."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import attrs
import pytest

from conference_async.emulator import Emulator

OURS, THEIRS = "+15017122661", "+15558675310"


@attrs.frozen
class Answer:
    """One answer of the control API."""

    status: int
    body: Any


class Control:
    """Calls the control API."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session

    async def ask(self, method: str, path: str, body: Any = None, **query: str) -> Answer:
        """Send one request to a path below ``/control``."""
        data = None if body is None else json.dumps(body)
        url = f"{self.emulator.base_url}/control{path}"
        async with self.session.request(method, url, data=data, params=query) as answer:
            text = await answer.text()
        return Answer(answer.status, json.loads(text) if text else None)

    async def create(self, **form: str) -> Any:
        """Create a participant of ``standup`` as the service's API has it."""
        user = f"{self.emulator.account_sid}:{self.emulator.auth_token}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(user).decode()}"}
        root = f"{self.emulator.base_url}/2010-04-01/Accounts/{self.emulator.account_sid}"
        path = f"{root}/Conferences/standup/Participants.json"
        data = {"From": OURS, "To": THEIRS, **form}
        async with self.session.post(path, data=data, headers=headers) as answer:
            return await answer.json()


Opener = Callable[..., AbstractAsyncContextManager[Control]]


@pytest.fixture
def open_control() -> Opener:
    """Open an emulator with options, and a caller of its control API."""

    @asynccontextmanager
    async def opening(**options: Any) -> AsyncIterator[Control]:
        async with Emulator(**options) as emulator, aiohttp.ClientSession() as session:
            yield Control(emulator, session)

    return opening


@pytest.fixture
async def control(open_control: Opener) -> AsyncIterator[Control]:
    """Return a caller of an emulator whose phones ring until they are answered."""
    async with open_control(pace=False, answer_after=None, seed=7) as opened:
        yield opened
