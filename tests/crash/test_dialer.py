"""Campaigns whose process is killed: kill -9, real processes, real sockets, real files.

The emulator runs in the process of the test, which is not killed, and counts who was rung.
"""

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from conference_async import Ledger, Outcome, State
from conference_async.emulator import Emulator

STEPS = [
    f"{step}:{side}"
    for step in ("begin:1", "enrol:1", "claim:1", "claim:9", "conclude:1", "conclude:9")
    for side in ("before", "after")
]
"""Between every two steps that a ledger takes for a target there is one of these, for the first
target and one in the middle."""

KILLS = int(os.environ.get("CONFERENCE_ASYNC_TEST_KILLS", "6"))
PEOPLE = {"fair": 500, "foul": 40 + 10 * KILLS}
"""How many are called while processes are killed: by default few in foul weather."""


@attrs.frozen
class Nursery:
    """Runs campaigns in processes of their own, on one ledger."""

    emulator: Emulator
    ledger: Path
    process: Process
    weather: str

    async def start(self, people: int, kill_at: str = "never") -> int:
        """Start, or resume, the campaign; return its process's id."""
        emulator = self.emulator
        settings = (
            *(str(self.ledger), emulator.base_url, emulator.account_sid, emulator.auth_token),
            *(str(people), kill_at, self.weather),
        )
        assert self.process.stdin is not None
        self.process.stdin.write("\t".join(settings).encode() + b"\n")
        return await self._number()

    async def ended(self) -> int:
        """Wait until the campaign's process is over; return its exit code, or minus a signal."""
        return os.waitstatus_to_exitcode(await self._number())

    async def _number(self) -> int:
        assert self.process.stdout is not None
        return int(await self.process.stdout.readline())

    async def outcomes(self) -> list[Outcome]:
        """Return what the ledger has."""
        async with Ledger(self.ledger) as ledger:
            return [outcome async for outcome in ledger.outcomes()]

    async def finish(self, people: int) -> int:
        """Resume the campaign, let it end, and check that nobody was lost or rung twice.

        Each was rung once; or at most once, and is listed as unknown: returns how many are.
        """
        await self.start(people)
        assert await self.ended() == 0
        found = await self.outcomes()
        rings = self.emulator.ring_counts
        placed = {outcome.to for outcome in found if outcome.state is State.PLACED}
        unknown = {outcome.to for outcome in found if outcome.state is State.UNKNOWN}

        assert len(found) == len(placed) + len(unknown) == people
        assert placed <= rings.keys() <= placed | unknown
        assert set(rings.values()) == {1}
        return len(unknown)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return a service that takes calls as fast as they come."""
    async with Emulator(pace=False, answer_after=None) as emulator:
        yield emulator


@pytest.fixture
def weather() -> str:
    """Return that everything is as quick as it can be."""
    return "fair"


@pytest.fixture
async def nursery(emulator: Emulator, tmp_path: Path, weather: str) -> AsyncIterator[Nursery]:
    """Return what runs campaigns on a new ledger."""
    script = Path(__file__).with_name("campaign.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdin=PIPE, stdout=PIPE
    )
    yield Nursery(emulator, tmp_path / "campaign.db", process, weather)
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


@pytest.mark.parametrize(
    ("step", "weather"),
    [(step, weather) for weather in PEOPLE for step in STEPS if weather == "fair" or "9" in step],
)
async def test_killed_between_two_steps_of_the_ledger(nursery: Nursery, step: str) -> None:
    """Nobody is lost or rung twice.

    Who was written down but not yet sent is unknown; who was answered but not yet written down is
    found by label; everybody else is called as if nothing had happened.
    """
    await nursery.start(12, kill_at=step)
    assert await nursery.ended() == -signal.SIGKILL
    await nursery.outcomes()

    unknown = await nursery.finish(12)
    assert unknown >= (step in {"claim:1:after", "claim:9:after"})
    assert unknown < 12  # on a busy machine several may stand between claim and answer


@pytest.mark.sized
@pytest.mark.timeout(600)
@pytest.mark.parametrize("weather", PEOPLE)
async def test_killed_at_random_moments(nursery: Nursery, weather: str) -> None:
    """Each target is rung once, or at most once and unknown; the ledger always opens."""
    chance, people = random.Random(20260131), PEOPLE[weather]
    nursery.emulator.latency = 0.05
    for _ in range(KILLS):
        pid = await nursery.start(people)
        await asyncio.sleep(chance.uniform(0, 0.8))
        os.kill(pid, signal.SIGKILL)
        assert await nursery.ended() == -signal.SIGKILL
        await nursery.outcomes()

    assert nursery.emulator.count("create") > 0
    assert await nursery.finish(people) <= (4 if weather == "fair" else 8) * KILLS
