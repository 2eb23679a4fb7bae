"""Examples, started as they are against an emulator."""

import asyncio
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import TypeAlias

import aiohttp
import pytest

from conference_async.emulator import Emulator
from tests.conftest import UNMEASURED

EXAMPLES = Path(__file__).parents[2] / "examples"
OURS = "+15017122661"

Start: TypeAlias = Callable[..., AbstractAsyncContextManager[Process]]
Reached: TypeAlias = Callable[[int, Process], AbstractAsyncContextManager[aiohttp.ClientSession]]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return an emulator whose phones are picked up at once."""
    async with Emulator(cps=30, answer_after=0.1) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def start() -> Start:
    """Return a function that starts an example which knows an emulator, and stops it in the end."""

    @asynccontextmanager
    async def _start(
        emulator: Emulator, name: str, *arguments: str, **environment: str
    ) -> AsyncIterator[Process]:
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
            env={**UNMEASURED, **known, **environment},
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.communicate()

    return _start


@pytest.fixture(scope="session")
def reached() -> Reached:
    """Return a function that waits for a server which has been started, and makes a session."""

    @asynccontextmanager
    async def _reached(port: int, server: Process) -> AsyncIterator[aiohttp.ClientSession]:
        # A server may end a connection that was idle just as a request is on its way.
        connector = aiohttp.TCPConnector(force_close=True)
        where = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession(where, connector=connector) as session:
            while server.returncode is None:
                try:
                    async with session.get("/"):
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)
            yield session

    return _reached


@pytest.fixture(scope="session")
def placed_in() -> Callable[[Path], int]:
    """Return a function that tells for how many keys a journal knows the participant."""

    def _placed_in(journal: Path) -> int:
        with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
            count = "SELECT count(participant) FROM conference_async_intent"
            return int(connection.execute(count).fetchone()[0])

    return _placed_in
