"""Many processes ask for the same keys in a storm of faults, and are killed: each rings once."""

import asyncio
import json
import os
import random
import signal
import sys
import time
import uuid
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from conference_async.emulator import Emulator, Fault, Injection, Request
from tests.conftest import UNMEASURED
from tests.journal.askers import ask, leases

ASKERS = Path(__file__).with_name("askers.py")
KEYS = int(os.environ.get("CONFERENCE_ASYNC_TEST_KEYS", "16"))
LEASE = 1.5
"""Seconds after which the dead are given up."""

PROCESSES = int(os.environ.get("CONFERENCE_ASYNC_TEST_ASKERS", "4"))
FAULTS = [
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
    Fault.PLACE_THEN_500,
    Fault.FAIL_500,
    Fault.FAIL_503,
    Fault.DELAY,
    Fault.STALL,
    Fault.STALL_BEFORE,
    Fault.TRUNCATE,
    Fault.HTML_200,
    Fault.HTML_200_PLACED,
    Fault.EMPTY_200,
    Fault.REDIRECT,
    Fault.TOO_MANY,
    Fault.LABEL_CLASH,
    Fault.INVISIBLE,
]


@attrs.frozen
class Storm:
    """Processes that ask for keys while faults and kills rage.

    Attributes:
        where: A file, or a database.
        folder: Where answers are written down.
        keys: How many keys.
        processes: How many processes; each asks for each key.
        kills: How often one of them is killed.
    """

    where: str
    folder: Path
    keys: int
    processes: int
    kills: int
    seed: int = attrs.field(
        factory=lambda: int(
            os.environ.get("CONFERENCE_ASYNC_TEST_SEED", str(random.randrange(10**6)))
        )
    )

    async def rage(self, emulator: Emulator) -> None:
        """Let it rage until every process is through."""
        print(f"storm over {self.keys} keys, CONFERENCE_ASYNC_TEST_SEED={self.seed}")
        dice = random.Random(self.seed)

        def choose(request: Request) -> Injection | None:
            if dice.random() >= (0.3 if request.kind == "create" else 0.1):
                return None
            return Injection(fault=dice.choice(FAULTS), seconds=dice.uniform(0, 1))

        emulator.faults.plan(choose)
        await self._run(emulator, self.processes, self.kills, dice)

    async def ask_all(self, emulator: Emulator) -> None:
        """Ask for every key once more, in the calm."""
        emulator.faults.clear()
        await ask(self._order(emulator), place=0)

    async def start(
        self, emulator: Emulator, processes: int, *, stops: bool = False
    ) -> tuple[Process, list[int]]:
        """Start processes; return their parent, and their identifiers.

        Args:
            emulator: The service.
            processes: How many.
            stops: Whether each stands still between its claim and its request.
        """
        order = self._order(emulator) | {"processes": processes, "stops": stops}
        parent = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ASKERS), json.dumps(order)), env=UNMEASURED, stdout=PIPE
        )
        assert parent.stdout is not None
        return parent, [int(await parent.stdout.readline()) for _ in range(processes)]

    def _order(self, emulator: Emulator) -> dict[str, Any]:
        return {
            "where": self.where,
            "answers": str(self.folder),
            "keys": self.keys,
            "prefix": str(self.folder),
            "at_once": 8,
            "lease": LEASE,
            "stops": False,
            "seed": self.seed,
            "base_url": emulator.base_url,
            "account_sid": emulator.account_sid,
            "auth_token": emulator.auth_token,
        }

    async def _run(
        self, emulator: Emulator, processes: int, kills: int, dice: random.Random
    ) -> None:
        parent, pids = await self.start(emulator, processes)
        assert parent.stdout is not None
        for _ in range(kills):
            await asyncio.sleep(dice.uniform(0.1, 0.8))
            victim = dice.randrange(processes)
            if parent.returncode is None and _state(pids[victim]) not in "ZX":
                with suppress(ProcessLookupError):  # it has ended meanwhile
                    os.kill(pids[victim], signal.SIGKILL)
                if successor := await parent.stdout.readline():  # else it was through, and all are
                    pids[victim] = int(successor)
        assert await parent.wait() == 0

    def answers(self) -> dict[int, set[str]]:
        """Return what all were answered, by key."""
        found: dict[int, set[str]] = defaultdict(set)
        for file in self.folder.iterdir():
            for line in file.read_text().splitlines():
                key, answer = line.split()
                found[int(key)].add(answer)
        return found


