"""The command line against an emulator: in a process of its own, or quicker in this one."""

import asyncio
import io
import json
import os
import pty
import signal
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import attrs
import pytest

from conference_async.cli.app import run
from conference_async.emulator import Emulator

ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("TWILIO_", "CONFERENCE_ASYNC_BASE", "NO_COLOR", "FORCE_COLOR"))
}


@attrs.frozen
class Ended:
    """The end of a command: its code and its output."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, read as JSON."""
        return json.loads(self.out)


def _everything(screen: int) -> bytes:
    shown = bytearray()
    try:
        while some := os.read(screen, 4096):
            shown += some
    except OSError:  # how a terminal says that nobody holds its other end any more
        pass
    finally:
        os.close(screen)
    return bytes(shown)


@attrs.define
class Shell:
    """Runs ``conference-async`` with an environment."""

    environment: dict[str, str]

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        """Start a command and return its process."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "conference_async",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self.environment, **environment},
        )

    async def end(self, process: asyncio.subprocess.Process) -> Ended:
        """Wait until a command ends; return what it did."""
        out, err = await process.communicate()
        assert process.returncode is not None
        assert b"Traceback" not in err
        return Ended(process.returncode, out.decode(), err.decode())

    async def process(self, *arguments: str, **environment: str) -> Ended:
        """Run a command to its end, in a process of its own."""
        return await self.end(await self.start(*arguments, **environment))

    async def terminal(self, *arguments: str, columns: int = 80, **environment: str) -> Ended:
        """Run a command to its end on a terminal; what it printed there is ``out``."""
        screen, end = pty.openpty()
        termios.tcsetwinsize(end, (50, columns))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "conference_async", *arguments),
            stdin=end,
            stdout=end,
            stderr=end,
            env={**self.environment, "TERM": "xterm-256color", **environment},
        )
        os.close(end)
        out = await asyncio.to_thread(_everything, screen)
        return Ended(await process.wait(), out.decode().replace("\r\n", "\n"), "")

    async def run(self, *arguments: str, **environment: str) -> Ended:
        """Run a command to its end in a thread of this process, which takes a tenth of the time."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.object(signal, "signal"),  # which only the main thread may call
            patch.object(sys, "argv", ["conference-async", *arguments]),
            patch.dict(os.environ, {**self.environment, **environment}, clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = await asyncio.to_thread(run, arguments)
        return Ended(code, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def no_blocking_calls() -> None:
    """Allow a command to read its own files on its own loop, where nobody else waits."""


@pytest.fixture
def files(tmp_path: Path) -> Callable[[], list[str]]:
    """A function that returns the names of the files in the test's own folder."""
    return lambda: sorted(path.name for path in tmp_path.iterdir())


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """An emulator whose phones are picked up at once."""
    async with Emulator(cps=30, answer_after=0.0) as emulator:
        yield emulator


@pytest.fixture
def shell(emulator: Emulator) -> Shell:
    """A shell whose environment points at the emulator."""
    return Shell(
        {
            **ENVIRONMENT,
            "CONFERENCE_ASYNC_BASE_URL": emulator.base_url,
            "TWILIO_ACCOUNT_SID": emulator.account_sid,
            "TWILIO_AUTH_TOKEN": emulator.auth_token,
        }
    )


@pytest.fixture
def bare_shell() -> Shell:
    """A shell whose environment names no account and no host."""
    return Shell(dict(ENVIRONMENT))
