"""A worker in a process of its own; run as a script, with its order in JSON.

It gives signs of life more often than a real one and is taken for dead sooner, so that a test
need not wait as long.
"""

import asyncio
import json
import signal
import sys
from typing import Any

import attrs

from conference_async import ConferenceClient, Credentials, PostgresLimit
from conference_async.cluster import ClusterDialer, PostgresLedger, cluster_dialer, jobs
from conference_async.cluster.assignments import Assignment, assignment
from conference_async.cluster.postgres_session import Session
from conference_async.dialer import State

cluster_dialer.HEARTBEAT = 0.5
cluster_dialer.STALLED = 2.5
jobs.RECOVERY = "* * * * * *"


async def unguarded(session: Session, number: int) -> Assignment | None:
    """Return a target that is being called as one that nobody has called: the control."""
    found = await assignment(session, number)
    if found is None or found.outcome.state is not State.SENDING:
        return found
    planned = found.outcome.not_sent("")
    await PostgresLedger.on(session, found.ledger).swap(found.outcome, planned)
    return attrs.evolve(found, outcome=planned)


async def main(order: dict[str, Any]) -> None:
    """Work until SIGTERM."""
    if not order["guarded"]:
        vars(jobs)["assignment"] = unguarded
    credentials = Credentials(order["account_sid"], order["auth_token"])
    limit = PostgresLimit(order["dsn"], order["cps"], account=order["account_sid"])
    async with (
        limit,
        ConferenceClient(credentials, base_url=order["base_url"], limit=limit) as client,
        ClusterDialer(client, order["dsn"]) as dialer,
    ):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, dialer.stop)
        print("ready", flush=True)
        await dialer.work()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
