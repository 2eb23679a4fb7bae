"""Campaigns that share contact limits, in a process of its own; run as a script with its order."""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from conference_async import (
    ConferenceClient,
    ContactLimit,
    ContactRules,
    Credentials,
    Dialer,
    Ledger,
    NewParticipant,
    Plan,
    RetryPolicy,
    Unpaced,
)
from conference_async.journal.place import journal_at


async def run(client: ConferenceClient, order: dict[str, Any], name: str) -> None:
    """Run one campaign to its end, or go on with it."""
    numbers = [f"+1555867{n:04d}" for n in range(order["numbers"])]
    plan = Plan.from_participants(
        [NewParticipant(from_="+15017122661", to=to) for to in numbers],
        conference=name,
        name=name,
    )
    ledger = Ledger(Path(order["folder"]) / f"{name}.ledger")
    rules = ContactRules(limits=ContactLimit(order["limit"], timedelta(hours=1)))
    async for _ in Dialer(client, ledger=ledger, rules=rules).run(plan):
        pass


async def main(order: dict[str, Any]) -> None:
    """Run all of the process's campaigns at once."""
    async with (
        journal_at(order["journal"]) as journal,
        ConferenceClient(
            Credentials(order["account_sid"], order["auth_token"]),
            base_url=order["base_url"],
            limit=Unpaced(),
            retry=RetryPolicy(settled=1),
            journal=journal,
        ) as client,
    ):
        print("ready", flush=True)
        await asyncio.gather(*(run(client, order, name) for name in order["campaigns"]))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
