"""Workers in real processes that share a campaign on a real server."""

import asyncio
import json
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, Self

import attrs
import pytest

from conference_async import (
    ConferenceClient,
    Credentials,
    NewParticipant,
    Plan,
    PostgresLimit,
    RetryPolicy,
    State,
    Unpaced,
)
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.workers.cluster_dialer import ClusterDialer
from conference_async.dialer.workers.shared_campaign import SharedCampaign
from conference_async.dialer.workers.standing import Standing
from conference_async.emulator import Emulator
from conference_async.errors import LedgerError
from tests.cli.conftest import ENVIRONMENT, Shell
from tests.conftest import UNMEASURED

CPS = 20
"""The pace that workers in processes of their own share."""


WORKER = Path(__file__).with_name("campaign_worker.py")


def shell_on(emulator: Emulator) -> Shell:
    """Return what runs commands on the emulator's account."""
    return Shell(
        {
            **ENVIRONMENT,
            "CONFERENCE_ASYNC_BASE_URL": emulator.base_url,
            "TWILIO_ACCOUNT_SID": emulator.account_sid,
            "TWILIO_AUTH_TOKEN": emulator.auth_token,
        }
    )


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
                retry=RetryPolicy(settled=1),
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

    @asynccontextmanager
    async def paced(self) -> AsyncIterator[None]:
        """Let another dialler of this process work meanwhile, at the pace that workers share."""
        account = self.emulator.account_sid
        limit = PostgresLimit(self.dsn, CPS, account=account)
        async with (
            limit,
            ConferenceClient(
                Credentials(account, self.emulator.auth_token),
                base_url=self.emulator.base_url,
                limit=limit,
            ) as client,
            ClusterDialer(client, self.dsn) as dialer,
        ):
            work = asyncio.create_task(dialer.work())
            try:
                yield
            finally:
                dialer.stop()
                await work

    async def hire(
        self, *, guarded: bool = True, heard: bool = False
    ) -> asyncio.subprocess.Process:
        """Start a worker and wait until it is there; `heard` if a test reads what it says."""
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
            env=UNMEASURED,  # as it is killed in the end
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if heard else asyncio.subprocess.DEVNULL,
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
