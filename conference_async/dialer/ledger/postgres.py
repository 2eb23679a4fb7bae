"""The ledger in a PostgreSQL: many campaigns in one database, each with a name of its own.

What a target may become is defined in one place for all ledgers; this is how it is kept. A write
that was answered is committed, as durably as the server's ``synchronous_commit`` says (on the
disk, unless somebody turned that off).
"""

import json
import os
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, LiteralString, Self
from urllib.parse import quote

import attrs

from conference_async.dialer.ledger.outcome import Campaign, Outcome, counted
from conference_async.dialer.ledger.postgres_lock import UNLOCK, refuse_pooler, take_lock
from conference_async.dialer.ledger.postgres_tables import (
    LEDGERS,
    outcome_of,
    row_of,
    rules_of,
    text_of,
)
from conference_async.dialer.rules.wishes import Wishes
from conference_async.errors import LedgerError
from conference_async.postgres.session import Session
from conference_async.sending.entries import State

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow


WHOSE = "SELECT name, account_sid, total FROM conference_async_campaign WHERE ledger = %s"
NAMES = "SELECT ledger FROM conference_async_campaign ORDER BY ledger LIMIT 20"
KEEP = """
INSERT INTO conference_async_campaign AS campaign (
    ledger, name, account_sid, total, shared, priority, ends_at, opens, closes, quorum, humans,
    rules)
VALUES (
    %(ledger)s, %(name)s, %(account_sid)s, %(total)s, %(shared)s, %(priority)s,
    now() + make_interval(secs => %(seconds)s::float8), %(opens)s::time, %(closes)s::time,
    %(quorum)s, %(humans)s, %(rules)s::jsonb)
ON CONFLICT (ledger) DO UPDATE
SET total = coalesce(excluded.total, campaign.total),
    shared = campaign.shared OR excluded.shared,
    priority = excluded.priority,
    ends_at = excluded.ends_at,
    opens = excluded.opens,
    closes = excluded.closes,
    quorum = excluded.quorum,
    humans = excluded.humans,
    rules = excluded.rules,
    busy = true,
    reason = CASE WHEN campaign.standing <> 'running' THEN campaign.reason END
RETURNING name, account_sid, total, shared, standing
"""
INSERT = """
INSERT INTO conference_async_outcome AS known (
    ledger, target, "to", conference, state, token, label, attempts, call_sid, conference_sid,
    sent_at, ended_at, reason, caller, row, id, own_label, purpose, earliest, latest)
SELECT %(ledger)s, new.target, new."to", new.conference, new.state, new.token, new.label,
    new.attempts, new.call_sid, new.conference_sid, new.sent_at, new.ended_at, new.reason,
    new.caller, new.row, new.id, new.own_label, new.purpose, new.earliest, new.latest
FROM jsonb_array_elements(%(rows)s::jsonb) WITH ORDINALITY AS element (content, place),
    jsonb_populate_record(NULL::conference_async_outcome, element.content) AS new
ORDER BY element.place
ON CONFLICT (ledger, target) DO UPDATE
SET row = excluded.row, id = excluded.id, own_label = excluded.own_label,
    purpose = excluded.purpose, earliest = excluded.earliest, latest = excluded.latest
WHERE (known.row, known.id, known.own_label, known.purpose, known.earliest, known.latest)
    IS DISTINCT FROM (excluded.row, excluded.id, excluded.own_label, excluded.purpose,
        excluded.earliest, excluded.latest)
"""
FIND = "SELECT * FROM conference_async_outcome WHERE ledger = %s AND target = ANY(%s)"
# Shared with nobody who changes the campaign: once a pause is written, no claim is under way that
# did not see it. What is done with is no worker's any more; what was not sent is put off by it.
SWAP = """
WITH going AS MATERIALIZED (
    SELECT shared FROM conference_async_campaign
    WHERE ledger = %(ledger)s AND standing = 'running'
        AND coalesce(ends_at, 'infinity') > clock_timestamp()
    FOR SHARE)
UPDATE conference_async_outcome SET
    "to" = %(to)s, conference = %(conference)s, state = %(state)s, token = %(token)s,
    label = %(label)s, attempts = %(attempts)s, call_sid = %(call_sid)s,
    conference_sid = %(conference_sid)s, sent_at = %(sent_at)s, ended_at = %(ended_at)s,
    reason = %(reason)s, changed = clock_timestamp(),
    worker = CASE WHEN %(state)s::text IN ('planned', 'sending') THEN worker END
WHERE ledger = %(ledger)s AND target = %(target)s AND (
    (state = %(state_before)s AND token IS NOT DISTINCT FROM %(token_before)s::text)
    OR (state = %(state)s AND token IS NOT DISTINCT FROM %(token)s::text))
AND (%(state)s::text <> 'sending'
    OR EXISTS (SELECT FROM going WHERE request IS NOT NULL OR NOT shared))
"""
# A cancelled campaign's rows stay as they are, to be taken up again: what they would be is said.
ONWARDS = """
SELECT outcome.*, standing FROM conference_async_outcome AS outcome
JOIN conference_async_campaign AS campaign USING (ledger)
WHERE ledger = %(ledger)s AND number > %(last)s AND number > 0 AND (%(states)s::text[] IS NULL
    OR CASE WHEN standing = 'cancelled' AND state = 'planned' THEN 'skipped' ELSE state END
        = ANY(%(states)s))
ORDER BY number LIMIT %(most)s
"""
COUNTS = """
SELECT CASE WHEN standing = 'cancelled' AND state = 'planned' THEN 'skipped' ELSE state END
    AS state, sum(number)::bigint AS number
FROM (
    SELECT ledger, state, count(*) AS number FROM conference_async_outcome
    WHERE ledger = %s GROUP BY ledger, state
) AS counted JOIN conference_async_campaign AS campaign USING (ledger) GROUP BY 1
"""
CALLED = """
SELECT outcome.* FROM conference_async_outcome AS outcome
JOIN conference_async_campaign AS campaign USING (ledger)
WHERE "to" = ANY(%s) AND attempts > 0 AND account_sid = %s
"""

