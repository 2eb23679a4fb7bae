"""Every block of the README works as it is printed."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import takewhile
from pathlib import Path
from unittest.mock import patch

import attrs
import pytest

from conference_async.emulator import Emulator
from tests.conftest import UNMEASURED

README = Path(__file__).parents[1] / "README.md"
CONTINUES = "<!-- continues -->"
RUN_BY_CI = 2
"""The first blocks of `sh` run the main job and the tests on a fresh clone."""

COMMAND = "conference-async"
SERVER = f"{COMMAND} emulator"
SECONDS = 60

RUNNER = """
import ast, asyncio, inspect, pathlib, sys, types

namespace = {"__name__": "__main__"}
with asyncio.Runner() as runner:
    for file in sys.argv[1:]:
        code = compile(
            pathlib.Path(file).read_text("utf-8"),
            "README.md",
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        result = types.FunctionType(code, namespace)()
        if inspect.iscoroutine(result):
            runner.run(result)
"""


@attrs.frozen
class Block:
    """One fenced block."""

    language: str
    text: str
    """Its lines, after as many empty ones as stand above it: tracebacks tell the README's line."""
    line: int
    """Where it begins."""
    continues: bool
    """Whether it goes on in the names of the block before."""

    @property
    def commands(self) -> list[str]:
        """The commands of ours that it runs, continuation lines joined."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line for line in lines if line.startswith(COMMAND)]


def blocks_of(markdown: str) -> Iterator[Block]:
    """Yield the fenced blocks of a text."""
    lines = enumerate(markdown.splitlines(), 1)
    before = ""
    for number, line in lines:
        if fence := re.match(r"(`{3,})(\w*)", line):
            inside = list(takewhile(lambda each: each[1] != fence[1], lines))
            text = "\n" * number + "\n".join(each for _, each in inside) + "\n"
            yield Block(fence[2], text, number, before == CONTINUES)
        before = line.strip() or before


def programs_of(markdown: str) -> list[list[Block]]:
    """Return the Python blocks, those that continue with the one they continue."""
    programs: list[list[Block]] = []
    for block in blocks_of(markdown):
        if block.language == "python":
            if block.continues and programs:
                programs[-1].append(block)
            else:
                programs.append([block])
    return programs


def shells_of(markdown: str) -> list[Block]:
    """Return the shell blocks with commands of ours that no other run covers."""
    shells = [block for block in blocks_of(markdown) if block.language == "sh"]
    return [block for block in shells[RUN_BY_CI:] if block.commands]


class Desk:
    """A folder to work in, and the environment that leads to an emulator."""

    def __init__(
        self, folder: Path, emulator: Emulator, run_tests: Callable[..., tuple[int, str]]
    ) -> None:
        self.folder = folder
        self._run_tests = run_tests
        scripts = folder / "bin"
        scripts.mkdir()
        script = scripts / COMMAND
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m conference_async "$@"\n')
        script.chmod(0o755)
        for name in ("examples", "tests"):
            if (README.parent / name).is_dir():
                (folder / name).symlink_to(README.parent / name)
        self.environment = {
            **{name: value for name, value in UNMEASURED.items() if "TWILIO" not in name},
            "CONFERENCE_ASYNC_BASE_URL": emulator.base_url,
            "TWILIO_ACCOUNT_SID": emulator.account_sid,
            "TWILIO_AUTH_TOKEN": emulator.auth_token,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": "1",
        }

    async def run(self, *arguments: str, until_output: bool = False) -> str:
        """Run a command in the folder and return its output; fail if it fails."""
        ran = await asyncio.create_subprocess_exec(
            *arguments,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert ran.stdout is not None
        try:
            async with asyncio.timeout(SECONDS):
                first = await ran.stdout.readline()
                if until_output:
                    ran.terminate()
                output = (first + await ran.stdout.read()).decode()
                await ran.wait()
        finally:
            if ran.returncode is None:
                ran.kill()
                await ran.wait()
        assert ran.returncode == 0, output
        return output

    async def run_program(self, program: list[Block], *, mode: str = "auto") -> str:
        """Run Python blocks one after the other, as a script of their own.

        Args:
            program: The blocks.
            mode: That of pytest-asyncio, where they are tests: the pages say how to set it.
        """
        files: list[str] = []
        for block in program:
            file = self.folder / f"test_line_{block.line}.py"
            file.write_text(block.text, "utf-8")
            files.append(str(file))
        if any("def test_" in block.text for block in program):
            settings = (
                *("--rootdir", str(self.folder), "-c", os.devnull, "-o", f"asyncio_mode={mode}"),
                *("-o", "asyncio_default_fixture_loop_scope=function"),
            )
            with patch.dict(os.environ, self.environment, clear=True):
                code, output = await asyncio.to_thread(
                    self._run_tests, self.folder, *settings, *files
                )
            assert code == 0, output
            return output
        return await self.run(sys.executable, "-W", "error", "-c", RUNNER, *files)

    async def run_shell(self, block: Block) -> str:
        """Run the commands of ours; an emulator only until it says where it listens."""
        output = ""
        for command in block.commands:
            output += await self.run(
                *("sh", "-euc", f"exec {command}"), until_output=command.startswith(SERVER)
            )
        return output


@pytest.fixture
async def desk(tmp_path: Path, run_tests: Callable[..., tuple[int, str]]) -> AsyncIterator[Desk]:
    """Return a desk with an emulator that answers calls quickly."""
    async with Emulator(cps=30, answer_after=0.05) as emulator:
        (tmp_path / "people.csv").write_text("to\n+15558675310\n+15558675311\n", "utf-8")
        yield Desk(tmp_path, emulator, run_tests)


def line_of(blocks: list[Block] | Block) -> str:
    """Return where something begins, to name a test."""
    first = blocks[0] if isinstance(blocks, list) else blocks
    return f"line {first.line}"


@pytest.mark.parametrize("program", programs_of(README.read_text("utf-8")), ids=line_of)
async def test_a_program_of_the_readme_runs(program: list[Block], desk: Desk) -> None:
    """As its own script, with warnings as errors, against an emulator; tests need no settings."""
    await desk.run_program(program, mode="strict")


@pytest.mark.parametrize("block", shells_of(README.read_text("utf-8")), ids=line_of)
async def test_a_command_of_the_readme_runs(block: Block, desk: Desk) -> None:
    """In a shell, against an emulator."""
    await desk.run_shell(block)


def test_ci_runs_what_a_contributor_is_told_to_run() -> None:
    """The second block of commands, as it stands there."""
    _, tests, *_ = [each for each in blocks_of(README.read_text("utf-8")) if each.language == "sh"]

    assert tests.text.strip() in (README.parent / ".ci" / "run").read_text("utf-8")


SAMPLE = """# Sample

```sh
exit 1
```

Later:

```sh
exit 2
```

```python
from conference_async import ConferenceClient

client = ConferenceClient()
print("made", __name__)
```

It goes on:

<!-- continues -->

```python
async with client:
    room = client.conferences("standup")
    alice = await room.participants.create(from_="+15017122661", to="+15558675310")
    print(alice.status)
```
<!-- continues -->
```python
import asyncio

async def main():
    return alice.account_sid

print(asyncio.run(main()) == client.account_sid)
```

```json
{"not": "python"
```

````text
```python
raise SystemExit("inside a text")
```
````

```python
print(client)
```

```sh
echo not ours
```

```sh
# a comment
conference-async \\
    --version
cd /nowhere
```

```sh
conference-async emulator --port 0
```

```python
async def test_with_an_emulator():
    assert True
```

```python
def test_that_fails():
    assert False
```
"""


async def test_blocks_that_continue_share_their_names(desk: Desk) -> None:
    """With and without await, before and after asyncio.run; other blocks start afresh."""
    first, second, *_ = programs_of(SAMPLE)
    line = SAMPLE.splitlines().index("print(client)") + 1

    assert await desk.run_program(first) == "made __main__\nqueued\nTrue\n"
    with pytest.raises(
        AssertionError, match=rf'"README.md", line {line}(.|\n)*NameError: .*client'
    ):
        await desk.run_program(second)


async def test_blocks_with_tests_are_run_as_tests(desk: Desk) -> None:
    """By pytest, which fails if one of them does."""
    *_, passing, failing = programs_of(SAMPLE)

    assert "1 passed" in await desk.run_program(passing)
    with pytest.raises(AssertionError, match="1 failed"):
        await desk.run_program(failing)


async def test_only_our_commands_are_run(desk: Desk) -> None:
    """Not those that CI runs, and nothing that is not ours; a server is stopped once it serves."""
    version, server = shells_of(SAMPLE)

    assert len(programs_of(SAMPLE)) == 4
    assert (await desk.run_shell(version)).startswith("0.")
    assert (await desk.run_shell(server)).startswith("http://127.0.0.1:")
    with pytest.raises(AssertionError):
        await desk.run_shell(attrs.evolve(version, text="conference-async no-such-command\n"))
