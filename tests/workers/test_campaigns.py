"""Campaigns that worker processes share on a real server, whatever dies."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import BlockBuster
from procrastinate import App, PsycopgConnector
from psycopg import AsyncConnection

from conference_async import ConferenceClient, Credentials, Dialer, State, Unpaced
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.workers.cluster_dialer import ClusterDialer
from conference_async.dialer.workers.shared_campaign import SharedCampaign
from conference_async.dialer.workers.standing import Standing
from conference_async.emulator import Emulator, Fault
from conference_async.errors import ConfigurationError, LedgerError

if TYPE_CHECKING:
    from tests.workers.conftest import People, Scene

CPS = 20
TARGETS = int(os.environ.get("CONFERENCE_ASYNC_TEST_TARGETS", "30"))
"""How many are called while workers die; with 300, and `-rP` to see it, a measurement."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg and procrastinate import their parts, and our test start processes."""
    no_blocking_calls.deactivate()


async def test_a_second_submit_adds_nothing(scene: "Scene", people: "People") -> None:
    """Nor does setting up again; a plan that has grown adds what is new."""
    await ClusterDialer.set_up(scene.dsn)
    plan = people(10)

    assert await scene.dialer.submit(plan) == 10
    assert await scene.dialer.submit(people(10, plan.name)) == 0
    assert await scene.dialer.submit(people(12, plan.name)) == 2


async def test_a_worker_in_this_process_dials_and_stops(scene: "Scene", people: "People") -> None:
    """Everybody is rung once; what was put off by a failing connection is called as well."""
    scene.emulator.faults.add(Fault.TOO_MANY, times=3)
    plan = people(8)
    await scene.dialer.submit(plan)

    work = asyncio.create_task(scene.dialer.work())
    counts = await scene.done(plan)
    scene.dialer.stop()
    await work

    assert counts[State.PLACED] == 8
    assert set(scene.emulator.ring_counts.values()) == {1}


