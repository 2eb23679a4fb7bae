"""What one worker takes: connections, memory, processor time and statements, idle and at its pace.

It is a command in a process of its own, on a PostgreSQL as `growth` has it.
"""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import Figure
from benchmarks.growth import Desk, server
from conference_async import ClusterDialer, SharedCampaign
from conference_async.emulator import Emulator

PACES = (30, 10, 1, 0)
"""Calls per second, the highest first, as the lowest of late holds; 0 for a worker that has nothing
to do."""

WATCHED = 20.0
"""Seconds that each is watched for, when it has found its pace."""

_SETTLED = 15.0
"""Seconds until a server has told of all that was done when a worker began."""

_TICKS = 100
_PAGES = 256  # of 4 KB in a MB
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
_TRANSACTIONS = (
    "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
)


def _processor(process: "subprocess.Popen[bytes]") -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(process: "subprocess.Popen[bytes]") -> float:
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) / _PAGES


async def _watched(desk: Desk, pace: int) -> AsyncIterator[Figure]:
    others = await desk.value(_CONNECTIONS)
    if pace:
        people = desk.people(round(pace * (WATCHED + 2 * _SETTLED)), pace * 10_000)
        await desk.run(*desk.submission(people, f"at{pace}"))
    process = desk.start("worker", "--ledger", desk.dsn, "--cps", str(pace or 1))
    try:
        await asyncio.sleep(_SETTLED)
        made, used = await desk.value(_TRANSACTIONS), _processor(process)
        calls = len(desk.emulator.starts)
        await asyncio.sleep(WATCHED)
        made, used = await desk.value(_TRANSACTIONS) - made, _processor(process) - used
        calls = len(desk.emulator.starts) - calls
        held = await desk.value(_CONNECTIONS) - others
        resident = _memory(process)
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait)
    if pace:
        async with SharedCampaign(desk.at(f"at{pace}")) as campaign:
            await campaign.cancel()
    name = f"worker at {pace} per second" if pace else "worker with nothing to do"
    yield Figure(name=f"{name}: calls", value=calls / WATCHED, unit="/s")
    yield Figure(name=f"{name}: connections", value=held, unit="")
    yield Figure(name=f"{name}: resident", value=resident, unit="MB")
    yield Figure(name=f"{name}: transactions", value=made / WATCHED, unit="/s")
    yield Figure(name=f"{name}: processor", value=used / WATCHED * 100, unit="%")


async def _measured(dsn: str) -> list[Figure]:
    figures: list[Figure] = []
    with TemporaryDirectory() as folder:
        async with Emulator(pace=False, answer_after=0.05) as emulator:
            desk = Desk(dsn, Path(folder), emulator)
            await ClusterDialer.set_up(dsn)
            for pace in PACES:
                figures += [figure async for figure in _watched(desk, pace)]
    return figures


def measure(_base_url: str, _rounds: int) -> list[Figure]:
    """Return what one worker takes at each pace."""
    with server() as dsn:
        return asyncio.run(_measured(dsn))
