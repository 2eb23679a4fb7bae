"""A store that answers and is not the one that writes: the connection is left for another."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis.asyncio

from conference_async.pace.line import Priority, next_ticket
from conference_async.pace.postgres import PostgresLimit
from conference_async.pace.redis import RedisLimit
from conference_async.pace.shared import SharedLimit

SOON = 15.0
"""Seconds within which a limit goes on when its store is back, on a busy machine too."""


async def start(limit: SharedLimit) -> float:
    """Take one slot and use it; return how long that took."""
    begun = time.monotonic()
    while True:
        async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
            await turn.slot()
        if await turn.start():
            return time.monotonic() - begun


class Proxy:
    """Stands between a limit and its Redis: pipes, or answers in its place.

    What a connection gets is settled when it is made, as with a proxy or a name that leads to
    another server after a fail-over: the connections that stand stay where they are.
    """

    def __init__(self, url: str) -> None:
        self.path = url.removeprefix("unix://")
        self.answer: bytes | None = None
        self.connections = 0
        self._served = list[asyncio.Task[Any] | None]()
        self.trips = 0
        """Round trips before the first slot was asked for."""
        self._asked = self._slot_asked = False

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self._served.append(asyncio.current_task())
        back_reader, back_writer = await asyncio.open_unix_connection(self.path)
        await asyncio.gather(
            self._ask(reader, back_writer, writer, self.answer), self._pipe(back_reader, writer)
        )

    async def ended(self) -> None:
        """Wait until both ends of each connection have closed it: the loop would leave it open."""
        await asyncio.wait([task for task in self._served if task])

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        back: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
        answer: bytes | None,
    ) -> None:
        while data := await reader.read(65536):
            self._slot_asked |= b"EVALSHA" in data
            self._asked = not self._slot_asked
            if answer is not None and (b"EVALSHA" in data or b"SCRIPT" in data):
                writer.write(answer)
            else:
                back.write(data)
        back.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.trips += self._asked
            self._asked = False
            writer.write(data)
        writer.close()


@asynccontextmanager
async def in_front_of(url: str, folder: Path) -> AsyncIterator[tuple[Proxy, str]]:
    """Yield a proxy in front of a Redis, and its URL."""
    proxy, path = Proxy(url), folder / "proxy.sock"
    server = await asyncio.start_unix_server(proxy.accept, path)
    yield proxy, f"unix://{path}"
    server.close()
    await proxy.ended()


@pytest.mark.parametrize(
    "answer",
    [
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-ERR upstream connect error\r\n",
    ],
)
async def test_a_redis_that_cannot_write_is_left_for_another(
    redis_server: str, tmp_path: Path, answer: bytes
) -> None:
    """Each answer of a Redis that cannot write leads to a new connection, until one can."""
    async with in_front_of(redis_server, tmp_path) as (proxy, url):
        proxy.answer = answer
        async with RedisLimit(url, 20, account=tmp_path.name) as limit:
            waiting = asyncio.create_task(start(limit))
            await asyncio.sleep(0.5)
            assert proxy.connections < 20
            while proxy.connections < 2:  # noqa: ASYNC110 -- the limit's own time
                await asyncio.sleep(0.02)
            assert not waiting.done()
            proxy.answer = None

            await waiting


async def test_a_redis_that_is_slow_to_answer_is_connected_to(redis_server: str) -> None:
    """All that leads to the first slot has two seconds: time for three answers and the slot's."""
    proxy = Proxy(redis_server)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with server, RedisLimit(f"redis://127.0.0.1:{port}", 20, account="slow") as limit:
        await start(limit)
    await proxy.ended()

    assert proxy.trips / proxy.connections <= 3


async def test_a_redis_that_was_demoted_while_connected_is_left_for_the_new_one(
    own_redis: object, redis_server: str, tmp_path: Path
) -> None:
    """The connection stands, and the server on it will never write again."""
    old: str = own_redis.where  # type: ignore[attr-defined]  # the protocol is the fixtures'
    async with (
        in_front_of(old, tmp_path) as (proxy, url),
        RedisLimit(url, 20, account=tmp_path.name) as limit,
    ):
        await start(limit)
        async with redis.asyncio.Redis.from_url(old) as client:
            await client.replicaof("127.0.0.1", 1)
        proxy.path = redis_server.removeprefix("unix://")

        assert await start(limit) < SOON


async def test_a_redis_that_forgot_its_scripts_is_told_again(redis_server: str) -> None:
    """As after a restart, or at a new primary: it costs no create."""
    async with RedisLimit(redis_server, 20, account="scripts") as limit:
        await start(limit)
        async with redis.asyncio.Redis.from_url(redis_server) as client:
            await client.script_flush()

        assert await start(limit) < SOON


async def test_a_postgres_that_only_reads_is_left_for_another(own_postgres: object) -> None:
    """A session on a standby never comes to write: the limit connects again until one does."""
    dsn: str = own_postgres.where  # type: ignore[attr-defined]  # the protocol is the fixtures'
    async with PostgresLimit(dsn, 20) as limit, await admin(dsn) as connection:
        await start(limit)
        name = connection.info.dbname
        await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        await end_sessions(connection)
        waiting = asyncio.create_task(start(limit))
        await asyncio.sleep(1)
        assert not waiting.done()
        await connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')

        await waiting


async def test_a_postgres_that_ends_sessions_is_connected_to_again(
    own_postgres: object, caplog: pytest.LogCaptureFixture
) -> None:
    """An administrator's command, or a pooler's restart, costs no create, and nothing is said."""
    dsn: str = own_postgres.where  # type: ignore[attr-defined]  # the protocol is the fixtures'
    async with PostgresLimit(dsn, 20) as limit, await admin(dsn) as connection:
        for _ in range(3):
            await start(limit)
            await end_sessions(connection)

        assert await start(limit) < SOON

    assert not [each for each in caplog.records if each.name.startswith("conference_async")]


async def admin(dsn: str) -> psycopg.AsyncConnection:
    """Return a connection of somebody who may do everything, and may write."""
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    await connection.execute("SET default_transaction_read_only = off")
    return connection


async def end_sessions(connection: psycopg.AsyncConnection) -> None:
    """End every other session in this database (57P01)."""
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
