"""One worker for many accounts: whom it calls for, what it costs, what it leaves."""

import asyncio
import gc
import os
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import pytest
from blockbuster import BlockBuster
from psycopg import AsyncConnection

from conference_async import (
    ClusterDialer,
    ConferenceClient,
    Credentials,
    PostgresLimit,
    SharedCampaign,
    State,
)
from conference_async.dialer.workers.standing import Standing
from conference_async.emulator.state import Account
from conference_async.errors import ConfigurationError
from tests.conftest import run_sql

if TYPE_CHECKING:
    from tests.conftest import PostgresServer
    from tests.workers.conftest import People, Scene

    SceneOn: TypeAlias = Callable[[str], Awaitable[Scene]]

pytestmark = pytest.mark.timeout(600)

ACCOUNTS = int(os.environ.get("CONFERENCE_ASYNC_TEST_ACCOUNTS", "20"))

COUNTED = 12.0
"""Seconds for which statements are counted."""

AT_THE_EDGES = 4
"""One more of each kind: signs of life, looks at the ledgers, at the queue, at the connection."""


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg and procrastinate import their parts."""
    no_blocking_calls.deactivate()


@attrs.frozen
class House:
    """Many accounts on one emulator and one database."""

    scene: "Scene"
    accounts: list[Account]

    def client(self, account: Account, token: str | None = None) -> ConferenceClient:
        """Return a client of an account, at a pace that is shared."""
        return ConferenceClient(
            Credentials(account.sid, token or account.auth_token),
            base_url=self.scene.emulator.base_url,
            limit=PostgresLimit(self.scene.dsn, 30, account=account.sid),
        )

    async def clients(self) -> AsyncIterator[ConferenceClient]:
        """Yield a client for each account."""
        for account in self.accounts:
            yield self.client(account)

    async def submit(self, account: Account, plan: Any, **options: Any) -> None:
        """Submit a plan for an account."""
        client = self.client(account)
        async with client.limit, client, ClusterDialer(client, self.scene.dsn) as dialer:  # type: ignore[attr-defined]  # it is a PostgresLimit
            await dialer.submit(plan, **options)

    async def connections(self) -> int:
        """Return how many there are to the database, but for the one that asks."""
        async with await AsyncConnection.connect(self.scene.dsn, autocommit=True) as connection:
            cursor = await connection.execute(
                "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
            )
            (count,) = await cursor.fetchone() or (0,)
            return int(count)


@pytest.fixture
async def house(own_postgres: "PostgresServer", scene_on: "SceneOn") -> House:
    """Return a house of many accounts, in a database of its own."""
    scene = await scene_on(own_postgres.where)
    return House(scene, [scene.emulator.add_account() for _ in range(ACCOUNTS)])


async def test_one_worker_calls_for_many_accounts(house: House, people: "People") -> None:
    """Each by its own client; and an account that is refused holds up no other."""
    first, second, third = house.accounts[:3]
    plans = people(3), people(4), people(2)
    for account, plan in zip((first, second, third), plans, strict=True):
        await house.submit(account, plan)

    async def clients() -> AsyncIterator[ConferenceClient]:
        yield house.client(first)
        yield house.client(second, "a wrong token")
        yield house.client(third)

    async with (
        ClusterDialer(clients, house.scene.dsn) as dialer,
        SharedCampaign(f"{house.scene.dsn}#{plans[1].name}") as refused,
    ):
        work = asyncio.create_task(dialer.work())
        assert (await house.scene.done(plans[0]))[State.PLACED] == 3
        assert (await house.scene.done(plans[2]))[State.PLACED] == 2
        await house.scene.until_it_stands(refused, Standing.PAUSED)
        dialer.stop()
        assert await work == 0
    assert (await house.scene.counts(plans[1]))[State.PLANNED] == 4
    assert [len(account.starts) for account in (first, second, third)] == [3, 0, 2]


@pytest.mark.sized
async def test_a_worker_of_many_accounts_leaves_nothing(house: House, people: "People") -> None:
    """Its connections are few while it works; then there are no connections, clients or tasks."""
    seen = list[weakref.ref[ConferenceClient]]()
    plans = [people(2) for _ in house.accounts]
    for account, plan in zip(house.accounts, plans, strict=True):
        await house.submit(account, plan)
    before, tasks = await house.connections(), asyncio.all_tasks()

    async def clients() -> AsyncIterator[ConferenceClient]:
        async for client in house.clients():
            seen.append(weakref.ref(client))
            yield client

    async with ClusterDialer(clients, house.scene.dsn) as dialer:
        work = asyncio.create_task(dialer.work())
        for plan in plans:
            assert (await house.scene.done(plan))[State.PLACED] == 2
        assert await house.connections() - before <= 10
        dialer.stop()
        await work
    while await house.connections() > before:  # noqa: ASYNC110 -- the server takes a moment
        await asyncio.sleep(0.05)
    del work, dialer
    while not asyncio.all_tasks() <= tasks:  # noqa: ASYNC110 -- the emulator's see it a little later
        await asyncio.sleep(0.02)
    gc.collect()
    assert [each() for each in seen] == [None] * len(house.accounts)


@pytest.mark.sized
async def test_a_worker_with_nothing_to_do_costs_a_statement_a_second(
    own_postgres: "PostgresServer", house: House, people: "People"
) -> None:
    """At the most, and however many accounts it serves; each is counted by the server's own log."""
    log, name = Path(own_postgres._server.pgdata, "log"), own_postgres.name
    run_sql(house.scene.dsn, "ALTER SYSTEM SET log_line_prefix = '%d '")
    run_sql(house.scene.dsn, "SELECT pg_reload_conf()")
    run_sql(house.scene.dsn, f"ALTER DATABASE \"{name}\" SET log_statement = 'all'")
    plan = people(2)
    await house.submit(house.accounts[0], plan)

    def said() -> list[str]:
        lines = log.read_text(errors="replace").splitlines()
        return [
            line
            for line in lines
            if line.startswith((f"{name} LOG:  statement:", f"{name} LOG:  execute"))
        ]

    def signs_of_life(lines: list[str]) -> int:
        return sum("procrastinate_update_heartbeat_v1" in line for line in lines)

    loop = asyncio.get_running_loop()
    async with ClusterDialer(house.clients, house.scene.dsn) as dialer:
        work = asyncio.create_task(dialer.work())
        assert (await house.scene.done(plan))[State.PLACED] == 2
        # What the turn leaves behind may come late: there is a stretch without it.
        async with asyncio.timeout(4 * COUNTED):
            made, took = [""], 0.0
            while len(made) > took + AT_THE_EDGES or not signs_of_life(made):
                before, began = len(said()), loop.time()
                await asyncio.sleep(COUNTED)
                made, took = said()[before:], loop.time() - began
                print(f"{len(made)} statements in {took:.1f} s", *made, sep="\n")
        dialer.stop()
        await work


async def test_what_serves_many_accounts_is_checked(house: House, people: "People") -> None:
    """No account, or one twice; and to submit needs a client of one."""

    async def nobody() -> AsyncIterator[ConferenceClient]:
        for client in list[ConferenceClient]():
            yield client

    async def twice() -> AsyncIterator[ConferenceClient]:
        yield house.client(house.accounts[0])
        yield house.client(house.accounts[0])

    async with ClusterDialer(nobody, house.scene.dsn) as dialer:
        with pytest.raises(ConfigurationError, match="no account to work for"):
            await dialer.work()
        with pytest.raises(ConfigurationError, match="a client of the account that is meant"):
            await dialer.submit(people(1))
        with pytest.raises(ConfigurationError, match="a client of the account that is meant"):
            dialer.tasks()
    async with ClusterDialer(twice, house.scene.dsn) as dialer:
        with pytest.raises(ConfigurationError, match=f"{house.accounts[0].sid} comes twice"):
            await dialer.work()
