"""How a plan gets into the hands of workers: staged beside the ledger first, then entered in it."""

from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, LiteralString

import attrs

from conference_async.dialer.calling.contacting import Contacting
from conference_async.dialer.calling.explaining import WhyNot
from conference_async.dialer.ledger.outcome import Campaign
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.plan.plan import Plan
from conference_async.dialer.plan.preview import Preview, Tally
from conference_async.dialer.plan.targets import places
from conference_async.dialer.rules.wishes import Wishes
from conference_async.dialer.workers.jobs import wake
from conference_async.dialer.workers.queue_schema import check_queue
from conference_async.dialer.workers.staging import AT_ONCE, FORGOTTEN, Staging, Writer, place_of
from conference_async.errors import ConfigurationError, LedgerError
from conference_async.journal.postgres import PostgresJournal
from conference_async.postgres.session import Session

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

LEFT_OUT = "it is no longer in the file"
"""Why a target is skipped that was submitted once, and is in the plan no more."""

# Each target is looked for by itself, as nobody knows how many are staged: a plan for that would
# be made by guess. What has a room in it keeps it; what was left out has none any more.
_MISSING: LiteralString = """
WITH known AS MATERIALIZED (
    SELECT number, target FROM conference_async_outcome
    WHERE ledger = %(ledger)s AND number > %(last)s AND number > 0 AND state = 'planned'
    ORDER BY number LIMIT %(most)s
), missing AS MATERIALIZED (
    SELECT number FROM known LEFT JOIN LATERAL (
        SELECT place FROM conference_async_staged AS staged
        WHERE submission = %(submission)s AND staged.target = known.target LIMIT 1
    ) AS found ON true WHERE place IS NULL
)"""
_COUNT_MISSING: LiteralString = """<missing>
SELECT (SELECT max(number) FROM known) AS last, (SELECT count(*) FROM missing) AS number
""".replace("<missing>", _MISSING)
_LEAVE_OUT: LiteralString = """<missing>, skipped AS (
    UPDATE conference_async_outcome AS outcome
    SET state = 'skipped', reason = %(left_out)s, ended_at = now(), worker = NULL,
        request = NULL, zones = NULL
    FROM missing WHERE outcome.number = missing.number AND state = 'planned' RETURNING 1
)
SELECT (SELECT max(number) FROM known) AS last, (SELECT count(*) FROM skipped) AS number
""".replace("<missing>", _MISSING)
_ROOMS: LiteralString = """
SELECT conference, count(*) AS number FROM conference_async_outcome
WHERE ledger = %(ledger)s AND state <> 'refused'
    AND NOT (state = 'skipped' AND reason IS NOT DISTINCT FROM %(left_out)s)
GROUP BY conference
"""
_ENTER: LiteralString = """
WITH known AS MATERIALIZED (
    SELECT given.*, was.state, was.conference AS room, was.ordered,
        was.number IS NULL OR was.reason IS NOT DISTINCT FROM %(left_out)s AS fresh
    FROM conference_async_staged AS given LEFT JOIN LATERAL (
        SELECT number, state, conference, reason, request IS NOT NULL AS ordered
        FROM conference_async_outcome AS outcome
        WHERE outcome.ledger = %(ledger)s AND outcome.target = given.target LIMIT 1
    ) AS was ON true
    WHERE submission = %(submission)s AND place > %(first)s AND place <= %(last)s AND place > 0
), entered AS (
    INSERT INTO conference_async_outcome AS known (
        ledger, target, "to", conference, state, attempts, caller, row, id, own_label, purpose,
        earliest, latest, request, zones, not_before, reason, ended_at)
    SELECT %(ledger)s, target, "to",
        CASE WHEN NOT %(spread)s THEN conference WHEN NOT fresh THEN room
            ELSE coalesce((%(rooms)s::text[])[count(*) FILTER (WHERE fresh) OVER (ORDER BY place)],
                conference)
        END,
        CASE WHEN reason IS NULL THEN 'planned' ELSE 'skipped' END, 0, caller, row, id, own_label,
        purpose, earliest, latest, request, zones, not_before, reason,
        CASE WHEN reason IS NOT NULL THEN now() END
    FROM known ORDER BY place
    ON CONFLICT (ledger, target) DO UPDATE SET
        "to" = CASE WHEN known.state IN ('planned', 'skipped')
            THEN excluded."to" ELSE known."to" END,
        conference = CASE WHEN known.state IN ('planned', 'skipped')
            THEN excluded.conference ELSE known.conference END,
        caller = CASE WHEN known.state IN ('planned', 'skipped')
            THEN excluded.caller ELSE known.caller END,
        row = excluded.row,
        id = excluded.id,
        own_label = excluded.own_label,
        purpose = excluded.purpose,
        earliest = excluded.earliest,
        latest = excluded.latest,
        request = excluded.request,
        zones = excluded.zones,
        not_before = CASE WHEN known.attempts = 0 THEN excluded.not_before
            ELSE greatest(known.not_before, excluded.not_before) END,
        worker = CASE WHEN excluded.state = 'planned' OR known.state = 'sending'
            THEN known.worker END,
        state = CASE
            WHEN known.state IN ('planned', 'skipped') THEN excluded.state
            WHEN known.state = 'unknown' AND excluded.state = 'planned' AND %(redial)s
            THEN 'planned' ELSE known.state END,
        token = CASE
            WHEN known.state = 'unknown' AND excluded.state = 'planned' AND %(redial)s
            THEN NULL ELSE known.token END,
        reason = CASE
            WHEN known.state = 'skipped' OR known.state = 'planned' AND excluded.state = 'skipped'
            THEN excluded.reason
            WHEN known.state = 'unknown' AND excluded.state = 'planned' AND %(redial)s
            THEN 'to be called again, as asked for' ELSE known.reason END,
        ended_at = CASE WHEN known.state IN ('planned', 'skipped')
            THEN excluded.ended_at ELSE known.ended_at END
    WHERE known.state = 'skipped' OR known.state = 'planned' AND excluded.state = 'skipped'
        OR known.state = 'unknown' AND excluded.state = 'planned' AND %(redial)s
        OR (known."to", known.request, known.zones, known.row, known.id, known.own_label,
                known.purpose, known.earliest, known.latest)
            IS DISTINCT FROM (excluded."to", excluded.request, excluded.zones, excluded.row,
                excluded.id, excluded.own_label, excluded.purpose, excluded.earliest,
                excluded.latest)
        OR known.state = 'planned' AND (known.conference <> excluded.conference
            OR known.attempts = 0 AND known.not_before <> excluded.not_before)
)
SELECT count(*) AS given, count(*) FILTER (WHERE fresh) AS fresh, count(*) FILTER (
    WHERE reason IS NULL AND (state IS NULL OR state = 'skipped'
        OR state = 'planned' AND NOT ordered OR state = 'unknown' AND %(redial)s)) AS made
FROM known
"""


