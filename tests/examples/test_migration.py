"""Before and after: both programs of each pair run, do the same, and differ where it is said."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from conference_async.emulator import Emulator, Fault

PAIRS = Path(__file__).parents[2] / "examples" / "migration"
ALICE, BOB, CAROL = (f"+1555867531{number}" for number in range(3))


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return an emulator whose phones ring until they are told."""
    async with Emulator(cps=30, answer_after=None) as emulator:
        yield emulator


async def printed(name: str, emulator: Emulator, folder: Path) -> list[str]:
    """Run a program against the emulator; return the lines that it prints."""
    if name == "official_before.py" and find_spec("twilio") is None:
        pytest.skip("the official library is not installed (group `fidelity`)")
    known = {
        "TWILIO_ACCOUNT_SID": emulator.account_sid,
        "TWILIO_AUTH_TOKEN": emulator.auth_token,
        "CONFERENCE_ASYNC_BASE_URL": emulator.base_url,
        "FROM_NUMBER": "+15017122661",
        "CPS": "30",
    }
    # A program finds what lies beside it, unless Python was asked to look nowhere else.
    given = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PAIRS / name)),
        cwd=folder,
        stdout=PIPE,
        env={**given, **known},
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    return told.decode().splitlines()


@pytest.mark.parametrize("half", ["before", "after"])
async def test_the_official_library(half: str, emulator: Emulator, tmp_path: Path) -> None:
    """Two people in, one muted, all listed, one out, the room ended."""
    lines = await printed(f"official_{half}.py", emulator, tmp_path)

    assert sorted(lines) == ["alice muted", "bob not muted"]
    assert emulator.ring_counts == {ALICE: 1, BOB: 1}
    kinds = [request.kind for request in emulator.requests]
    assert [kind for kind in kinds if "conference" not in kind] == [
        *("create", "create", "update", "list", "delete")
    ]
    assert [room.status for room in emulator.conferences] == ["completed"]


@pytest.mark.parametrize(
    ("name", "rings", "line"),
    [
        ("stainless_before.py", 2, "alice queued"),
        ("stainless_after.py", 1, "alice found"),
        ("loop_before.py", 2, "alice called"),
    ],
)
async def test_a_reply_that_was_lost(
    name: str, rings: int, line: str, emulator: Emulator, tmp_path: Path
) -> None:
    """Sending it again rings again; here it is looked for first."""
    emulator.faults.add(Fault.RESET_AFTER)

    lines = await printed(name, emulator, tmp_path)

    assert line in lines
    assert emulator.rings(ALICE) == rings
    assert emulator.rings(BOB) == 1


async def test_a_campaign_that_is_run_again(emulator: Emulator, tmp_path: Path) -> None:
    """It looks for the lost reply, and its ledger knows who was called: nobody rings twice."""
    emulator.faults.add(Fault.RESET_AFTER)

    first, second = [await printed("loop_after.py", emulator, tmp_path) for _ in range(2)]

    assert sorted(first) == ["alice placed", "bob placed", "carol placed"]
    assert second == []
    assert emulator.ring_counts == {ALICE: 1, BOB: 1, CAROL: 1}
