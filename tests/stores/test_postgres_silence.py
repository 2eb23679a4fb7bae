"""A server that does not answer in time, or seems not to have."""

import asyncio
from typing import Any

import psycopg
from blockbuster import BlockBuster

from conference_async.postgres.silence import within


async def test_an_answer_that_came_while_nobody_ran_holds(
    postgres_server: str, no_blocking_calls: BlockBuster
) -> None:
    """As in a process that was stopped; the next who asks gets another connection."""
    no_blocking_calls.deactivate()  # psycopg imports its parts
    async with await psycopg.AsyncConnection.connect(postgres_server) as connection:
        answered, given_up = await connection.execute("SELECT 1"), asyncio.Event()

        async def read_it_late() -> Any:
            """Come to it when the time for it is over."""
            await given_up.wait()
            return await answered.fetchone()

        assert await within(connection, 0, read_it_late, silent=given_up.set) == (1,)
        assert connection.closed