def _state(pid: int) -> str:
    """Return the letter that the system has for the state of a process, X if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"


def check(storm: Storm, emulator: Emulator) -> str:
    """Check that each key rang once at most and led everybody to one call; return the figures."""
    answers, rings = storm.answers(), emulator.ring_counts
    calls = {call.sid: call.to for call in emulator.calls}
    placed = 0
    for key in range(storm.keys):
        number = f"+1555{key:07}"
        sids = {answer for answer in answers[key] if answer.startswith("CA")}
        assert rings.get(number, 0) <= 1, (number, answers[key])
        assert len(sids) <= 1, (number, answers[key])
        assert all(calls[sid] == number for sid in sids)
        assert len(sids) == rings.get(number, 0) or "OutcomeUnknown" in answers[key]
        assert "LedgerError" not in answers[key]
        placed += len(sids)
    assert set(rings.values()) == {1}
    rung = len(rings)
    return f"{storm.keys} keys: {rung} rang once, {placed} of them known, {storm.keys - rung} not"


async def rage_and_check(storm: Storm, emulator: Emulator) -> None:
    """Let a storm rage, ask once more in the calm, and check."""
    begun = time.monotonic()
    await storm.rage(emulator)
    await storm.ask_all(emulator)
    print(f"{check(storm, emulator)}, in {time.monotonic() - begun:.0f} s")


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a place to keep keys at, of the kind that is asked for."""
    if request.param == "sqlite":
        return str(tmp_path / "calls.db")
    server: str = request.getfixturevalue("postgres_server")
    return server


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the dead be given up here as soon as in the processes that ask."""
    for name, value in leases(LEASE).items():
        monkeypatch.setattr(name, value)


STORES = pytest.mark.parametrize("where", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where answers are written down."""
    folder = tmp_path / uuid.uuid4().hex
    folder.mkdir()
    return folder


@STORES
@pytest.mark.sized
@pytest.mark.skipif(sys.platform != "linux", reason="looks whether a process is over in /proc")
async def test_each_key_rings_once_whoever_is_killed(
    where: str, folder: Path, emulator: Emulator
) -> None:
    """Every process asks for every key; what nobody can know rings no second time."""
    storm = Storm(where, folder, keys=KEYS, processes=PROCESSES, kills=KEYS // 5)
    await rage_and_check(storm, emulator)


@STORES
@pytest.mark.skipif(sys.platform != "linux", reason="looks whether a process stands still in /proc")
async def test_a_process_that_was_stopped_dials_nobody_late(
    where: str, folder: Path, emulator: Emulator
) -> None:
    """Stopped after its claim, given up by others, it goes on: its request does not leave."""
    storm = Storm(where, folder, keys=1, processes=1, kills=0)
    parent, (pid,) = await storm.start(emulator, 1, stops=True)
    while _state(pid) != "T":  # noqa: ASYNC110 -- what the system says of it
        await asyncio.sleep(0.02)
    await storm.ask_all(emulator)
    assert storm.answers() == {0: {"OutcomeUnknown"}}
    os.kill(pid, signal.SIGCONT)
    assert await parent.wait() == 0

    assert storm.answers() == {0: {"OutcomeUnknown", "NotSent"}}
    assert emulator.count("create") == 0
    await storm.ask_all(emulator)
    assert emulator.ring_counts == {"+15550000000": 1}
