"""Workers with the right to rows and no more, and workers behind a pooler."""

import asyncio
import json
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from blockbuster import BlockBuster
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conference_async import ClusterDialer, PostgresLedger, SharedCampaign, State
from conference_async.dialer import Campaign
from conference_async.dialer.workers import jobs, queue_connections, supervision
from conference_async.dialer.workers.standing import Standing
from conference_async.errors import ConfigurationError
from conference_async.postgres.notices import Notices
from tests.conftest import program, run_sql
from tests.workers.conftest import shell_on

if TYPE_CHECKING:
    from tests.conftest import Proxy
    from tests.workers.conftest import People, Scene


SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg and procrastinate import their parts."""
    no_blocking_calls.deactivate()


@pytest.fixture
def role(own_postgres: Any) -> str:
    """Return a role that may log in, and no more."""
    name = f"Rows {uuid.uuid4().hex}"
    with psycopg.connect(own_postgres.where, autocommit=True) as server:
        server.execute(f'CREATE ROLE "{name}" LOGIN'.encode())
    return name


def url_of(dsn: str, **parts: str) -> str:
    """Return a connection string with other parts, as a URL."""
    said = conninfo_to_dict(make_conninfo(dsn, **parts))
    user = str(said["user"]).replace(" ", "%20")
    where = f"host={said['host']}&port={said.get('port', 5432)}"
    return f"postgresql://{user}@/{said['dbname']}?{where}"


async def run_a_campaign(scene: "Scene", people: "People") -> None:
    """Submit a plan, control it, and let a worker dial it that keeps the shared pace."""
    plan = people(12)
    await scene.dialer.submit(plan)
    async with SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign:
        assert await campaign.pause() == 0
        await campaign.resume()
        async with scene.paced():
            assert (await scene.done(plan))[State.PLACED] == 12
        assert await campaign.standing() == (Standing.RUNNING, None)
    assert await scene.dialer.submit(plan) == 0
    assert set(scene.emulator.ring_counts.values()) == {1}


@pytest.mark.parametrize("by", ["method", "printed SQL"])
async def test_the_right_to_rows_is_enough_to_run_a_campaign(
    by: str,
    own_postgres: Any,
    role: str,
    scene_on: "Callable[[str], Awaitable[Scene]]",
    people: "People",
) -> None:
    """Once somebody else has made the tables and granted it."""
    if by == "method":
        await ClusterDialer.set_up(own_postgres.where, grant_to=role)
    else:
        with psycopg.connect(own_postgres.where, autocommit=True) as server:
            server.execute(ClusterDialer.set_up_sql(role).encode())
    scene = await scene_on(url_of(own_postgres.where, user=role))

    await run_a_campaign(scene, people)
    with (
        psycopg.connect(scene.dsn) as server,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        server.execute("CREATE TABLE mine ()")


async def test_a_worker_without_rights_ends_with_a_line(
    own_postgres: Any, role: str, scene: "Scene"
) -> None:
    """And with the code that says that something is to be set right."""
    where = url_of(own_postgres.where, user=role)
    ended = await shell_on(scene.emulator).run("worker", "--ledger", where)

    lines = ended.err.splitlines()
    assert ended.code == 2
    assert len(lines) == 1, lines
    assert "--grant-to ROLE" in lines[0]


@pytest.fixture
def pooler(postgres_proxy: "tuple[Proxy, str]", free_port: Callable[[], int]) -> Iterator[str]:
    """Return the connection string of a PgBouncer that changes sessions with each transaction."""
    pgbouncer = program("pgbouncer")
    (proxy, dsn), port = postgres_proxy, free_port()
    name = conninfo_to_dict(dsn)["dbname"]
    where = f"postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=disable"
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as settings:
        settings.write(SETTINGS.format(server=proxy.port, port=port))
        settings.flush()
        Path(settings.name).chmod(0o644)
        command = [pgbouncer, settings.name]
        if os.geteuid() == 0:  # which it refuses to be
            command[1:1] = ["-u", "nobody"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
            while running.poll() is None:
                with suppress(psycopg.OperationalError):
                    psycopg.connect(where).close()
                    break
                time.sleep(0.05)
            yield where
            running.terminate()


async def test_workers_get_along_with_a_pooler_that_changes_sessions(
    pooler: str, scene_on: "Callable[[str], Awaitable[Scene]]", people: "People"
) -> None:
    """Nothing of theirs is prepared, or belongs to a session; three of these serve all of them."""
    await run_a_campaign(await scene_on(pooler), people)
    with psycopg.connect(pooler, prepare_threshold=None) as server:
        left = server.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert left.fetchone() == (0,)


async def test_a_run_of_one_process_does_not_go_through_a_pooler(
    pooler: str, own_postgres: Any
) -> None:
    """Its lock would be somebody else's; it says so, and takes none. Past the pooler it runs."""
    campaign = Campaign(name="monday", account_sid=f"AC{'0' * 32}", total=1)
    async with PostgresLedger(pooler) as ledger:
        with pytest.raises(ConfigurationError, match="name the database past the pooler"):
            await ledger.begin(campaign)
    with psycopg.connect(own_postgres.where) as server:
        left = server.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert left.fetchone() == (0,)
    async with PostgresLedger(own_postgres.where) as ledger:
        await ledger.begin(campaign)
        await ledger.end()


