"""A worker in a process of its own; run as a script, with its order in JSON.

It gives signs of life more often than a real one and is taken for dead sooner, so that a test
need not wait as long.
"""

import asyncio
import json
import logging
import signal
import sys
from typing import Any

import attrs

from conference_async import (
    ConferenceClient,
    Credentials,
    Outcome,
    PostgresLimit,
    RetryPolicy,
    State,
)
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.workers import cluster_dialer, jobs, queue_connections, supervision
from conference_async.dialer.workers.assignments import Assignment
from conference_async.dialer.workers.cluster_dialer import ClusterDialer
from conference_async.dialer.workers.turns import Turn
from conference_async.postgres import session

cluster_dialer.HEARTBEAT = 0.5
cluster_dialer.STALLED = 2.5
jobs.LOOK_EVERY = 1.0
session.SILENCE = 2.0
queue_connections.SILENCE = 1.0
supervision.FINISHING = 1.0
supervision.LEAVING = 1.0


class Unguarded(Turn):
    """Calls a target that is being called as one that nobody has called: the control."""

    async def _done(self, found: Assignment) -> Outcome:
        if found.outcome.state is State.SENDING:
            planned = found.outcome.not_sent("")
            await PostgresLedger.on(self._session, found.ledger).swap(found.outcome, planned)
            found = attrs.evolve(found, outcome=planned)
        return await super()._done(found)


async def main(order: dict[str, Any]) -> int:
    """Work until SIGTERM; return how many calls had to be left."""
    if not order["guarded"]:
        vars(jobs)["Turn"] = Unguarded
    credentials = Credentials(order["account_sid"], order["auth_token"])
    limit = PostgresLimit(order["dsn"], order["cps"], account=order["account_sid"])
    async with (
        limit,
        ConferenceClient(
            credentials, base_url=order["base_url"], limit=limit, retry=RetryPolicy(settled=1)
        ) as client,
        ClusterDialer(client, order["dsn"]) as dialer,
    ):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, dialer.stop)
        print("ready", flush=True)
        return await dialer.work()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    sys.exit(asyncio.run(main(json.loads(sys.argv[1]))))
