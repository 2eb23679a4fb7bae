"""The ledger in a PostgreSQL: many campaigns in one database, each with a name of its own.

What a target may become is defined in one place for all ledgers; this is how it is kept. A write
that was answered is committed, as durably as the server's ``synchronous_commit`` says (on the
disk, unless somebody turned that off).
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, LiteralString, Self

import attrs

from conference_async.cluster.ledger_statements import (
    COUNTS,
    FIND,
    INSERT,
    KEEP,
    LEAVE,
    LOCK,
    NAMES,
    ONWARDS,
    RENEW,
    SWAP,
    UNLOCK,
    WHOSE,
)
from conference_async.cluster.ledger_tables import (
    check_version,
    make_tables,
    outcome_of,
    row_of,
    rules_of,
    text_of,
)
from conference_async.cluster.postgres_session import Session
from conference_async.dialer.ledger import Campaign, Outcome, State
from conference_async.dialer.policy import Policy
from conference_async.errors import LedgerError

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

NO_WISHES = Policy()
"""Call every target once, whenever its turn comes."""

_PAGE = 500


class PostgresLedger:
    """The ledger of one campaign, in a PostgreSQL of version 12 or later.

    A `Dialer` takes it as it takes a `Ledger`, and keeps the same promises on it: one writer at a
    time, nothing lost and nobody rung twice whatever dies. The writer holds a lock of its
    session, so it must not go through a pooler that changes sessions; reading may.

    While the server is gone, a run waits for up to `OUTAGE` seconds (60) for it to come back; it
    starts no call meanwhile, since none starts that is not written down. A slot that was taken
    before the outage is not used after it.

    The tables ``conference_async_campaign`` and ``conference_async_outcome`` are made by the first
    who writes. They hold phone numbers: guard the database accordingly.

    Args:
        dsn: A connection string or URL as libpq reads them.
        name: The ledger's name in the database. That of the plan it is begun with if not given,
            or of the only one that is there.
        shared: Whether workers may write to it too: for campaigns that a `ClusterDialer` runs.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, or the string is not one.
    """

    def __init__(self, dsn: str, *, name: str | None = None, shared: bool = False) -> None:
        self.session = Session(dsn, greet=self._greet)
        self._name = name
        self._shared = shared
        self._users = 0
        self._begun = False

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
            self._begun = False
            await self.session.aclose()

    async def _greet(self, connection: "AsyncConnection[DictRow]") -> None:
        """Look what is there, and become the one writer again after the connection broke."""
        from psycopg import OperationalError

        await check_version(connection)
        if not self._begun:
            return
        try:
            await self._take_lock(connection)
        except LedgerError as error:
            # The server may not have noticed yet that our last connection broke: ask again.
            raise OperationalError(str(error)) from error

    async def _take_lock(self, connection: "AsyncConnection[DictRow]") -> None:
        cursor = await connection.execute(LOCK[self._shared], (self._name,))
        row = await cursor.fetchone()
        if row is None or not row["ours"]:
            raise LedgerError(
                f"the ledger {self._name!r} is in use: this campaign is being run already, here or "
                "elsewhere; nothing more is dialled"
            )

    async def begin(
        self, campaign: Campaign, *, priority: int = 0, policy: Policy = NO_WISHES
    ) -> None:
        """Become the campaign's one writer; the first time, name the ledger after it.

        Args:
            campaign: Whose ledger it is to be.
            priority: That of its jobs, where workers share it.
            policy: What they do, and what they do not; from now on.

        Raises:
            LedgerError: Another writer is at work, the ledger is another campaign's, belongs to
                workers or was cancelled, or it cannot be written to.
        """
        if self._begun:
            raise LedgerError(f"the ledger {self._name!r} is in use by another run")
        self._name = self._name or campaign.name

        async def work(connection: "AsyncConnection[DictRow]") -> None:
            await make_tables(connection)
            await self._take_lock(connection)
            row = attrs.asdict(campaign) | {
                "ledger": self._name,
                "shared": self._shared,
                "priority": priority,
                **rules_of(policy),
            }
            async with connection.transaction():
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
        self._begun = True

    async def end(self) -> None:
        """Let another writer begin."""
        self._begun = False
        with suppress(LedgerError):  # a server that is gone holds no lock of ours
            await self.session.run(lambda connection: connection.execute(UNLOCK), patience=0)

    async def campaign(self) -> Campaign | None:
        """Return whose ledger it is, or None if nobody has begun."""
        rows = await self._rows(WHOSE, await self.name())
        return next((Campaign(**row) for row in rows), None)

    async def enrol(self, targets: Sequence[Outcome]) -> list[Outcome]:
        """Add what is new, durably; return what is now known of each, in the same order."""
        return await self._enrol(targets, [row_of(outcome) for outcome in targets], LEAVE)

    async def enrol_with(
        self, targets: Sequence[Outcome], orders: Sequence[Mapping[str, Any]]
    ) -> list[Outcome]:
        """Add what is new as `enrol` does, and for all of them what workers are told from now on.

        Args:
            targets: The targets.
            orders: For each the `request` to send, None if it is not to be called, and the
                `zones` that it may be in.
        """
        told = zip(targets, orders, strict=True)
        rows = [row_of(outcome) | dict(order) for outcome, order in told]
        return await self._enrol(targets, rows, RENEW)

    async def _enrol(
        self, targets: Sequence[Outcome], rows: list[dict[str, Any]], known: LiteralString
    ) -> list[Outcome]:
        content = {"ledger": self._name, "rows": json.dumps(rows, default=text_of)}

        async def work(connection: "AsyncConnection[DictRow]") -> list[Outcome]:
            await connection.execute(INSERT + known, content)
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
            return (await connection.execute(SWAP, row)).rowcount == 1

        return await self.session.run(work)

    async def outcomes(self, *states: State) -> AsyncGenerator[Outcome, None]:
        """Yield the targets in these states (all if none are given) in the order of the plan."""
        name, wanted, last = await self.name(), [state.value for state in states or State], 0
        while page := await self._rows(ONWARDS, name, last, wanted, _PAGE):
            last = page[-1]["number"]
            for row in page:
                yield outcome_of(row)

    async def counts(self) -> dict[State, int]:
        """Return how many targets are in which state."""
        rows = await self._rows(COUNTS, await self.name())
        found = {row["state"]: row["number"] for row in rows}
        return {state: found.get(state, 0) for state in State}

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
                f"postgresql://host/database#{names[0]}"
            )
        return next(iter(names), None)

    async def _rows(self, query: LiteralString, *values: object) -> "list[DictRow]":
        from psycopg.errors import UndefinedTable

        async def work(connection: "AsyncConnection[DictRow]") -> "list[DictRow]":
            try:
                return await (await connection.execute(query, values)).fetchall()
            except UndefinedTable:
                return []  # nobody has begun on anything in this database

        return await self.session.run(work)

    def __repr__(self) -> str:
        return f"<PostgresLedger {self._name!r}>"
