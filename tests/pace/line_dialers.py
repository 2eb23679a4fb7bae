"""One process that dials a campaign under a shared limit with lines; its order is in JSON."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from conference_async import (
    AttemptEvent,
    ConferenceClient,
    Credentials,
    Dialer,
    Ledger,
    NewParticipant,
    Plan,
    PostgresLimit,
    RedisLimit,
    SharedLimit,
    SQLiteLimit,
)

LIMITS: dict[str, Callable[..., SharedLimit]] = {
    "sqlite": SQLiteLimit,
    "redis": RedisLimit,
    "postgres": PostgresLimit,
}


async def main(order: dict[str, Any]) -> None:
    """Dial to the end; print what was refused, and what became of the targets."""
    refused: list[float] = []

    def note(event: AttemptEvent) -> None:
        if event.code in {10004, 16021}:
            refused.append(time.time())

    people = [
        NewParticipant(
            from_="+15017122661",
            to=f"+1555{number:07d}",
            status_callback=order["callback"],
            status_callback_event=["completed"] if order["callback"] else None,
        )
        for number in range(order["first"], order["first"] + order["targets"])
    ]
    limit = LIMITS[order["store"]](
        order["where"], 30, account=order["account"], max_live=order["max_live"]
    )
    async with (
        limit,
        ConferenceClient(
            Credentials(order["account_sid"], order["auth_token"]),
            base_url=order["base_url"],
            limit=limit,
            on_attempt=note,
        ) as client,
    ):
        dialer = Dialer(client, ledger=Ledger(order["ledger"]))
        plan = Plan.from_participants(people, conference="standup")
        states = [str(outcome.state) async for outcome in dialer.run(plan)]
    print(json.dumps({"refused": refused, "states": states}))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
