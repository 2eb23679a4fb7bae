"""Bulk dialling with a ledger on disk, pace off: how fast, and how that goes with its size."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.contenders import FROM, TOKEN
from benchmarks.figures import Figure
from benchmarks.plot import plot
from benchmarks.server import ACCOUNT_SID, ROOM
from conference_async import (
    ConferenceClient,
    Credentials,
    Dialer,
    Ledger,
    NewParticipant,
    Outcome,
    Plan,
    State,
    Unpaced,
)
from conference_async.dialer import Campaign

TARGETS = 2_000
SIZES = (1_000, 10_000, 100_000, 1_000_000)
BATCH = 10_000
CPS = 30
FIRST_OF_ALL, FIRST_OLD = 5_550_100_000, 5_560_000_000


def _numbers(first: int, count: int) -> Iterator[str]:
    return (f"+1{number}" for number in range(first, first + count))


async def _fill(path: Path, rows: int) -> None:
    """Write rows of targets that were called before."""
    async with Ledger(path) as ledger:
        await ledger.begin(Campaign(name=ROOM, account_sid=ACCOUNT_SID))
        for first in range(FIRST_OLD, FIRST_OLD + rows, BATCH):
            await ledger.enrol(
                [
                    Outcome(target=f"{ROOM} {to}", to=to, conference=ROOM, state=State.PLACED)
                    for to in _numbers(first, min(BATCH, FIRST_OLD + rows - first))
                ]
            )


async def _dialled(base_url: str, path: Path, first: int) -> tuple[float, float]:
    """Return targets per second, and the seconds of processor time of one."""
    people = [NewParticipant(from_=FROM, to=to) for to in _numbers(first, TARGETS)]
    plan = Plan.from_participants(people, conference=ROOM)
    placed = 0
    async with (
        ConferenceClient(
            Credentials(ACCOUNT_SID, TOKEN), base_url=base_url, limit=Unpaced()
        ) as client,
        Ledger(path) as ledger,
    ):
        wall, cpu = time.perf_counter(), time.process_time()
        async with aclosing(Dialer(client, ledger=ledger).run(plan)) as outcomes:
            async for outcome in outcomes:
                placed += outcome.state is State.PLACED
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert placed == TARGETS
    return TARGETS / wall, cpu / TARGETS


def measure(base_url: str, rounds: int) -> list[Figure]:
    """Return the rate, as a multiple of the highest CPS, and by the size of the ledger."""
    found: dict[int, list[tuple[float, float]]] = {}
    with TemporaryDirectory() as folder:
        for size in SIZES:
            path = Path(folder) / f"{size}.db"
            asyncio.run(_fill(path, size))
            found[size] = [
                asyncio.run(_dialled(base_url, path, FIRST_OF_ALL + number * TARGETS))
                for number in range(max(3, rounds // 8))
            ]
    rates = {size: median(rate for rate, _ in runs) for size, runs in found.items()}
    plot(
        Path(__file__).with_name("ledger.svg"),
        title="Targets dialled per second with a ledger, by its rows",
        x_label="rows in the ledger before",
        y_label="per second",
        points=list(rates.items()),
    )
    figures = [
        Figure(
            name=f"bulk dial, ledger on, pace off: multiple of {CPS} per second",
            value=rates[SIZES[0]] / CPS,
            unit="x",
            goal=20.0,
        )
    ]
    for size, runs in found.items():
        cpu = median(cpu for _, cpu in runs) * 1e6
        figures += [
            Figure(name=f"bulk dial, {size:,} rows before", value=rates[size], unit="per second"),
            Figure(name=f"bulk dial, {size:,} rows before: CPU of one", value=cpu, unit="us"),
        ]
    return figures
