"""Contact limits, kept by processes that are killed while they call the same people."""

import asyncio
import json
import os
import random
import sys
from asyncio.subprocess import Process
from collections import Counter
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from conference_async import Ledger, State
from conference_async.emulator import Emulator
from conference_async.journal.contacts import hash_of
from conference_async.journal.place import journal_at
from tests.conftest import UNMEASURED

SCRIPT = Path(__file__).with_name("limited.py")
PROCESSES = int(os.environ.get("CONFERENCE_ASYNC_TEST_CALLERS", "2"))
KILLS = int(os.environ.get("CONFERENCE_ASYNC_TEST_CALLERS_KILLED", "1"))
NUMBERS = 3 * PROCESSES
CAMPAIGNS = 3
LIMIT = 2

pytestmark = [pytest.mark.sized, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg import its parts, and our test start processes."""
    no_blocking_calls.deactivate()


async def start(order: dict[str, Any]) -> Process:
    """Start a process, and wait until it begins."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), json.dumps(order)),
        stdout=asyncio.subprocess.PIPE,
        env=UNMEASURED,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def kill_some(
    processes: list[Process], orders: list[dict[str, Any]], emulator: Emulator
) -> set[int]:
    """Kill processes after random numbers of calls, and let others go on; return whose places.

    Each kill costs calls that are on record and were not made, so that the last kills may find
    every process at its end, with fewer calls made than they wait for.
    """
    dice = random.Random(7)
    killed = set[int]()
    for kill in range(KILLS):
        wanted = (kill + 1) * LIMIT * NUMBERS // (KILLS + 2)
        while len(emulator.starts) < wanted:
            if all(process.returncode is not None for process in processes):
                return killed
            await asyncio.sleep(0.005)
        victim = dice.randrange(len(processes))
        with suppress(ProcessLookupError):
            processes[victim].kill()
        await processes[victim].wait()
        killed.add(victim)
        processes[victim] = await start(orders[victim])
    return killed


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_nobody_is_called_more_often_than_the_limit_allows(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whatever is killed at whatever moment; and whoever is withheld is so for a call on record."""
    journal = str(tmp_path / "calls.db")
    if kind == "postgres":
        journal = request.getfixturevalue("postgres_server")
    async with Emulator(pace=False, answer_after=0.05) as emulator:
        orders: list[dict[str, Any]] = [
            {
                "base_url": emulator.base_url,
                "account_sid": emulator.account_sid,
                "auth_token": emulator.auth_token,
                "journal": journal,
                "folder": str(tmp_path),
                "campaigns": [f"campaign {process}-{n}" for n in range(CAMPAIGNS)],
                "numbers": NUMBERS,
                "limit": LIMIT,
            }
            for process in range(PROCESSES)
        ]
        processes = list(await asyncio.gather(*map(start, orders)))
        try:
            killed = await kill_some(processes, orders, emulator)
            assert [await process.wait() for process in processes] == [0] * PROCESSES
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    process.kill()
        rings = {to: number for to, number in emulator.ring_counts.items() if number}
        assert max(rings.values()) <= LIMIT
        numbers = {f"+1555867{n:04d}" for n in range(NUMBERS)}
        async with journal_at(journal) as book:
            hashes = {hash_of(emulator.account_sid, to): to for to in numbers}
            contacts = await book.contacts(emulator.account_sid, list(hashes))
    on_record = Counter(hashes[contact.number_hash] for contact in contacts)
    assert all(on_record[to] >= rings.get(to, 0) for to in numbers)
    assert set(on_record.values()) == {LIMIT}, "all that the limit allows was used"
    by_campaign = Counter(contact.campaign for contact in contacts)
    assert killed
    for place, order in enumerate(orders):
        for name in order["campaigns"]:
            async with Ledger(tmp_path / f"{name}.ledger") as ledger:
                made = (await ledger.counts())[State.PLACED]
                assert by_campaign[name] == made or place in killed, "only kills lose calls"
                async with aclosing(ledger.outcomes(State.SKIPPED)) as skipped:
                    async for outcome in skipped:
                        reason = outcome.reason or ""
                        assert reason.startswith(f"no more than {LIMIT} calls in 1 hour")
