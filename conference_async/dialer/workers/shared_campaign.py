"""A campaign of workers, in the hands of an operator: paused, resumed, cancelled, asked after."""

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs

from conference_async.bounds import check_count, check_seconds
from conference_async.dialer.calling.contacting import Contacting
from conference_async.dialer.calling.decide import after_call
from conference_async.dialer.calling.explaining import Explanation, explained
from conference_async.dialer.ledger.place import split_name
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.ledger.postgres_tables import outcome_of
from conference_async.dialer.ledger.summary import Summary
from conference_async.dialer.workers.assignments import assignment_of
from conference_async.dialer.workers.overview import WorkerSeen, summary_of, workers_of
from conference_async.dialer.workers.standing import Standing, stand, standing_in, standing_of
from conference_async.errors import LedgerError
from conference_async.journal.postgres import PostgresJournal
from conference_async.postgres.session import OUTAGE
from conference_async.sending.entries import State

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

_FIND = """
SELECT outcome.*, standing, ends_at, clock_timestamp() AS now
FROM conference_async_outcome AS outcome
JOIN conference_async_campaign AS campaign USING (ledger)
WHERE call_sid = %s AND ledger = %s
"""
_EXPLAIN = """
SELECT outcome.*, campaign.ends_at, campaign.opens, campaign.closes, campaign.rules,
    campaign.account_sid, campaign.standing, clock_timestamp() AS now
FROM conference_async_outcome AS outcome
JOIN conference_async_campaign AS campaign USING (ledger)
WHERE ledger = %s AND "to" = %s ORDER BY number
"""
_PUT_OFF = """
UPDATE conference_async_outcome
SET not_before = clock_timestamp() + make_interval(secs => %s), failures = 0
WHERE number = %s AND state = 'placed'
"""


