"""The targets of a plan as jobs: entered in the ledger, with all that rules ask of them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from zoneinfo import ZoneInfo

import attrs

from conference_async.dialer.calling.execution import Executor
from conference_async.dialer.calling.known import caller_of, row_of
from conference_async.dialer.ledger.outcome import Outcome
from conference_async.dialer.local.backlog import Job
from conference_async.dialer.local.rooms import Rooms
from conference_async.dialer.plan.plan import Plan
from conference_async.dialer.rules.wishes import Wishes
from conference_async.journal.contacts import Contact


@attrs.frozen(kw_only=True)
class Feed:
    """Makes jobs of a plan's targets."""

    executor: Executor
    wishes: Wishes

    async def jobs(self, plan: Plan) -> AsyncGenerator[Job, None]:
        """Yield a job for each target, in the order of the plan.

        Raises:
            ConfigurationError: The plan cannot be read.
            InvalidParameter: A row is bad, and bad rows are not to be skipped.
            LedgerError: The ledger cannot be written to, or the calls that were made not be read.
        """
        rooms = await Rooms.of(plan.spread, self.executor.ledger)
        async with aclosing(plan.batches()) as batches:
            async for batch in batches:
                rows = [rooms.given(row_of(target)) for target in batch]
                known = await self.executor.ledger.enrol(rows)
                zones: list[tuple[ZoneInfo, ...]] = [()] * len(batch)
                if self.wishes.contact.ask_for_zones:
                    zones = await asyncio.to_thread(list, map(self.wishes.zones_of, batch))
                contacts = await self._contacts(rows)
                for target, outcome, where in zip(batch, known, zones, strict=True):
                    yield Job(
                        target=target,
                        outcome=attrs.evolve(outcome, to=target.to, caller=caller_of(target.new)),
                        zones=where,
                        contacts=contacts.get(target.to, ()),
                    )

    async def with_contacts(self, job: Job) -> None:
        """Let a job know of the calls that were made to its number meanwhile.

        Raises:
            LedgerError: They cannot be read.
        """
        job.contacts = (await self._contacts([job.outcome])).get(job.outcome.to, ())

    async def _contacts(self, rows: Sequence[Outcome]) -> dict[str, list[Contact]]:
        contacting = self.executor.contacting
        return {} if contacting is None else await contacting.known(rows)
