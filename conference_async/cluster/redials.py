"""Calling somebody again, where callbacks told that a call did not reach them."""

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from procrastinate import App
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.psycopg_connector import PsycopgConnector

from conference_async.cluster.jobs import job_for
from conference_async.cluster.ledger_tables import outcome_of
from conference_async.cluster.postgres_ledger import PostgresLedger
from conference_async.dialer.ledger import State

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

_FIND = """
SELECT outcome.*, campaign.priority, campaign.account_sid, clock_timestamp() AS now
FROM conference_async_outcome AS outcome JOIN conference_async_campaign AS campaign USING (ledger)
WHERE outcome.call_sid = %s AND outcome.ledger = %s
"""


async def call_again(
    ledger: PostgresLedger, call_sid: str, *, because: str, pause: float, attempts: int
) -> bool:
    """Plan a target again as `SharedCampaign.call_again` says."""
    name = await ledger.name() or ""

    async def read(connection: "AsyncConnection[DictRow]") -> "DictRow | None":
        return await (await connection.execute(_FIND, (call_sid, name))).fetchone()

    row = await ledger.session.run(read)
    if row is None or row["state"] != State.PLACED:
        return False
    outcome = outcome_of(row)
    if outcome.attempts >= attempts or row["request"] is None:
        await ledger.swap(outcome, outcome.noted(because))
        return False
    job = job_for(name, row, at=row["now"] + timedelta(seconds=pause))
    manager = App(connector=PsycopgConnector()).job_manager

    async def work(connection: "AsyncConnection[DictRow]") -> None:
        with suppress(AlreadyEnqueued):
            await manager.batch_defer_jobs_async(jobs=[job], connection=connection)

    # The job first: without one, a target that is planned would be called at once.
    await ledger.session.run(work)
    return await ledger.swap(outcome, outcome.again(f"{because}, to be called again"))
