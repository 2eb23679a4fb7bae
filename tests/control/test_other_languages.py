"""The tests of the page for other languages, run as it shows them, and its table."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest

from conference_async.emulator.control.routes import ROUTES
from tests.conftest import program

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "howto" / "other-languages.md").read_text(encoding="utf-8")
_BLOCK = re.compile(
    r"^```(?:sh|js)\n(?:#!/bin/sh\n)?(?:#|//) ([\w.]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
FILES = dict(_BLOCK.findall(PAGE))


async def run(folder: Path, control: Any, *command: str) -> tuple[int | None, str]:
    """Run a test as a newcomer does, the emulator's lines in its environment."""
    emulator = control.emulator
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "CONFERENCE_ASYNC_BASE_URL": emulator.base_url,
            "TWILIO_ACCOUNT_SID": emulator.account_sid,
            "TWILIO_AUTH_TOKEN": emulator.auth_token,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.mark.parametrize(
    ("file", "command", "said"),
    [
        ("standup_test.sh", ["sh"], "passed\n"),
        ("standup.test.mjs", ["node", "--test"], "pass 3"),
    ],
)
async def test_a_test_without_python_passes_as_it_is_shown(
    open_control: Any, tmp_path: Path, file: str, command: list[str], said: str
) -> None:
    """It scripts, drives and asserts by itself, twice over the same emulator."""
    for needed in ("curl", *command[:1]) if file.endswith(".sh") else command[:1]:
        program(needed)
    (tmp_path / file).write_text(FILES[file], encoding="utf-8")
    async with open_control(cps=5) as control:
        for _ in range(2):
            code, told = await run(tmp_path, control, *command, file)
            assert (code, said in told) == (0, True), told


async def test_a_test_without_python_fails_where_it_should(
    open_control: Any, tmp_path: Path
) -> None:
    """With another number called twice, the shell's last look finds it."""
    program("curl")
    twice = FILES["standup_test.sh"].replace("in alice:", "in carol:+15558675310 alice:")
    (tmp_path / "standup_test.sh").write_text(twice, encoding="utf-8")
    async with open_control(cps=5) as control:
        code, told = await run(tmp_path, control, "sh", "standup_test.sh")

    assert code == 1
    assert "no {" in told


def test_the_table_has_every_request() -> None:
    """Each path and method once, in the order of the routes."""
    table = (DOCS / "reference" / "control.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    listed = [
        (path, method)
        for row in rows
        for methods, path in re.findall(r"((?:`?[A-Z]+`?(?:, )?)+) (/[\w/.{}]+)", row)
        for method in re.findall("[A-Z]+", methods)
    ]

    assert listed == [(path, method) for path, methods in ROUTES.items() for method in methods]
