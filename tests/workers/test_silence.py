"""Connections that never answer again, while new ones do: nothing waits for them for long."""

import asyncio
import re
import signal
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest
from blockbuster import BlockBuster

from conference_async import Plan, State
from conference_async.dialer.workers import queue_connections, supervision
from conference_async.dialer.workers.cluster_dialer import STALLED
from conference_async.dialer.workers.supervision import STOPPED_WITHIN
from conference_async.postgres import session
from tests.conftest import run_sql
from tests.workers.conftest import shell_on

if TYPE_CHECKING:
    from tests.conftest import Proxy, Server
    from tests.workers.conftest import People, Scene

COSTS = 15.0
"""Seconds that a fail-over costs at most, where the connections before it never answer."""

SceneOn: TypeAlias = "Callable[[str], Awaitable[Scene]]"


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg and procrastinate import their parts."""
    no_blocking_calls.deactivate()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be waited for as long as it is."""
    monkeypatch.setattr(session, "SILENCE", 1.0)
    monkeypatch.setattr(queue_connections, "SILENCE", 0.5)
    monkeypatch.setattr(supervision, "FINISHING", 0.5)
    monkeypatch.setattr(supervision, "LEAVING", 0.5)


async def command(scene: "Scene") -> asyncio.subprocess.Process:
    """Start a worker as an operator does."""
    return await shell_on(scene.emulator).start("worker", "--ledger", scene.dsn, "--cps", "10")


async def at_work(scene: "Scene", plan: Plan, *, calls: int) -> asyncio.subprocess.Process:
    """Start a worker, and wait until it has begun so many calls of a campaign."""
    worker = await command(scene)
    await scene.dialer.submit(plan)
    await scene.started(calls)
    return worker


async def test_a_worker_outlives_connections_that_fall_silent(
    impatient: None,
    postgres_proxy: "tuple[Proxy, str]",
    scene_on: SceneOn,
    people: "People",
) -> None:
    """Its ledger's and its queue's: the campaign goes on by itself."""
    proxy, dsn = postgres_proxy
    scene, plan, more = await scene_on(dsn), people(2), people(2)
    async with scene.working():
        await scene.dialer.submit(plan)
        assert (await scene.done(plan))[State.PLACED] == 2
        proxy.swallow_these()
        await scene.dialer.submit(more)
        assert (await scene.done(more))[State.PLACED] == 2


async def test_a_worker_without_signs_of_life_begins_again(
    own_postgres: "Server",
    scene_on: SceneOn,
    people: "People",
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It would claim nothing any more, as others have been told that it is dead."""
    rename = "ALTER FUNCTION procrastinate_{}_heartbeat_v1 RENAME TO procrastinate_{}_heartbeat_v1"
    scene, plan = await scene_on(own_postgres.where), people(2)
    async with scene.working():
        run_sql(scene.dsn, rename.format("update", "no"))
        while "begins again" not in caplog.text:  # noqa: ASYNC110 -- a log's doing
            await asyncio.sleep(0.05)
        run_sql(scene.dsn, rename.format("no", "update"))
        await scene.dialer.submit(plan)
        assert (await scene.done(plan))[State.PLACED] == 2


async def test_a_worker_ends_though_its_database_does_not_answer(
    impatient: None,
    postgres_proxy: "tuple[Proxy, str]",
    scene_on: SceneOn,
    people: "People",
) -> None:
    """What was under way is left, and looked up by others: nobody is lost, or rung twice."""
    proxy, dsn = postgres_proxy
    scene, plan = await scene_on(dsn), people(40)
    await scene.dialer.submit(plan)
    work = asyncio.create_task(scene.dialer.work())
    await scene.started(3)
    proxy.swallow_all()
    scene.dialer.stop()
    await work

    proxy.heal()
    await scene.hire()
    counts = await scene.done(plan)
    assert counts[State.PLACED] + counts[State.UNKNOWN] == 40
    assert set(scene.emulator.ring_counts.values()) == {1}


async def test_a_process_that_stood_still_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a line: as others have been told that it is dead."""
    monkeypatch.setattr(supervision, "_TICK", 0.01)
    watching = asyncio.create_task(supervision._frozen(2))
    await asyncio.sleep(0.05)
    assert not watching.done()
    time.sleep(2.2)  # noqa: ASYNC251 -- what is noticed
    await watching

    (line,) = caplog.messages
    assert re.search(r"did not run for \d+ s", line)


@pytest.mark.soak
async def test_a_fail_over_costs_seconds(
    postgres_proxy: "tuple[Proxy, str]", scene_on: SceneOn, people: "People"
) -> None:
    """Where the connections before it never answer: ledger's, queue's and limit's."""
    proxy, dsn = postgres_proxy
    scene, plan = await scene_on(dsn), people(200)
    worker = await at_work(scene, plan, calls=10)
    proxy.swallow_these()
    before, began = len(scene.emulator.starts), time.monotonic()
    await scene.started(before + 15)
    cost = time.monotonic() - began
    print(f"a fail-over cost {cost:.1f} s")
    assert cost < COSTS
    await scene.done(plan)
    worker.terminate()
    await worker.communicate()
    assert worker.returncode == 0
    assert set(scene.emulator.ring_counts.values()) == {1}


@pytest.mark.soak
async def test_a_worker_that_was_frozen_goes_on(
    postgres_proxy: "tuple[Proxy, str]", scene_on: SceneOn, people: "People"
) -> None:
    """It says so in a line; what it held in hand was taken over meanwhile."""
    _, dsn = postgres_proxy
    scene, plan = await scene_on(dsn), people(250)
    frozen = await at_work(scene, plan, calls=5)
    frozen.send_signal(signal.SIGSTOP)
    other = await command(scene)
    await asyncio.sleep(2 * STALLED)
    frozen.send_signal(signal.SIGCONT)
    await scene.done(plan)
    for worker in (frozen, other):
        worker.terminate()
    _, said = await frozen.communicate()
    await other.communicate()

    told = said.decode()
    besides = [line for line in told.splitlines() if " turn " not in line]
    assert told.count("did not run for") == 1, told
    # That it is at work, the freeze, that it stops, its sum, the end.
    assert len(besides) == 5, told
    assert set(scene.emulator.ring_counts.values()) == {1}


@pytest.mark.soak
async def test_a_worker_ends_in_time(
    postgres_proxy: "tuple[Proxy, str]", scene_on: SceneOn, people: "People"
) -> None:
    """Whatever does not answer; with the code that says whether calls were left."""
    proxy, dsn = postgres_proxy
    scene, plan = await scene_on(dsn), people(200)
    worker = await at_work(scene, plan, calls=10)
    proxy.swallow_all()
    began = time.monotonic()
    await asyncio.sleep(1)
    worker.terminate()
    _, said = await worker.communicate()

    print(f"it ended after {time.monotonic() - began - 1:.1f} s, with {worker.returncode}")
    assert time.monotonic() - began - 1 < STOPPED_WITHIN
    assert worker.returncode in {0, 5}, said.decode()
    assert all(line.startswith("conference-async: ") for line in said.decode().splitlines())