class SharedCampaign:
    """One campaign that was submitted to workers; no account is needed to control it.

    Use it as ``async with SharedCampaign("postgresql://host/database#standup") as campaign``.

    Args:
        url: A connection URL, with the ledger's name behind ``#``. Without it, the only ledger of
            the database is meant.
        patience: Seconds to wait for a server that is gone.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, or the URL is not one.
    """

    def __init__(self, url: str, *, patience: float = OUTAGE) -> None:
        dsn, name = split_name(url)
        check_seconds("patience", patience)
        self._ledger = PostgresLedger(dsn, name=name, shared=True)
        self._ledger.session.patience = patience

    async def __aenter__(self) -> Self:
        await self._ledger.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._ledger.__aexit__(kind, error, traceback)

    def hang_up(self) -> None:
        """Wait for no answer any longer: what is asked for fails, and it can only be closed."""
        self._ledger.session.abandon()

    async def standing(self) -> tuple[Standing, str | None] | None:
        """Return how it stands, and why if workers paused it; None if workers have no part in it.

        Raises:
            LedgerError: The server cannot be used, or has several ledgers and none was named.
        """
        name = await self._ledger.name()
        return None if name is None else await standing_of(self._ledger.session, name)

    async def summary(self) -> Summary:
        """Return how it stands in a few figures, whoever dials it.

        Raises:
            LedgerError: As for `standing`, or nothing was begun with the ledger.
        """
        name = await self._name()
        summary = await summary_of(self._ledger.session, name)
        if summary is None:
            raise LedgerError(f"there is no campaign {name!r} in this database")
        return summary

    async def workers(self) -> list[WorkerSeen]:
        """Return the workers of the database, and when each last gave a sign of life.

        Raises:
            LedgerError: The server cannot be used.
        """
        return await workers_of(self._ledger.session)

    async def pause(self) -> int:
        """Let no more of its calls start, on any machine, from the moment this returns.

        Returns:
            How many requests are under way: they were written down before, and may still ring.

        Raises:
            LedgerError: There is no such campaign, it was cancelled, or the server cannot be used;
                then it is not known whether it is paused.
        """
        return await self._stand(Standing.PAUSED)

    async def resume(self) -> None:
        """Go on with it after it was paused or cancelled, or has ended before everybody was called.

        An end that is over is forgotten: what is left is called, whatever the time.

        Raises:
            LedgerError: There is no such campaign, or the server cannot be used.
        """
        await self._stand(Standing.RUNNING)

    async def cancel(self) -> int:
        """Give it up: what is not called yet is ``skipped``, unless it is resumed.

        Returns:
            How many requests are under way: they were written down before, and may still ring.

        Raises:
            LedgerError: There is no such campaign, or the server cannot be used; then it is not
                known whether it is cancelled.
        """
        return await self._stand(Standing.CANCELLED)

    async def call_again(
        self, call_sid: str, *, because: str, pause: float = 300.0, attempts: int = 3
    ) -> bool:
        """Let workers call somebody again that a call did not reach.

        Workers do not follow the calls that they place; the callbacks of calls do, and whoever
        receives them says so here::

            if event.status in {"busy", "no-answer", "failed"}:
                await campaign.call_again(event.call_sid, because=event.status)

        Saying it twice does no harm.

        Args:
            call_sid: The call that is over.
            because: How it ended; kept in the ledger.
            pause: Seconds until then, and a few more until a worker looks.
            attempts: Calls to one target at most, the first included.

        Returns:
            Whether they will; if not, it was called often enough, is not to be called (any more),
            is none of the campaign's calls, or the campaign was cancelled or has ended.

        Raises:
            ConfigurationError: `pause` or `attempts` is out of bounds.
            LedgerError: The server cannot be used, or nothing was submitted to it.
        """
        check_seconds("pause", pause)
        check_count("attempts", attempts)
        ledger = PostgresLedger.on(self._ledger.session, await self._name())
        row = await self._placed_as(call_sid)
        if row is None:
            return False
        outcome = outcome_of(row)
        goes_on = standing_in(row) not in {Standing.CANCELLED, Standing.ENDED}
        on = {because} if goes_on and row["request"] is not None else frozenset[str]()
        after = after_call(outcome, because, attempts=attempts, on=on)
        if after.state is State.PLANNED:
            # First, as a target that is planned and due would be called at once.
            await self._put_off(row["number"], pause)
        return await ledger.swap(outcome, after) and after.state is State.PLANNED

    async def explain(self, to: str) -> list[Explanation]:
        """Return for each target with an address why it is not called at this time, or was not.

        Args:
            to: The address, as the plan has it: a number with ``+``.

        Raises:
            LedgerError: The server cannot be used, or nothing was submitted to it.
        """
        name = await self._name()

        async def work(connection: "AsyncConnection[DictRow]") -> "list[DictRow]":
            return await (await connection.execute(_EXPLAIN, (name, to))).fetchall()

        rows = await self._ledger.session.run(work)
        async with PostgresJournal(self._ledger.session.dsn) as store:
            return [await _explained(row, store) for row in rows]

    async def _placed_as(self, call_sid: str) -> "DictRow | None":
        name = await self._name()

        async def work(connection: "AsyncConnection[DictRow]") -> "DictRow | None":
            return await (await connection.execute(_FIND, (call_sid, name))).fetchone()

        row = await self._ledger.session.run(work)
        return row if row is not None and row["state"] == State.PLACED else None

    async def _put_off(self, number: int, seconds: float) -> None:
        async def work(connection: "AsyncConnection[DictRow]") -> None:
            await connection.execute(_PUT_OFF, (seconds, number))

        await self._ledger.session.run(work)

    async def _stand(self, standing: Standing) -> int:
        from conference_async.dialer.workers.jobs import wake

        session = self._ledger.session
        account_sid, under_way = await stand(session, await self._name(), standing)
        if standing is Standing.RUNNING:
            await wake(session, account_sid)
        return under_way

    async def _name(self) -> str:
        name = await self._ledger.name()
        if name is None:
            raise LedgerError("nothing was submitted to this database")
        return name

    def __repr__(self) -> str:
        return f"<SharedCampaign on {self._ledger!r}>"


async def _explained(row: "DictRow", store: PostgresJournal) -> Explanation:
    """Return why the target of a row is or is not called at this time."""
    found = await asyncio.to_thread(assignment_of, row)
    contacting = Contacting(
        store=store, account_sid=row["account_sid"], campaign=row["ledger"], wishes=found.wishes
    )
    explanation = await explained(
        found.outcome,
        found.wishes,
        found.now,
        found.zones,
        contacting if found.rules.all_limits else None,
    )
    waiting = found.outcome.state in {State.PLANNED, State.SKIPPED}
    standing = standing_in(row)
    if waiting and row["request"] is None:  # it was decided when the plan was submitted
        return attrs.evolve(explanation, why=found.outcome.reason or explanation.why)
    if waiting and standing is not Standing.RUNNING:
        return attrs.evolve(explanation, why=f"the campaign is {standing}")
    return explanation
