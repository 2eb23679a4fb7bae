"""Campaigns whose process is killed: kill -9, real processes, real sockets, real files.

The emulator runs in the process of the test, which is not killed, and counts who was rung.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen

import attrs
import pytest

from conference_async import Ledger, Outcome, State
from conference_async.emulator import Emulator
from tests.conftest import UNMEASURED

STEPS = [
    f"{step}:{side}"
    for step in ("begin:1", "enrol:1", "claim:1", "claim:9", "conclude:1", "conclude:9")
    for side in ("before", "after")
]
"""Between every two steps that a ledger takes for a target there is one of these, for the first
target and one in the middle."""

KILLS = int(os.environ.get("CONFERENCE_ASYNC_TEST_KILLS", "6"))
PEOPLE = 40 + 10 * KILLS
"""How many are called while processes are killed."""
WEATHER = ("fair", "foul")


@attrs.frozen
class Nursery:
    """Runs campaigns in processes of their own, on one ledger."""

    emulator: Emulator
    ledger: Path
    mother: Popen[str]
    weather: str

    async def start(self, people: int, kill_at: str = "never") -> int:
        """Start, or resume, the campaign; return its process's id."""
        emulator = self.emulator
        settings = (
            *(str(self.ledger), emulator.base_url, emulator.account_sid, emulator.auth_token),
            *(str(people), kill_at, self.weather),
        )
        assert self.mother.stdin is not None
        print(*settings, sep="\t", file=self.mother.stdin, flush=True)
        return await self._number()

    async def ended(self) -> int:
        """Wait until the campaign's process is over; return its exit code, or minus a signal."""
        return os.waitstatus_to_exitcode(await self._number())

    async def _number(self) -> int:
        assert self.mother.stdout is not None
        return int(await asyncio.to_thread(self.mother.stdout.readline))

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


@pytest.fixture(scope="module")
def mother() -> Iterator[Popen[str]]:
    """Start the process that forks those of all the campaigns: it imports everything once."""
    script = Path(__file__).with_name("campaign.py")
    with Popen(
        [sys.executable, str(script)], stdin=PIPE, stdout=PIPE, text=True, env=UNMEASURED
    ) as process:
        yield process


@pytest.fixture
def nursery(emulator: Emulator, mother: Popen[str], tmp_path: Path, weather: str) -> Nursery:
    """Return what runs campaigns on a new ledger."""
    return Nursery(emulator, tmp_path / "campaign.db", mother, weather)


@pytest.mark.parametrize(
    ("step", "weather"),
    [(step, weather) for weather in WEATHER for step in STEPS if weather == "fair" or "9" in step],
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
@pytest.mark.parametrize("weather", WEATHER)
async def test_killed_at_random_moments(nursery: Nursery, weather: str) -> None:
    """Each target is rung once, or at most once and unknown; the ledger always opens."""
    chance = random.Random(20260131)
    nursery.emulator.latency = 0.05
    ends, in_flight = [], 0
    for _ in range(KILLS):
        pid = await nursery.start(PEOPLE)
        wanted = nursery.emulator.count("create") + chance.randrange(10)
        with suppress(ProcessLookupError):  # a machine so slow that few are left to call
            while nursery.emulator.count("create") < wanted:
                os.kill(pid, 0)
                await asyncio.sleep(0.005)
            await asyncio.sleep(chance.uniform(0, 0.1))
            os.kill(pid, signal.SIGKILL)
        ends.append(await nursery.ended())
        in_flight += [one.state for one in await nursery.outcomes()].count(State.SENDING)

    assert -signal.SIGKILL in ends
    assert set(ends) <= {-signal.SIGKILL, 0}
    assert await nursery.finish(PEOPLE) <= in_flight