@pytest.mark.sized
async def test_killed_and_late_workers_lose_and_repeat_nobody(
    scene: "Scene", people: "People"
) -> None:
    """One of three is killed half-way and one comes later: what it was sending is looked up."""
    scene.emulator.faults.add(Fault.DELAY, times=None, seconds=0.3)
    plan = people(TARGETS)
    await scene.dialer.submit(plan)
    first, *_ = [await scene.hire() for _ in range(3)]

    await scene.started(TARGETS // 3)
    first.kill()
    await scene.hire()
    counts = await scene.done(plan)

    starts = scene.emulator.starts
    most = max(sum(at <= each < at + 1 for each in starts) for at in starts)
    took, ideal = starts[-1] - starts[0], (TARGETS - 1) / CPS
    print(f"{counts}, at most {most} in a second, {took:.1f} s of {ideal:.1f} s, then looked up")
    assert len(scene.emulator.ring_counts) >= counts[State.PLACED]
    assert set(scene.emulator.ring_counts.values()) == {1}
    assert counts[State.PLACED] + counts[State.UNKNOWN] == TARGETS
    assert counts[State.UNKNOWN] <= 8


async def test_without_the_guard_somebody_is_rung_twice(scene: "Scene", people: "People") -> None:
    """The control: jobs that are simply done again ring those whom a killed worker was ringing."""
    scene.emulator.faults.add(Fault.STALL, times=5)
    plan = people(20)
    await scene.dialer.submit(plan)
    first = await scene.hire(guarded=False)
    await scene.started(5)
    first.kill()
    await scene.hire(guarded=False)
    await scene.done(plan)

    assert max(scene.emulator.ring_counts.values()) > 1


async def test_with_the_guard_nobody_is(scene: "Scene", people: "People") -> None:
    """The same with it: they are found by their labels."""
    scene.emulator.faults.add(Fault.STALL, times=5)
    plan = people(20)
    await scene.dialer.submit(plan)
    first = await scene.hire()
    await scene.started(5)
    first.kill()
    await scene.hire()
    counts = await scene.done(plan)

    rang = scene.emulator.ring_counts
    assert set(rang.values()) == {1}
    assert counts[State.PLACED] == len(rang)
    # Who was claimed, but not yet called, when the worker was killed: nobody can tell.
    assert counts[State.PLACED] + counts[State.UNKNOWN] == 20


@pytest.mark.soak
async def test_a_worker_that_slept_repeats_nobody(scene: "Scene", people: "People") -> None:
    """Taken for dead and replaced, it wakes up and goes on, and what it knows is believed.

    Whom it stood still with on the way to the wire it does not ring: others have looked for them.
    """
    scene.emulator.faults.add(Fault.DELAY, times=None, seconds=0.3)
    plan = people(60)
    await scene.dialer.submit(plan)
    first, *_ = [await scene.hire() for _ in range(3)]

    await scene.started(20)
    first.send_signal(signal.SIGSTOP)
    await asyncio.sleep(5)
    first.send_signal(signal.SIGCONT)
    counts = await scene.done(plan)

    assert set(scene.emulator.ring_counts.values()) == {1}
    assert len(scene.emulator.ring_counts) >= counts[State.PLACED] > 20
    assert counts[State.PLACED] + counts[State.UNKNOWN] == 60


@pytest.mark.soak
async def test_workers_outlive_their_server(
    own_postgres: Any, scene_on: "Callable[[str], Awaitable[Scene]]", people: "People"
) -> None:
    """It is killed and comes back after two seconds; they go on by themselves, at the pace."""
    scene = await scene_on(own_postgres.where)
    plan = people(60)
    await scene.dialer.submit(plan)
    for _ in range(3):
        await scene.hire()

    await scene.started(20)
    await asyncio.to_thread(own_postgres.kill)
    await asyncio.sleep(2)
    await asyncio.to_thread(own_postgres.start)
    counts = await scene.done(plan)

    starts = scene.emulator.starts
    assert set(scene.emulator.ring_counts.values()) == {1}
    assert counts[State.PLACED] == 60
    # The requests of the processes of a busy machine do not arrive as evenly as they leave; what
    # was waiting for the server, sent all at once, would be more than twice as many.
    assert max(sum(at <= each < at + 1 for each in starts) for at in starts) <= 2 * CPS
    assert [worker.returncode for worker in scene.workers] == [None] * 3
    for worker in scene.workers:
        worker.terminate()
    assert [await worker.wait() for worker in scene.workers] == [0] * 3


async def test_a_worker_in_this_process_outlives_its_server(
    own_postgres: Any,
    scene_on: "Callable[[str], Awaitable[Scene]]",
    people: "People",
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It says so, and begins again when the server is there; nobody is rung twice."""
    scene = await scene_on(own_postgres.where)
    async with scene.working():
        first = people(3)
        await scene.dialer.submit(first)
        await scene.done(first)
        await asyncio.to_thread(own_postgres.kill)
        await scene.until(lambda: "and begins again" in caplog.text)
        await asyncio.to_thread(own_postgres.start)
        with pytest.raises(ConfigurationError, match="works already"):
            await scene.dialer.work()
        await scene.dialer.submit(people(5, first.name))
        counts = await scene.done(first)

    assert counts[State.PLACED] == 5
    assert set(scene.emulator.ring_counts.values()) == {1}


async def test_a_worker_leaves_connections_that_can_only_read(
    own_postgres: Any, scene_on: "Callable[[str], Awaitable[Scene]]", people: "People"
) -> None:
    """As a fail-over may leave them open, while new ones lead to the server that writes."""
    scene = await scene_on(own_postgres.where)
    plan = people(3)
    await scene.dialer.submit(plan)
    async with await AsyncConnection.connect(own_postgres.where, autocommit=True) as database:
        change = f'ALTER DATABASE "{database.info.dbname}" {{}} default_transaction_read_only{{}}'
        await database.execute(change.format("SET", " = on").encode())
        async with ClusterDialer(scene.dialer._client, own_postgres.where) as dialer:
            work = asyncio.create_task(dialer.work())
            await asyncio.sleep(1)
            assert scene.emulator.starts == []
            await database.execute(change.format("RESET", "").encode())
            counts = await scene.done(plan)
            dialer.stop()
            await work

    assert counts[State.PLACED] == 3
    assert set(scene.emulator.ring_counts.values()) == {1}


def test_a_worker_serves_one_event_loop_after_the_other(postgres_server: str) -> None:
    """Opened, at work and stopped in each; and not closed in between."""
    client = ConferenceClient(Credentials(f"AC{'0' * 32}", "token"), limit=Unpaced())
    dialer = ClusterDialer(client, postgres_server)

    async def work() -> str:
        await ClusterDialer.set_up(postgres_server)
        await dialer.__aenter__()
        asyncio.get_running_loop().call_later(0.5, dialer.stop)
        await dialer.work()
        return repr(dialer)

    assert asyncio.run(work()) == asyncio.run(work()) == "<ClusterDialer idle>"


async def test_a_cancelled_worker_finishes_its_calls(scene: "Scene", people: "People") -> None:
    """Cancelling is as good as stopping: what is under way is written down."""
    scene.emulator.faults.add(Fault.DELAY, times=None, seconds=0.3)
    plan = people(3)
    await scene.dialer.submit(plan)
    work = asyncio.create_task(scene.dialer.work())
    await scene.started(3)
    work.cancel()
    await asyncio.wait({work})

    assert work.cancelled()
    assert (await scene.counts(plan))[State.PLACED] == 3


async def test_a_worker_has_at_least_one_target_in_hand(scene: "Scene", people: "People") -> None:
    """Nonsense is refused at once."""
    for concurrency in (0, "x", 2.5):
        with pytest.raises(ConfigurationError, match="concurrency must be 1 or more"):
            ClusterDialer(scene.dialer._client, scene.dsn, concurrency=concurrency)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ConfigurationError, match="dials with a ConferenceClient, or those of"):
        ClusterDialer(None, scene.dsn)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ConfigurationError, match="stalled must be more than 0 seconds"):
        scene.dialer.tasks(stalled=0)
    with pytest.raises(ConfigurationError, match="priority must be"):
        await scene.dialer.submit(people(1), priority="high")  # type: ignore[arg-type]  # the mistake
    async with SharedCampaign(f"{scene.dsn}#none") as campaign:
        with pytest.raises(ConfigurationError, match="pause must be 0 or more seconds"):
            await campaign.call_again("CA", because="busy", pause=-1)
        with pytest.raises(ConfigurationError, match="attempts must be 1 or more"):
            await campaign.call_again("CA", because="busy", attempts=0)


async def test_a_campaign_is_paused_resumed_and_cancelled(scene: "Scene", people: "People") -> None:
    """No call starts after a pause; resuming goes on; cancelling skips the rest."""
    plan = people(60)
    await scene.dialer.submit(plan)
    async with scene.paced(), SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign:
        await scene.started(5)
        await campaign.pause()
        while (await scene.counts(plan))[State.SENDING]:  # noqa: ASYNC110 -- in a database
            await asyncio.sleep(0.02)
        begun = len(scene.emulator.starts)
        await asyncio.sleep(1)
        assert len(scene.emulator.starts) == begun
        assert await campaign.standing() == (Standing.PAUSED, None)
        await campaign.resume()
        await scene.started(begun + 5)
        await campaign.cancel()
        counts = await scene.done(plan)
        assert counts[State.SKIPPED] > 0
        with pytest.raises(LedgerError, match="was cancelled"):
            await scene.dialer.submit(plan)
        await campaign.resume()
        counts = await scene.done(plan)
        while counts[State.SKIPPED]:
            counts = await scene.done(plan)

    assert counts[State.PLACED] == 60
    assert set(scene.emulator.ring_counts.values()) == {1}


async def test_a_refused_account_pauses_its_campaign(scene: "Scene", people: "People") -> None:
    """A person is told why, and nobody is lost."""
    plan = people(3)
    await scene.dialer.submit(plan)
    wrong = Credentials(scene.emulator.account_sid, "wrong")
    async with (
        ConferenceClient(wrong, base_url=scene.emulator.base_url, limit=Unpaced()) as client,
        ClusterDialer(client, scene.dsn) as dialer,
        SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign,
    ):
        work = asyncio.create_task(dialer.work())
        while (standing := await campaign.standing()) == (Standing.RUNNING, None):  # noqa: ASYNC110 -- in a database
            await asyncio.sleep(0.05)
        dialer.stop()
        await work

    assert standing is not None
    assert standing[0] is Standing.PAUSED
    assert standing[1]
    assert (await scene.counts(plan))[State.PLANNED] == 3


async def test_an_app_of_the_users_own_dials(scene: "Scene", people: "People") -> None:
    """Beside its own tasks, and with a limit and a client that are the user's."""
    app, done = App(connector=PsycopgConnector(conninfo=scene.dsn)), asyncio.Event()
    queue = f"dial/{scene.emulator.account_sid}"

    @app.task(name="of the user's own", queue=queue)
    async def own() -> None:
        done.set()

    plan = people(5)
    await scene.dialer.submit(plan)
    app.add_tasks_from(scene.dialer.tasks(), namespace="conference_async")
    async with app.open_async():
        await own.defer_async()
        worker = asyncio.create_task(
            app.run_worker_async(queues=[queue], concurrency=3, install_signal_handlers=False)
        )
        counts = await scene.done(plan)
        await done.wait()
        worker.cancel()
        await asyncio.wait({worker})

    assert counts[State.PLACED] == 5
    assert set(scene.emulator.ring_counts.values()) == {1}


async def test_a_local_run_keeps_off_a_campaign_of_workers(
    scene: "Scene", people: "People"
) -> None:
    """And the same dialler runs any other plan on the same database."""
    plan, other = people(3), people(3)
    await scene.dialer.submit(plan)
    client = scene.dialer._client

    with pytest.raises(LedgerError, match="belongs to workers"):
        async for _ in Dialer(client, ledger=PostgresLedger(scene.dsn)).run(plan):
            pass
    found = [
        outcome async for outcome in Dialer(client, ledger=PostgresLedger(scene.dsn)).run(other)
    ]

    assert [outcome.state for outcome in found] == [State.PLACED] * 3


async def test_work_needs_a_database_that_was_set_up(
    bare_postgres: Any, stage: AsyncExitStack
) -> None:
    """Else it says what to do."""
    emulator = await stage.enter_async_context(Emulator())
    credentials = Credentials(emulator.account_sid, emulator.auth_token)
    async with (
        ConferenceClient(credentials, base_url=emulator.base_url) as client,
        ClusterDialer(client, bare_postgres.where) as dialer,
    ):
        with pytest.raises(ConfigurationError, match="set-up"):
            await dialer.work()