CANCELLED = "the campaign was cancelled"
"""Why a target is skipped that its campaign was given up before."""

NO_WISHES = Wishes()
"""Call every target once, whenever its turn comes."""

_PAGE = 500


class PostgresLedger:
    """The ledger of one campaign, in a PostgreSQL of version 12 or later.

    A `Dialer` takes it as it takes a `Ledger`, and keeps the same promises on it: one writer at a
    time, nothing lost and nobody rung twice whatever dies. A `Dialer` holds a lock of its session,
    so it does not go through a pooler, and says so; reading, submitting and workers may.

    While the server is gone, a run waits for up to `OUTAGE` seconds (60) for it to come back; it
    starts no call meanwhile, since none starts that is not written down. A slot that was taken
    before the outage is not used after it.

    ``conference-async cluster set-up``, or `ClusterDialer.set_up`, makes the tables
    ``conference_async_campaign`` and ``conference_async_outcome`` once. They hold phone numbers:
    guard the database accordingly.

    Args:
        dsn: A connection string or URL as libpq reads them.
        name: The ledger's name in the database. That of the plan it is begun with if not given,
            or of the only one that is there.
        shared: Whether workers may write to it too: for campaigns that a `ClusterDialer` runs.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, or the string is not one.
    """

    def __init__(self, dsn: str, *, name: str | None = None, shared: bool = False) -> None:
        self.session: Session = Session(dsn, greet=self._greet)
        self._name = name
        self._shared = shared
        self._users = 0
        self._writer: int | None = None

    @classmethod
    def on(cls, session: Session, name: str) -> Self:
        """Return a campaign's shared ledger that works on a session that is open already."""
        ledger = cls(session.dsn, name=name, shared=True)
        ledger.session = session
        return ledger

    async def __aenter__(self) -> Self:
        if self._users == 0:
            await self.session.open()
        self._users += 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._users -= 1
        if self._users == 0:
            self._writer = None
            await self.session.aclose()

    @property
    def _begun(self) -> bool:
        """Whether this process is the writer; one that was forked from the writer is not."""
        return self._writer == os.getpid()

    async def _greet(self, connection: "AsyncConnection[DictRow]") -> None:
        """Look what is there, and become the one writer again after the connection broke."""
        from psycopg import OperationalError

        await LEDGERS.check(connection, write=False)  # a report may be written by whoever reads
        if self._shared or not self._begun:
            return
        try:
            await take_lock(connection, self._name or "", shared=self._shared)
        except LedgerError as error:
            # The server may not have noticed yet that our last connection broke: ask again.
            raise OperationalError(str(error)) from error

    async def begin(
        self, campaign: Campaign, *, priority: int = 0, wishes: Wishes = NO_WISHES
    ) -> None:
        """Become the campaign's one writer; the first time, name the ledger after it.

        Args:
            campaign: Whose ledger it is to be.
            priority: That of its jobs, where workers share it.
            wishes: What they do, and what they do not; from now on.

        Raises:
            ConfigurationError: It is to be a `Dialer`'s, and a pooler stands before the server.
            LedgerError: Another writer is at work, the ledger is another campaign's, belongs to
                workers or was cancelled, or it cannot be written to.
        """
        if self._begun:
            raise LedgerError(f"the ledger {self._name!r} is in use by another run")
        if not self._shared:
            await self.session.run(refuse_pooler)
        self._name = self._name or campaign.name

        async def work(connection: "AsyncConnection[DictRow]") -> None:
            """Take the lock, and keep the campaign."""
            if not self._shared:
                await take_lock(connection, self._name or "", shared=self._shared)
            row = attrs.asdict(campaign) | {
                "ledger": self._name,
                "shared": self._shared,
                "priority": priority,
                **rules_of(wishes),
            }
            async with connection.transaction():
                if self._shared:  # once it is kept as theirs, no `Dialer` begins on it
                    await take_lock(connection, self._name or "", shared=self._shared)
                kept = await (await connection.execute(KEEP, row)).fetchone() or {}
                shared, standing = kept.pop("shared"), kept.pop("standing")
                Campaign(**kept).check(campaign)
                if shared and not self._shared:
                    raise LedgerError(
                        f"the ledger {self._name!r} belongs to workers, which may be dialling it "
                        "now; submit the plan to them instead. Nothing was dialled"
                    )
                if standing == "cancelled":
                    raise LedgerError(
                        f"the campaign of the ledger {self._name!r} was cancelled; resume it first"
                    )

        try:
            await self.session.run(work)
        except BaseException:
            await self.end()
            raise
        self._writer = os.getpid()

    async def end(self) -> None:
        """Let another writer begin."""
        self._writer = None
        if self._shared:
            return
        with suppress(LedgerError):  # a server that is gone holds no lock of ours
            await self.session.run(lambda connection: connection.execute(UNLOCK), patience=0)

    async def campaign(self) -> Campaign | None:
        """Return whose ledger it is, or None if nobody has begun."""
        rows = await self._rows(WHOSE, (await self.name(),))
        return next((Campaign(**row) for row in rows), None)

    async def enrol(self, targets: Sequence[Outcome]) -> list[Outcome]:
        """Add what is new, durably; return what is now known of each, in the same order."""
        rows = [row_of(outcome) for outcome in targets]
        content = {"ledger": self._name, "rows": json.dumps(rows, default=text_of)}

        async def work(connection: "AsyncConnection[DictRow]") -> list[Outcome]:
            await connection.execute(INSERT, content)
            keys = [each.target for each in targets]
            found = await (await connection.execute(FIND, (self._name, keys))).fetchall()
            outcomes = {row["target"]: outcome_of(row) for row in found}
            return [outcomes[key] for key in keys]

        return await self.session.run(work)

    async def swap(self, before: Outcome, after: Outcome) -> bool:
        """Replace `before` by `after`, durably; return whether `after` now stands.

        It does only if the target had the state and the token of `before`, or has those of
        `after` already: this write repeated. Nothing becomes ``sending`` while the campaign is
        paused or cancelled.
        """
        row = row_of(after) | {
            "ledger": self._name,
            "state_before": before.state,
            "token_before": before.token,
        }

        async def work(connection: "AsyncConnection[DictRow]") -> bool:
            """Write the new state if the target is still in the old one."""
            return (await connection.execute(SWAP, row)).rowcount == 1

        return await self.session.run(work)

    async def outcomes(self, *states: State) -> AsyncGenerator[Outcome, None]:
        """Yield the targets in these states (all if none are given) in the order of the plan."""
        name, last = await self.name(), 0
        # All of them, where none are given: also those that this version does not know.
        wanted = [state.value for state in states] or None
        values = {"ledger": name, "states": wanted, "most": _PAGE}
        while page := await self._rows(ONWARDS, values | {"last": last}):
            last = page[-1]["number"]
            for row in page:
                outcome = outcome_of(row)
                if row["standing"] == "cancelled" and outcome.state is State.PLANNED:
                    outcome = attrs.evolve(outcome, state=State.SKIPPED, reason=CANCELLED)
                yield outcome

    async def counts(self) -> dict[State, int]:
        """Return how many targets of the plan are in which state, as `LedgerStore` says."""
        rows = await self._rows(COUNTS, (await self.name(),))
        campaign = await self.campaign()
        total = None if campaign is None else campaign.total
        return counted(((row["state"], row["number"]) for row in rows), total)

    async def called(self, numbers: Collection[str]) -> list[Outcome]:
        """Return those to these numbers that were called, or may have been.

        Those of the account's other ledgers in the database are among them.
        """
        campaign = await self.campaign()
        return [] if campaign is None else await called(self.session, campaign.account_sid, numbers)

    async def name(self) -> str | None:
        """Return the ledger's name, if need be that of the only one; None if there is none yet.

        Raises:
            LedgerError: There are several.
        """
        if self._name is not None:
            return self._name
        names = [row["ledger"] for row in await self._rows(NAMES)]
        if len(names) > 1:
            raise LedgerError(
                f"this database has several ledgers ({', '.join(names)}): name one of them, as in "
                f"postgresql://host/database#{quote(names[0])}"
            )
        return next(iter(names), None)

    async def _rows(
        self, query: LiteralString, values: "Mapping[str, Any] | Sequence[Any]" = ()
    ) -> "list[DictRow]":
        return await _rows(self.session, query, values)

    def __repr__(self) -> str:
        return f"<PostgresLedger {self._name!r}>"


async def called(session: Session, account_sid: str, numbers: Collection[str]) -> list[Outcome]:
    """Return the targets of an account with these numbers that were called, or may have been.

    Args:
        session: The database, with all ledgers in it.
        account_sid: The account.
        numbers: The numbers.

    Raises:
        LedgerError: The server cannot be used.
    """
    rows = await _rows(session, CALLED, (list(numbers), account_sid))
    return [outcome_of(row) for row in rows]


async def _rows(
    session: Session, query: LiteralString, values: "Mapping[str, Any] | Sequence[Any]"
) -> "list[DictRow]":
    async def work(connection: "AsyncConnection[DictRow]") -> "list[DictRow]":
        return await (await connection.execute(query, values)).fetchall()

    return await session.run(work)
