"""Real processes that share a pace or a campaign on real servers."""

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, Self

import attrs
import pytest
from blockbuster import BlockBuster

from conference_async import ConferenceClient, Credentials, NewParticipant, Unpaced
from conference_async.cluster import ClusterDialer, PostgresLedger, SharedCampaign
from conference_async.cluster.campaigns import Standing
from conference_async.dialer import Plan, State
from conference_async.emulator import Emulator
from conference_async.errors import LedgerError

CPS = 20
"""The pace that workers in processes of their own share."""

CALM = 0.03
"""Seconds by which a machine may be late that is not busy: a slot that is used later is lost."""

WORKER = Path(__file__).with_name("campaign_worker.py")
CALLERS = Path(__file__).with_name("callers.py")


@pytest.fixture(autouse=True)
def redis_may_look_up_its_version(no_blocking_calls: BlockBuster) -> None:
    """Let redis-py read its own version from disk for each connection, as it does."""
    for name in ("os.stat", "os.listdir", "io.TextIOWrapper.read"):
        no_blocking_calls.functions[name].can_block_in("redis/utils.py", "get_lib_version")


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Return the name of each store in turn, and where it is."""
    if request.param == "sqlite":
        return "sqlite", str(tmp_path / "pace.db")
    return request.param, request.getfixturevalue(f"{request.param}_server")


@attrs.frozen(kw_only=True)
class Run:
    """What the processes did; instants are seconds since they began."""

    starts: list[float]
    shares: list[int]
    errors: list[str]
    cps: float
    trips: int
    late: float
    """The most seconds by which the machine was late, but for the one process that a test stops."""

    @property
    def calm(self) -> bool:
        """Whether the machine had the time for what is asserted of the rate."""
        return self.late < CALM

    @property
    def at_most(self) -> float:
        """How many starts too many a second may seem to have, as they are noted late."""
        return 1 + self.late * self.cps

    @property
    def told(self) -> str:
        """What a person who measures wants to know."""
        return (
            f"{self.rate:.2f} per second, at most {self.most_in_a_second} in one, "
            f"{self.trips / len(self.starts):.3f} round trips each, shares of {min(self.shares)} "
            f"to {max(self.shares)}, machine late by {self.late * 1000:.0f} ms"
        )

    @property
    def rate(self) -> float:
        """Starts per second from the first to the last."""
        return (len(self.starts) - 1) / (self.starts[-1] - self.starts[0])

    @property
    def most_in_a_second(self) -> int:
        """The most starts in any half-open window of one second."""
        return max(sum(at <= each < at + 1 for each in self.starts) for at in self.starts)

    def between(self, first: float, last: float) -> list[float]:
        """Return the starts between two instants."""
        return [each for each in self.starts if first < each <= last]


During = Callable[[Callable[[float], None], list[int]], None]
"""What happens meanwhile; it is given a way to wait for an instant, and the process numbers."""


def dial_together(
    place: tuple[str, str],
    *,
    processes: int,
    cps: float,
    seconds: float,
    waiters: int = 6,
    during: During | None = None,
    **order: Any,
) -> Run:
    """Let real processes take slots for some seconds.

    Args:
        place: The store's name, and where it is.
        processes: How many.
        cps: What each is told.
        seconds: For how long.
        waiters: How many stand in line in each of them.
        during: What happens meanwhile.
        order: What else `callers.py` is told.
    """
    with tempfile.TemporaryDirectory() as results:
        order |= {"processes": processes, "cps": cps, "seconds": seconds, "waiters": waiters}
        order |= {"store": place[0], "where": place[1], "results": results}
        order |= {"account": uuid.uuid4().hex}
        with subprocess.Popen(
            [sys.executable, str(CALLERS), json.dumps(order)], stdout=subprocess.PIPE, text=True
        ) as parent:
            assert parent.stdout is not None
            told = json.loads(parent.stdout.readline())
            begin = told["begin"]
            if during is not None:
                during(lambda at: time.sleep(max(0, begin + at - time.monotonic())), told["pids"])
            assert parent.wait() == 0
        found = [json.loads(each.read_text()) for each in Path(results).iterdir()]
    assert len(found) == processes
    return Run(
        starts=sorted(each - begin for one in found for each in one["starts"]),
        shares=[len(one["starts"]) for one in found],
        errors=[error for one in found for error in one["errors"]],
        trips=sum(one["trips"] for one in found),
        cps=cps,
        late=sorted(one["late"] for one in found)[-2],
    )


@pytest.fixture
def dial() -> Callable[..., Run]:
    """Return `dial_together`."""
    return dial_together


class People(Protocol):
    """Makes a plan of so many people."""

    def __call__(self, count: int, name: str | None = None) -> Plan:
        """Return it, under a name of its own if none is given."""


@attrs.define
class Scene:
    """An emulator, a database, and the workers between them."""

    dsn: str
    emulator: Emulator
    dialer: ClusterDialer
    workers: list[asyncio.subprocess.Process] = attrs.field(factory=list)

    @classmethod
    async def on(cls, dsn: str, stage: AsyncExitStack) -> Self:
        """Return a scene on a database, which ends with the stage."""
        await ClusterDialer.set_up(dsn)
        emulator = await stage.enter_async_context(Emulator(pace=False, answer_after=0.05))
        client = await stage.enter_async_context(
            ConferenceClient(
                Credentials(emulator.account_sid, emulator.auth_token),
                base_url=emulator.base_url,
                limit=Unpaced(),
            )
        )
        dialer = await stage.enter_async_context(ClusterDialer(client, dsn))
        scene = cls(dsn, emulator, dialer)
        stage.push_async_callback(scene.end)
        return scene

    async def end(self) -> None:
        """End the workers, whatever they are at."""
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            await worker.wait()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Let the dialler of this process work meanwhile."""
        work = asyncio.create_task(self.dialer.work())
        try:
            yield
        finally:
            self.dialer.stop()
            await work

    async def hire(self, *, guarded: bool = True) -> asyncio.subprocess.Process:
        """Start a worker and wait until it is there."""
        order: dict[str, Any] = {
            "dsn": self.dsn,
            "base_url": self.emulator.base_url,
            "account_sid": self.emulator.account_sid,
            "auth_token": self.emulator.auth_token,
            "cps": CPS,
            "guarded": guarded,
        }
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            str(WORKER),
            json.dumps(order),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self.workers.append(worker)
        assert worker.stdout is not None
        assert await worker.stdout.readline() == b"ready\n"
        return worker

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is true."""
        while not condition():  # noqa: ASYNC110 -- made true by other processes
            await asyncio.sleep(0.02)

    async def until_it_stands(self, campaign: SharedCampaign, standing: Standing) -> None:
        """Wait until a campaign stands as given."""
        while (await campaign.standing() or ("",))[0] != standing:  # noqa: ASYNC110 -- in a database
            await asyncio.sleep(0.02)

    async def started(self, count: int) -> None:
        """Wait until so many calls have started."""
        await self.until(lambda: len(self.emulator.starts) >= count)

    async def counts(self, plan: Plan) -> dict[State, int]:
        """Return how a campaign stands."""
        async with PostgresLedger(self.dsn, name=plan.name) as ledger:
            return await ledger.counts()

    async def done(self, plan: Plan) -> dict[State, int]:
        """Wait until a campaign is done with everybody; return how it ended."""
        while True:
            with suppress(LedgerError):  # the server may be gone just now
                counts = await self.counts(plan)
                if not counts[State.PLANNED] + counts[State.SENDING]:
                    return counts
            await asyncio.sleep(0.1)


@pytest.fixture
async def stage() -> AsyncIterator[AsyncExitStack]:
    """Return what ends everything that a test began."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def scene(postgres_server: str, stage: AsyncExitStack) -> Scene:
    """Return a scene on the shared server."""
    return await Scene.on(postgres_server, stage)


@pytest.fixture
def scene_on(stage: AsyncExitStack) -> Callable[[str], Awaitable[Scene]]:
    """Return what sets a scene on a server of the test's own."""
    return lambda dsn: Scene.on(dsn, stage)


@pytest.fixture
def people() -> People:
    """Return what makes a plan of so many people, under a name of its own if none is given."""

    def plan(count: int, name: str | None = None) -> Plan:
        return Plan.from_participants(
            [NewParticipant(from_="+15017122661", to=f"+1555867{n:04d}") for n in range(count)],
            conference="standup",
            room_size=250 if count > 250 else None,  # as many as a conference takes
            name=name or uuid.uuid4().hex,
        )

    return plan
