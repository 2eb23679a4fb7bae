"""Before and after: both programs of each pair run, do the same, and differ where it is said."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from typing import TypeAlias

import pytest

from conference_async.emulator import Emulator, Fault

PAIRS = Path(__file__).parents[2] / "examples" / "migration"
# Those that are moved away from are written with what others have deprecated since.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Printed: TypeAlias = Callable[[str], Awaitable[list[str]]]

ALICE, BOB, CAROL = (f"+1555867531{number}" for number in range(3))


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return an emulator whose phones ring until they are told."""
    async with Emulator(cps=30, answer_after=None) as emulator:
        yield emulator


@pytest.fixture
def printed(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Printed:
    """Return a function that runs a program in a thread, and returns the lines that it prints."""
    known = {
        "TWILIO_ACCOUNT_SID": emulator.account_sid,
        "TWILIO_AUTH_TOKEN": emulator.auth_token,
        "CONFERENCE_ASYNC_BASE_URL": emulator.base_url,
        "FROM_NUMBER": "+15017122661",
        "CPS": "30",
    }
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(PAIRS)  # a program finds what lies beside it

    async def run(name: str) -> list[str]:
        if name == "official_before.py" and find_spec("twilio") is None:
            pytest.skip("the official library is not installed (group `fidelity`)")
        with redirect_stdout(io.StringIO()) as output:
            await asyncio.to_thread(run_path, str(PAIRS / name), run_name="__main__")
        return output.getvalue().splitlines()

    return run


@pytest.mark.parametrize("half", ["before", "after"])
async def test_the_official_library(half: str, emulator: Emulator, printed: Printed) -> None:
    """Two people in, one muted, all listed, one out, the room ended."""
    lines = await printed(f"official_{half}.py")

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
    name: str, rings: int, line: str, emulator: Emulator, printed: Printed
) -> None:
    """Sending it again rings again; here it is looked for first."""
    emulator.faults.add(Fault.RESET_AFTER)

    lines = await printed(name)

    assert line in lines
    assert emulator.rings(ALICE) == rings
    assert emulator.rings(BOB) == 1


async def test_a_campaign_that_is_run_again(emulator: Emulator, printed: Printed) -> None:
    """It looks for the lost reply, and its ledger knows who was called: nobody rings twice."""
    emulator.faults.add(Fault.RESET_AFTER)

    first, second = [await printed("loop_after.py") for _ in range(2)]

    assert sorted(first) == ["alice placed", "bob placed", "carol placed"]
    assert second == []
    assert emulator.ring_counts == {ALICE: 1, BOB: 1, CAROL: 1}
