"""Servers that answer while this process does not run."""

import asyncio
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import redis.asyncio
from blockbuster import BlockBuster

from conference_async.postgres.connection import Connection as PostgresConnection
from conference_async.redis.connection import Connection as RedisConnection
from conference_async.redis.sharing import connections_to

if TYPE_CHECKING:
    from redis.asyncio import Redis

SILENCE = 60.0
STOPPED = 100.0


async def test_an_answer_of_redis_is_taken(
    stand_still: Callable[[float], None], redis_server: str
) -> None:
    """Over a connection of ours, and over one of an application's; it stays open."""
    yours = redis.asyncio.Redis.from_url(redis_server, socket_timeout=None)
    other = redis.asyncio.Redis.from_url(redis_server)
    ours = RedisConnection(redis_server, silence=SILENCE, purpose="a test")
    for connection in (ours, connections_to(yours, silence=SILENCE, purpose="a test")):
        key = uuid.uuid4().hex

        async def work(client: "Redis", key: str = key) -> Any:
            """Wait for something that another one sends."""
            return await client.blpop([key])

        asking = asyncio.create_task(connection.run(work))
        while not (await other.info("clients"))["blocked_clients"]:  # noqa: ASYNC110 -- a server is asked
            await asyncio.sleep(0.01)
        stand_still(STOPPED)
        await asyncio.sleep(0)
        await other.rpush(key, b"the answer")

        assert await asking == (key.encode(), b"the answer")
        assert connection.is_open
    for each in (ours, yours, other):
        await each.aclose()


async def test_an_answer_of_postgres_is_taken(
    stand_still: Callable[[float], None], postgres_server: str, no_blocking_calls: BlockBuster
) -> None:
    """And what is asked after it is answered, over the same connection."""
    no_blocking_calls.deactivate()  # psycopg imports its parts
    connection = PostgresConnection(postgres_server, silence=SILENCE, purpose="a test")

    async def work(asked: Any) -> list[Any]:
        """Ask twice, and stand still from the first question on."""
        asyncio.get_running_loop().call_soon(stand_still, STOPPED)
        first = await (await asked.execute("SELECT 1 AS answer FROM pg_sleep(0.02)")).fetchone()
        second = await (await asked.execute("SELECT 2 AS answer")).fetchone()
        return [first, second, asked]

    first, second, asked = await connection.run(work)

    assert [first, second] == [{"answer": 1}, {"answer": 2}]
    assert not asked.closed
    connection.drop()