@attrs.frozen(kw_only=True)
class Order:
    """How a plan is to be dialled by workers."""

    account_sid: str
    """The account that calls."""

    priority: int = 0
    """Campaigns of a higher one go first."""

    wishes: Wishes
    """What else to do and not to do."""

    keep_missing: bool = False
    """Whether those are still called who are in the plan no more."""


class Submission:
    """A plan that is staged: what it would do is known, and nobody is called until it is entered.

    Attributes:
        preview: The plan in numbers; None for one that can be read only once, which is read when
            it is entered.
        missing: How many were submitted before, are not called yet and are in the plan no more.
        begun: Whether workers may have some of it: it is being entered, or was.
    """

    def __init__(self, plan: Plan, ledger: PostgresLedger, staging: Staging, order: Order) -> None:
        self.preview: Preview | None = None
        self.missing: int = 0
        self.begun: bool = False
        self._plan = plan
        self._ledger = ledger
        self._staging = staging
        self._order = order
        self._rooms: Iterator[str] | None = None

    async def read(self) -> None:
        """Stage the plan, if it can be read again, and compare it with what the ledger has."""
        if not self._plan.rereadable:
            return
        notes: list[str] = []
        async with self._asking() as why_not:
            tally = Tally(why_not)
            async with aclosing(self._plan.counted(tally, notes)) as batches:
                async for batch in batches:
                    await self._staging.add(batch)
        await self._staging.flush()
        self.preview = tally.preview([*notes, *self._order.wishes.notes])
        if not self._order.keep_missing:
            self.missing = await self._over_missing(_COUNT_MISSING)

    @asynccontextmanager
    async def _asking(self) -> AsyncGenerator[WhyNot, None]:
        """Open what says whom the rules withhold at this time."""
        wishes, contacting = self._order.wishes, None
        async with AsyncExitStack() as stack:
            if wishes.contact.all_limits:
                store = PostgresJournal(self._ledger.session.dsn)
                contacting = Contacting(
                    store=await stack.enter_async_context(store),
                    account_sid=self._order.account_sid,
                    campaign=self._plan.name,
                    wishes=wishes,
                )
            yield WhyNot(wishes, datetime.now(UTC), contacting)

    async def enter(self) -> int:
        """Let workers call what was staged; return how many are to be called that were not before.

        Raises:
            ConfigurationError: The plan cannot be read.
            InvalidParameter: It has bad rows; nobody was called.
            LedgerError: The ledger is another campaign's or in use by a `Dialer`, the campaign
                was cancelled, or the server cannot be used.
        """
        plan, order, ledger = self._plan, self._order, self._ledger
        total = None if self.preview is None else plan.accepted(self.preview)
        campaign = Campaign(name=plan.name, account_sid=order.account_sid, total=total)
        await self._staging.check()
        await ledger.begin(campaign, priority=order.priority, wishes=order.wishes)
        self.begun = True
        try:
            made = await (self._read_and_enter() if self.preview is None else self._enter_all())
        finally:
            await ledger.end()
        await wake(ledger.session, order.account_sid)
        return made

    async def _read_and_enter(self) -> int:
        """Enter a plan that can be read only once, as it comes."""
        self._rooms, made = await self._free_rooms(), 0
        async with aclosing(self._plan.batches()) as batches:
            async for batch in batches:
                before = self._staging.written.copy()
                await self._staging.add(batch)
                await self._staging.flush()
                made += await self._enter(before)
                await self._staging.drop()  # it may go on for days
        return made

    async def _enter_all(self) -> int:
        """Enter what is staged, some thousand at a time, and leave out what is not."""
        if not self._order.keep_missing:
            await self._over_missing(_LEAVE_OUT)
        self._rooms = await self._free_rooms()
        return await self._enter(Counter())

    async def _enter(self, before: Counter[int]) -> int:
        """Enter those of higher priorities first; return how many are to be called.

        Args:
            before: How many of each priority are entered already.
        """
        made = 0
        for priority, count in sorted(self._staging.written.items(), reverse=True):
            for first in range(before[priority], count, AT_ONCE):
                last = min(first + AT_ONCE, count)
                made += await self._enter_some(place_of(priority, first), place_of(priority, last))
        return made

    async def _enter_some(self, first: int, last: int) -> int:
        """Enter what is staged behind a place and up to another; return how many are to be called.

        Not all up to a place: the server would pass by all that is entered already each time.
        """
        rooms = None if self._rooms is None else list(islice(self._rooms, AT_ONCE))
        values = {
            **await self._values(),
            "first": first,
            "last": last,
            "rooms": rooms,
            "spread": self._plan.spread is not None,
            "redial": self._order.wishes.redial_unknown,
        }
        row, times = await _row(self._ledger.session, _ENTER, values)
        if row["given"] != last - first:
            raise LedgerError(FORGOTTEN)
        if times > 1:  # the answer is lost that said how many have a room now
            self._rooms = await self._free_rooms()
        elif self._rooms is not None and rooms is not None:
            self._rooms = chain(rooms[row["fresh"] :], self._rooms)
        return int(row["made"])

    async def _free_rooms(self) -> Iterator[str] | None:
        """Return the rooms that have place for one more, each as often; None if all are empty."""
        spread = self._plan.spread
        if spread is None:
            return None
        values = await self._values()

        async def work(connection: "AsyncConnection[DictRow]") -> "list[DictRow]":
            return await (await connection.execute(_ROOMS, values)).fetchall()

        taken = {row["conference"]: row["number"] for row in await self._ledger.session.run(work)}
        return places(*spread, taken) if taken else None

    async def _over_missing(self, query: LiteralString) -> int:
        """Count or skip those that are not staged, some thousand at a time."""
        number = 0
        last: int | None = 0
        while last is not None:
            values = {**await self._values(), "last": last, "most": AT_ONCE}
            row, _ = await _row(self._ledger.session, query, values)
            number, last = number + row["number"], row["last"]
        return number

    async def _values(self) -> dict[str, object]:
        """Return what every statement asks for."""
        return {
            "ledger": await self._ledger.name() or self._plan.name,
            "submission": self._staging.submission,
            "left_out": LEFT_OUT,
        }


