"""The command line against an emulator: in a thread, or in a process where that is what matters.

A process is started for what only a process has: a signal, an exit code, a stream that another
program closes, a terminal's own size. It costs fifteen times as much as a thread.
"""

import asyncio
import io
import json
import os
import pty
import signal
import sys
import termios
from asyncio import StreamReader, StreamReaderProtocol, Task
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO
from unittest.mock import patch

import attrs
import pytest

from conference_async.cli.app import run
from conference_async.emulator import Emulator
from tests.conftest import UNMEASURED

ENVIRONMENT = {
    name: value
    for name, value in UNMEASURED.items()
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


@contextmanager
def _terminal(columns: int, typed: bytes = b"") -> Iterator[tuple[int, Task[bytes]]]:
    """Open a terminal for a command; yield its end, and what it shows until that is closed."""
    screen, end = pty.openpty()
    termios.tcsetwinsize(end, (50, columns))
    os.write(screen, typed)
    shown = asyncio.create_task(asyncio.to_thread(_everything, screen))
    try:
        yield end, shown
    finally:
        os.close(end)


async def _pipe(*, by_lines: bool) -> tuple[StreamReader, TextIO]:
    """Return what comes out of a pipe, and what a command writes to, which may keep lines back."""
    reader, writer = os.pipe()
    lines = StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: StreamReaderProtocol(lines), os.fdopen(reader)
    )
    return lines, os.fdopen(writer, "w", buffering=1 if by_lines else -1)


@attrs.frozen
class Running:
    """A command that runs in a thread."""

    stdout: StreamReader
    stderr: StreamReader
    _code: Task[int]
    _interrupts: dict[int, Callable[..., object]]

    def interrupt(self) -> None:
        """Do what the command asked for at Ctrl-C."""
        self._interrupts[signal.SIGINT]()

    async def end(self) -> Ended:
        """Wait until it ends; return what it did, but for the lines that were read before."""
        out, err = await asyncio.gather(self.stdout.read(), self.stderr.read())
        return Ended(await self._code, out.decode(), err.decode())


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

    async def process_on_terminal(self, *arguments: str, columns: int) -> Ended:
        """Run a command to its end in a process on a terminal; what it printed there is ``out``."""
        with _terminal(columns) as (end, shown):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "conference_async", *arguments),
                stdin=end,
                stdout=end,
                stderr=end,
                env={**self.environment, "TERM": "xterm-256color"},
            )
        out = await shown
        return Ended(await process.wait(), out.decode().replace("\r\n", "\n"), "")

    async def run(self, *arguments: str, **environment: str) -> Ended:
        """Run a command to its end in a thread."""
        out, err = io.StringIO(), io.StringIO()
        code = await self._run(arguments, environment, (io.StringIO(), out, err))
        return Ended(code, out.getvalue(), err.getvalue())

    async def terminal(
        self, *arguments: str, columns: int = 80, typed: bytes = b"", **environment: str
    ) -> Ended:
        """Run a command to its end in a thread, on a terminal; what that showed is ``out``."""
        known = {"TERM": "xterm-256color", "COLUMNS": str(columns), **environment}
        with (
            _terminal(columns, typed) as (end, shown),
            os.fdopen(os.dup(end)) as keys,
            os.fdopen(os.dup(end), "w", buffering=1) as lines,
        ):
            code = await self._run(arguments, known, (keys, lines, lines))
        out = await shown
        return Ended(code, out.decode().replace("\r\n", "\n"), "")

    @asynccontextmanager
    async def begun(self, *arguments: str, **environment: str) -> AsyncIterator[Running]:
        """Start a command in a thread; it has to end, or to be interrupted, within the block."""
        stdout, out = await _pipe(by_lines=False)
        stderr, err = await _pipe(by_lines=True)
        interrupts: dict[int, Callable[..., object]] = {}

        async def run() -> int:
            with out, err:
                streams = io.StringIO(), out, err
                return await self._run(arguments, environment, streams, interrupts)

        code = asyncio.create_task(run())
        yield Running(stdout, stderr, code, interrupts)
        assert code.done()

    async def _run(
        self,
        arguments: tuple[str, ...],
        environment: dict[str, str],
        streams: tuple[TextIO, TextIO, TextIO],
        interrupts: dict[int, Callable[..., object]] | None = None,
    ) -> int:
        keys, out, err = streams
        # Only the main thread may set handlers of signals: they are kept, to be called by hand.
        heard = {} if interrupts is None else interrupts
        with (
            patch.object(signal, "signal", heard.__setitem__),
            patch.object(sys, "argv", ["conference-async", *arguments]),
            patch.object(sys, "stdin", keys),
            patch.dict(os.environ, {**self.environment, **environment}, clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            return await asyncio.to_thread(run, arguments)


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
