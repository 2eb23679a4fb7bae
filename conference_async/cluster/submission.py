"""How a plan gets into the hands of workers: into the ledger first, then into the queue."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime

from conference_async.cluster.assignments import order_for
from conference_async.cluster.jobs import enqueue
from conference_async.cluster.postgres_ledger import PostgresLedger
from conference_async.cluster.queue_schema import check_queue
from conference_async.dialer.ledger import Campaign, Outcome, State
from conference_async.dialer.plan import Plan
from conference_async.dialer.policy import ON_THE_LIST, Policy
from conference_async.dialer.targets import Target
from conference_async.errors import ConfigurationError


async def submit(
    plan: Plan, ledger: PostgresLedger, *, account_sid: str, priority: int, policy: Policy
) -> int:
    """Submit a plan as `ClusterDialer.submit` says; return how many jobs were made."""
    if policy.quorum is not None and policy.quorum.count is not None:
        raise ConfigurationError(
            "workers count by themselves who has joined: give them a Quorum without a count"
        )
    total = await plan.check()
    campaign = Campaign(name=plan.name, account_sid=account_sid, total=total)
    dsn = ledger.session.dsn
    made = last = 0
    async with ledger:
        await ledger.session.run(check_queue, patience=0)
        await ledger.begin(campaign, priority=priority, policy=policy)
        name = await ledger.name() or plan.name
        try:
            async with aclosing(plan.batches()) as batches:
                async for batch in batches:
                    await _enrol(batch, ledger, policy)
                    new, last = await enqueue(dsn, name, last)
                    made += new
            new, _ = await enqueue(dsn, name)  # for those who are to be called after all
        finally:
            await ledger.end()
    return made + new


async def _enrol(batch: list[Target], ledger: PostgresLedger, policy: Policy) -> None:
    """Write down whom to call and how, and decide about those that are known."""
    rows = [Outcome(target=each.key, to=each.to, conference=each.conference) for each in batch]
    orders = await asyncio.to_thread(lambda: [order_for(target, policy) for target in batch])
    known = await ledger.enrol_with(rows, orders)
    for target, outcome in zip(batch, known, strict=True):
        after = None
        if policy.forbids(target.to):
            if outcome.state in {State.PLANNED, State.SKIPPED}:
                after = outcome.skipped(ON_THE_LIST, datetime.now(UTC))
        elif policy.redial_unknown and outcome.state is State.UNKNOWN:
            after = outcome.again("to be called again, as told")
        if after is not None:
            await ledger.swap(outcome, after)