@asynccontextmanager
async def staged(
    plan: Plan, ledger: PostgresLedger, order: Order
) -> AsyncGenerator[Submission, None]:
    """Stage a plan; what is not entered is forgotten in the end.

    Raises:
        ConfigurationError: The plan cannot be read, or its quorum counts by a function.
        InvalidParameter: Its first line does not name what is needed.
        LedgerError: The server cannot be used, or was not set up.
    """
    wishes = order.wishes
    quorum = wishes.quorum
    if quorum is not None and quorum.count is not None:
        raise ConfigurationError(
            "workers count by themselves who has joined: give them a Quorum without a count"
        )
    async with ledger:
        await ledger.session.run(check_queue, patience=0)
        staging = Staging(ledger.session, Writer(wishes, datetime.now(UTC)))
        submission = Submission(plan, ledger, staging, order)
        try:
            await submission.read()
            yield submission
        finally:
            with suppress(LedgerError):  # the next submission will, a day later
                await staging.aclose()


async def _row(
    session: Session, query: LiteralString, values: Mapping[str, object]
) -> "tuple[DictRow, int]":
    """Return what a statement answers, and how many times it was made until it did."""
    times = 0

    async def work(connection: "AsyncConnection[DictRow]") -> "DictRow | None":
        nonlocal times
        times += 1
        return await (await connection.execute(query, values)).fetchone()

    return await session.run(work) or {}, times
