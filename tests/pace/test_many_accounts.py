"""Many accounts in one process: their limits share few connections, and leave nothing behind."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import redis.asyncio
from blockbuster import BlockBuster
from psycopg_pool import AsyncConnectionPool

from conference_async import sharing
from conference_async.errors import ConfigurationError
from conference_async.pace.line import Priority, next_ticket
from conference_async.pace.postgres import PostgresLimit
from conference_async.pace.redis import RedisLimit
from conference_async.pace.shared import SharedLimit
from conference_async.pace.sqlite import SQLiteLimit
from tests.conftest import program

ACCOUNTS = int(os.environ.get("CONFERENCE_ASYNC_TEST_ACCOUNTS", "20"))
MOST_CONNECTIONS = 10
MOST_BYTES = 25_000_000
KINDS: dict[str, Any] = {"sqlite": SQLiteLimit, "redis": RedisLimit, "postgres": PostgresLimit}


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let drivers import their parts, and the test ask servers."""
    no_blocking_calls.deactivate()


async def start(limit: SharedLimit) -> None:
    """Take one slot and use it."""
    while True:
        async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
            await turn.slot()
        if await turn.start():
            return


def resident() -> int:
    """Return how many bytes of memory this process has; 0 where that is not known."""
    with suppress(FileNotFoundError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    return 0


def connections(kind: str, where: str, besides: Collection[threading.Thread]) -> int:
    """Return how many connections this process has, as the server says; or threads, of new ones."""
    if kind == "sqlite":
        return sum("sqlite" in each.name for each in threading.enumerate() if each not in besides)
    if kind == "redis":
        with redis.Redis.from_url(where) as admin:
            return len(admin.client_list()) - 1
    with psycopg.connect(where) as admin:
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
        return int(row[0]) if row else 0


@pytest.mark.sized
@pytest.mark.parametrize("kind", KINDS)
async def test_limits_of_many_accounts_share_few_connections(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Each has its own pace; closed, they leave neither connection nor thread nor memory."""
    where, others = str(tmp_path / "pace.db"), threading.enumerate()
    if kind != "sqlite":
        where = request.getfixturevalue(f"own_{kind}").where
    async with KINDS[kind](where, 30, account="first") as limit:
        await start(limit)  # what is made once is made
    await asyncio.sleep(0)
    before = resident()
    limits = [KINDS[kind](where, 30, account=uuid.uuid4().hex) for _ in range(ACCOUNTS)]
    await asyncio.gather(*map(start, limits))
    used = resident() - before
    open_now = connections(kind, where, others)
    for limit in limits:
        await limit.aclose()

    print(f"{kind}: {ACCOUNTS} accounts, {open_now} connections, {used / 1e6:.1f} MB")
    assert 1 <= open_now <= MOST_CONNECTIONS
    assert used < MOST_BYTES
    assert not sharing._shares[asyncio.get_running_loop()]
    gives_up = time.monotonic() + 10
    while connections(kind, where, others) and time.monotonic() < gives_up:  # noqa: ASYNC110 -- a server's
        await asyncio.sleep(0.01)
    assert not connections(kind, where, others)


async def test_a_limit_goes_on_when_another_is_closed(postgres_server: str) -> None:
    """What they share is closed with the last of them."""
    first, second = (PostgresLimit(postgres_server, 30, account=uuid.uuid4().hex) for _ in "12")
    await start(first)
    await start(second)
    await first.aclose()
    await start(second)
    await first.aclose()  # again
    await start(second)
    await second.aclose()
    await start(second)
    await second.aclose()


async def test_a_pool_of_yours_is_used_and_left_open(postgres_server: str) -> None:
    """Whatever its rows are, and whether it commits by itself."""
    async with AsyncConnectionPool(postgres_server, min_size=1, max_size=2, open=False) as pool:
        async with PostgresLimit(pool, 30, account=uuid.uuid4().hex, max_live=5) as limit:
            for _ in range(3):
                await start(limit)
        async with pool.connection() as connection:
            cursor = await connection.execute("SELECT 1, 2")
            assert await cursor.fetchone() == (1, 2)


async def test_a_pool_of_yours_to_a_database_without_tables(bare_postgres: Any) -> None:
    """It says what to do, as any other would."""
    async with (
        AsyncConnectionPool(bare_postgres.where, min_size=1, open=False) as pool,
        PostgresLimit(pool, 30) as limit,
    ):
        with pytest.raises(ConfigurationError, match="cluster set-up"):
            await start(limit)


async def test_a_client_of_yours_is_used_and_left_open(redis_server: str) -> None:
    """One that makes text of what it reads is refused."""
    async with redis.asyncio.Redis.from_url(redis_server) as client:
        async with RedisLimit(client, 30, account=uuid.uuid4().hex, max_live=5) as limit:
            for _ in range(3):
                await start(limit)
        assert await client.ping()
    text = redis.asyncio.Redis.from_url(redis_server, decode_responses=True)
    with pytest.raises(ConfigurationError, match="decode_responses=False"):
        RedisLimit(text, 30)
    await text.aclose()


@pytest.fixture
def run_redis(free_port: Callable[[], int], tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Return what starts a Redis on a port, with a configuration; it ends with the test."""
    server = program("redis-server")
    running: list[subprocess.Popen[bytes]] = []

    def run(*settings: str, sentinel: bool = False) -> int:
        port = free_port()
        file = tmp_path / f"{port}.conf"
        where = ["bind 127.0.0.1", f"port {port}", f"dir {tmp_path}"]
        file.write_text("\n".join([*where, "save ''", *settings]))
        command = [server, str(file), *(["--sentinel"] if sentinel else [])]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        while running[-1].poll() is None:
            with suppress(redis.ConnectionError), redis.Redis(port=port) as client:
                client.ping()
                return port
            time.sleep(0.02)
        raise ChildProcessError(f"the server ended with {running[-1].returncode}")

    yield run
    for each in running:
        each.kill()
        each.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no redis-server")
async def test_a_redis_behind_sentinels(run_redis: Callable[..., int]) -> None:
    """They say which one writes; what is wrong with the URL is said without them."""
    port = run_redis()
    watches = f"sentinel monitor mymaster 127.0.0.1 {port} 1"
    sentinel = run_redis(watches, sentinel=True)
    url = f"redis+sentinel://127.0.0.1:{sentinel},127.0.0.1:1/mymaster/0"
    async with RedisLimit(url, 30, account="AC1", max_live=5) as limit:
        for _ in range(3):
            await start(limit)
    with redis.Redis(port=port) as client:
        assert client.exists("conference_async:pace:AC1")
    for wrong in ("redis+sentinel://host:1", "redis+cluster://", "redis+sentinel://h/m/x"):
        with pytest.raises(ConfigurationError, match="must be like"):
            RedisLimit(wrong, 30)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no redis-server")
async def test_sentinels_that_never_answer_leave_time_for_the_others(
    run_redis: Callable[..., int],
) -> None:
    """Two of five are on machines that are gone, and are asked first."""
    port = run_redis()
    watches = f"sentinel monitor mymaster 127.0.0.1 {port} 1"
    answers = f"127.0.0.1:{run_redis(watches, sentinel=True)}"
    with socket.create_server(("127.0.0.1", 0)) as gone:
        silent = f"127.0.0.1:{gone.getsockname()[1]}"
        places = ",".join([silent] * 2 + [answers] * 3)
        async with RedisLimit(f"redis+sentinel://{places}/mymaster/0", 30) as limit:
            await start(limit)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no redis-server")
async def test_after_a_pause_sentinels_are_asked_which_redis_writes(
    run_redis: Callable[..., int],
) -> None:
    """The one before may be there still, and not know yet that another one has its place."""
    before, after = run_redis(), run_redis()
    watches = f"sentinel monitor mymaster 127.0.0.1 {before} 1"
    port = run_redis(watches, sentinel=True)
    url = f"redis+sentinel://127.0.0.1:{port}/mymaster"
    async with RedisLimit(url, 30, account="AC1") as limit:
        await start(limit)
        with redis.Redis(port=port) as sentinel, redis.Redis(port=after) as other:
            sentinel.execute_command("SENTINEL", "REMOVE", "mymaster")
            sentinel.execute_command("SENTINEL", "MONITOR", "mymaster", "127.0.0.1", after, 1)
            while not other.exists("conference_async:pace:AC1"):
                await asyncio.sleep(2)
                await start(limit)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no redis-server")
async def test_a_cluster_of_redis(
    run_redis: Callable[..., int], free_port: Callable[[], int]
) -> None:
    """All that belongs to an account is in one place of it."""
    between = [free_port() for _ in range(2)]
    ports = [
        run_redis(
            "cluster-enabled yes", f"cluster-port {port}", f"cluster-config-file {port}.nodes"
        )
        for port in between
    ]
    with redis.Redis(port=ports[0]) as first, redis.Redis(port=ports[1]) as second:
        first.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        second.execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        second.execute_command("CLUSTER", "SET-CONFIG-EPOCH", 2)
        first.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[1], between[1])
        while any(b"cluster_state:ok" not in _info(each) for each in (first, second)):  # noqa: ASYNC110 -- others
            await asyncio.sleep(0.05)
    async with AsyncExitStack() as stack:
        for number in range(6):
            url = f"redis+cluster://127.0.0.1:{ports[0]}"
            limit = RedisLimit(url, 30, account=f"AC{number}", max_live=5)
            await stack.enter_async_context(limit)
            await start(limit)
        with redis.Redis(port=ports[0]) as first, redis.Redis(port=ports[1]) as second:
            assert first.dbsize()
            assert second.dbsize()

        async def plainly() -> None:
            for number in range(6):
                plain = RedisLimit(f"redis://127.0.0.1:{ports[0]}", 30, account=f"AC{number}")
                await start(await stack.enter_async_context(plain))

        with pytest.raises(ConfigurationError, match=r"use redis\+cluster://"):
            await plainly()


def _info(client: Any) -> bytes:
    found = client.execute_command("CLUSTER", "INFO")
    return found if isinstance(found, bytes) else repr(found).replace("': '", ":").encode()
