"""What a PostgreSQL's plan of a statement says of the rows that it read."""

from collections.abc import Iterator
from typing import Any

from psycopg import AsyncConnection


async def rows_in_vain(database: AsyncConnection[Any], statement: str | bytes, values: Any) -> int:
    """Carry a statement out; return how many rows were read for it and passed by."""
    if isinstance(statement, str):
        statement = statement.encode()
    found = await database.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + statement, values)
    [(plans,)] = await found.fetchall()
    return sum(_passed_by(plans[0]["Plan"]))


def _passed_by(plan: dict[str, Any]) -> Iterator[int]:
    yield plan["Actual Loops"] * plan.get("Rows Removed by Filter", 0)
    for part in plan.get("Plans", ()):
        yield from _passed_by(part)