@pytest.mark.parametrize("past", [True, False])
async def test_jobs_are_heard_of_past_a_pooler_or_looked_for(
    past: bool,
    pooler: str,
    own_postgres: Any,
    scene_on: "Callable[[str], Awaitable[Scene]]",
    people: "People",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a direct connection at once; without one by a look every second, as none is notified."""
    monkeypatch.setattr(supervision, "POLL", 3600.0)
    monkeypatch.setattr(jobs, "LOOK_EVERY", 3600.0)
    if past:
        monkeypatch.setattr(queue_connections, "_LOOK", 3600.0)
    scene = await scene_on(pooler)
    direct = own_postgres.where if past else None
    async with ClusterDialer(scene.dialer._client, pooler, direct=direct) as dialer:
        work = asyncio.create_task(dialer.work())
        while not await workers_there(pooler):  # noqa: ASYNC110 -- in a database
            await asyncio.sleep(0.05)
        plan = people(3)
        await scene.dialer.submit(plan)
        assert (await scene.done(plan))[State.PLACED] == 3
        dialer.stop()
        await work


async def test_notices_say_whether_they_come_through(pooler: str, own_postgres: Any) -> None:
    """They do not behind a pooler, whose server hears them while nobody reads."""
    heard, told = asyncio.Event(), []
    behind, past = (
        Notices(dsn, channels=["news"], purpose="a test", hear=hear, every=5)
        for dsn, hear in (
            (pooler, lambda *notice: told.append(notice)),
            (own_postgres.where, lambda *_: heard.set()),
        )
    )
    listening = [asyncio.create_task(each.listen()) for each in (behind, past)]
    while not heard.is_set():
        with psycopg.connect(pooler, autocommit=True, prepare_threshold=None) as server:
            server.execute("SELECT pg_notify('news', 'something')")
        await asyncio.sleep(0.05)
    assert (behind.come_through, past.come_through, told) == (False, True, [])
    for each in listening:
        each.cancel()
    await asyncio.wait(listening)
    assert not past.come_through


async def test_a_notice_that_comes_with_an_answer_proves_nothing(own_postgres: Any) -> None:
    """Behind a pooler some do, while their server answers; those that come by themselves never."""
    heard = asyncio.Queue[str]()
    notices = Notices(
        own_postgres.where,
        channels=["news"],
        purpose="a test",
        hear=lambda _, payload: heard.put_nowait(payload),
        every=5,
    )
    begin = vars(vars(notices)["_connection"])["_greet"]

    async def begin_and_ask(connection: psycopg.AsyncConnection[Any]) -> None:
        vars(notices)["_prove"] = ask_nothing
        await begin(connection)
        await connection.execute("SELECT pg_notify('news', 'with an answer')")

    async def ask_nothing(_: object) -> None:
        """Let the proof be missing."""

    vars(vars(notices)["_connection"])["_greet"] = begin_and_ask
    listening = asyncio.create_task(notices.listen())
    assert (await heard.get(), notices.come_through) == ("with an answer", False)
    run_sql(own_postgres.where, "NOTIFY news, 'by itself'")
    assert (await heard.get(), notices.come_through) == ("by itself", True)
    listening.cancel()
    await asyncio.wait({listening})


async def test_notices_come_again_when_their_connection_broke(own_postgres: Any) -> None:
    """It begins anew, so that whoever waits looks once, and hears what comes then."""
    heard, begun = list[tuple[str, str]](), list[None]()
    notices = Notices(
        own_postgres.where,
        channels=["news"],
        purpose="a test",
        hear=lambda *notice: heard.append(notice),
        begun=lambda: begun.append(None),
        every=5,
    )
    listening = asyncio.create_task(notices.listen())
    while not notices.come_through:  # noqa: ASYNC110 -- told by a server
        await asyncio.sleep(0.02)
    run_sql(
        own_postgres.where,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    while len(begun) < 2 or not notices.come_through:  # noqa: ASYNC110 -- told by a server
        await asyncio.sleep(0.02)
    run_sql(own_postgres.where, "NOTIFY news, 'something'")
    while not heard:  # noqa: ASYNC110 -- told by a server
        await asyncio.sleep(0.02)
    assert heard == [("news", "something")]
    listening.cancel()
    await asyncio.wait({listening})


async def test_nobody_else_hears_that_notices_come_through(own_postgres: Any) -> None:
    """Whoever listens to the same channels takes each notice for one of theirs."""
    heard = list[tuple[str, str]]()
    first, second = (
        Notices(
            own_postgres.where,
            channels=["news"],
            purpose="a test",
            hear=lambda *notice: heard.append(notice),
            every=5,
        )
        for _ in range(2)
    )
    listening = list[asyncio.Task[None]]()
    for each in (first, second):
        listening.append(asyncio.create_task(each.listen()))
        while not each.come_through:  # noqa: ASYNC110 -- told by a server
            await asyncio.sleep(0.02)
    run_sql(own_postgres.where, "NOTIFY news, 'something'")
    while len(heard) < 2:  # noqa: ASYNC110 -- told by a server
        await asyncio.sleep(0.02)
    assert heard == [("news", "something")] * 2
    for task in listening:
        task.cancel()
    await asyncio.wait(listening)


async def test_a_worker_hears_of_jobs_whatever_else_is_notified(
    own_postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no notice of the queue's is passed over, as workers of before notified of it."""
    monkeypatch.setattr(queue_connections, "_LOOK", 3600.0)
    app = queue_connections.QueueConnections().app_on(own_postgres.where)
    heard = asyncio.Queue[str]()

    async def hear(*, channel: str, payload: str) -> None:
        await heard.put(json.loads(payload)["type"] + channel)

    listening = asyncio.create_task(app.connector.listen_notify(hear, ["jobs"]))
    assert await heard.get() == "job_insertedjobs"
    run_sql(own_postgres.where, "NOTIFY jobs, 'hello'")
    run_sql(own_postgres.where, """NOTIFY jobs, '{"type": "more"}'""")
    told = asyncio.create_task(heard.get())
    await asyncio.wait({told, listening}, return_when=asyncio.FIRST_COMPLETED)
    assert told.done()
    assert told.result() == "morejobs"
    listening.cancel()
    await asyncio.wait({listening})


async def workers_there(dsn: str) -> int:
    """Return how many workers are registered."""
    async with await psycopg.AsyncConnection.connect(dsn, prepare_threshold=None) as server:
        cursor = await server.execute("SELECT count(*) FROM procrastinate_workers")
        (count,) = await cursor.fetchone() or (0,)
        return int(count)
