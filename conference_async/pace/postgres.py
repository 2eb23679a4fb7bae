"""One pace for many machines through PostgreSQL: one statement per slot, by the server's clock."""

import asyncio
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, LiteralString

import attrs

from conference_async.pace.contract import SECOND
from conference_async.pace.lines import (
    LOOK_EVERY,
    RECOVERY,
    SEEN,
    LineCount,
    LineNews,
    LineWish,
    age,
)
from conference_async.pace.shared import SharedLimit
from conference_async.pace.slots import (
    LOWEST_HOLDS,
    STEP_BACK,
    Pace,
    Queuing,
    Reservation,
    check_account,
)
from conference_async.postgres.pool import connections_to
from conference_async.postgres.tables import FIRST, Tables

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

_SILENCE = 1.5
"""Seconds that the server may take: less than a limit waits for an answer."""

PACE = Tables(
    purpose="PostgresLimit",
    names=("conference_async_pace", "conference_async_lines"),
    version="conference_async 2",
    upgrades={
        FIRST: """
ALTER TABLE conference_async_pace
    ADD COLUMN IF NOT EXISTS told bigint NOT NULL DEFAULT 0;
"""
    },
    script="""
CREATE TABLE IF NOT EXISTS conference_async_pace (
    account text PRIMARY KEY,
    slot bigint NOT NULL,
    after bigint NOT NULL,
    seen bigint NOT NULL,
    cps float8 NOT NULL,
    held_until bigint NOT NULL,
    factor float8 NOT NULL DEFAULT 1,
    queue_time bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    told bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS conference_async_lines (
    account text PRIMARY KEY,
    held jsonb NOT NULL DEFAULT '{}',
    learned int,
    learned_at bigint NOT NULL DEFAULT 0,
    looked_at bigint,
    live int NOT NULL DEFAULT 0,
    most int NOT NULL DEFAULT 0,
    taken boolean NOT NULL DEFAULT false,
    look boolean NOT NULL DEFAULT false
);
""",
)

# On conflict the clock is read after the row is locked, since an earlier reading grows old while
# waiting for the lock, and once, in a sub-select that is not merged with what uses it.
_CLOCK = (
    "(SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now OFFSET 0) AS clock"
)
_SLOT = """
INSERT INTO conference_async_pace AS pace (
    account, slot, after, seen, cps, held_until, told
)
SELECT %(account)s, now + %(floor)s, now + %(floor)s + %(interval)s, now, %(cps)s,
       now + %(floor)s + %(hold)s, now + %(floor)s + %(interval)s * (1 + %(more)s::int)
FROM """
_TAKE = """
ON CONFLICT (account) DO UPDATE
SET (slot, after, seen, cps, held_until, factor, queue_time, changed, told) = (
    SELECT CASE WHEN free.taken THEN free.slot ELSE queue.told - pause.interval END,
           next.after,
           clock.now,
           rate.cps,
           CASE WHEN ours.holds THEN free.slot + %(hold)s ELSE known.held_until END,
           known.factor,
           known.queue_time,
           known.changed,
           queue.told
    FROM (
        SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now OFFSET 0
    ) AS clock
    CROSS JOIN LATERAL (
        SELECT pace.after, pace.cps, pace.held_until, pace.factor, pace.queue_time, pace.changed,
               CASE WHEN pace.after > clock.now THEN pace.told ELSE 0 END, %(near)s::bigint
        WHERE pace.seen <= clock.now + %(step_back)s
        UNION ALL
        SELECT clock.now + %(floor)s + %(step_back)s, %(cps)s, 0, 1, 0, 0, 0, NULL
        WHERE pace.seen > clock.now + %(step_back)s
    ) AS known (after, cps, held_until, factor, queue_time, changed, told, near)
    CROSS JOIN LATERAL (
        SELECT greatest(clock.now, known.after) AS slot,
               known.near IS NULL OR known.after - clock.now <= known.near
                   AND (%(first)s OR known.told <= known.after) AS taken
    ) AS free
    CROSS JOIN LATERAL (
        SELECT %(cps)s <= known.cps OR clock.now > known.held_until AS holds
    ) AS ours
    CROSS JOIN LATERAL (
        SELECT CASE WHEN ours.holds THEN %(cps)s ELSE known.cps END AS cps
    ) AS rate
    CROSS JOIN LATERAL (
        SELECT ceil(1000000 / (rate.cps * known.factor))::bigint AS interval
    ) AS pause
    CROSS JOIN LATERAL (
        SELECT CASE WHEN free.taken THEN free.slot + pause.interval ELSE known.after END AS after
    ) AS next
    CROSS JOIN LATERAL (
        SELECT CASE WHEN free.taken AND NOT %(more)s THEN known.told
                    ELSE greatest(next.after, known.told) + pause.interval END AS told
    ) AS queue
)
RETURNING slot, after, seen, cps, factor, queue_time, changed, told
"""
_RESERVE = _SLOT + _CLOCK + _TAKE


def _filled(query: LiteralString) -> LiteralString:
    """Return a query with the parts it is made of."""
    slot = query.replace("<slot>", _SLOT).replace("<take>", _TAKE)
    return slot.replace("<clock>", _CLOCK)


# The lines are in one value of one row, so that they are counted as they are when it is locked.
_RESERVE_WITH_LINE = _filled("""
WITH line AS (
    INSERT INTO conference_async_lines AS kept (account, held, looked_at, live, most, taken, look)
    SELECT %(account)s,
           CASE WHEN %(can_look)s THEN '{}' ELSE jsonb_build_object(%(name)s::text, now) END,
           CASE WHEN %(can_look)s THEN -now END,
           (NOT %(can_look)s)::int, %(max_live)s, NOT %(can_look)s, %(can_look)s
    FROM <clock>
    ON CONFLICT (account) DO UPDATE
    SET (held, looked_at, live, most, taken, look) = (
        SELECT CASE WHEN found.free THEN kept.held || jsonb_build_object(%(name)s::text, clock.now)
                    ELSE kept.held END,
               CASE WHEN NOT next.look THEN kept.looked_at
                    WHEN look.ended THEN clock.now ELSE -clock.now END,
               count.live + found.free::int,
               rule.most,
               found.ours OR found.free,
               next.look
        FROM <clock>
        CROSS JOIN LATERAL (
            SELECT count(*)::int AS live FROM jsonb_object_keys(kept.held)
        ) AS count
        CROSS JOIN LATERAL (
            SELECT least(%(max_live)s, coalesce(
                kept.learned + greatest(0, clock.now - kept.learned_at) / %(recovery)s, %(max_live)s
            ))::int AS most
        ) AS rule
        CROSS JOIN LATERAL (SELECT coalesce(kept.looked_at > 0, false) AS ended) AS look
        CROSS JOIN LATERAL (SELECT kept.held ? %(name)s AS ours) AS mine
        CROSS JOIN LATERAL (
            SELECT mine.ours, NOT mine.ours AND (look.ended OR NOT %(can_look)s)
                AND count.live < greatest(1, rule.most - %(spare)s) AS free
        ) AS found
        CROSS JOIN LATERAL (
            SELECT %(can_look)s AND NOT (found.ours OR found.free) AND (
                kept.looked_at IS NULL OR abs(kept.looked_at) > clock.now
                OR clock.now - abs(kept.looked_at) >= %(look_every)s
            ) AS look
        ) AS next
    )
    RETURNING live, most, taken, look
), slot AS (
<slot><clock>
    WHERE EXISTS (SELECT FROM line WHERE line.taken)<take>
)
SELECT line.*, slot.* FROM line LEFT JOIN slot ON true
""")
_LINES = _filled("""
SELECT held, now FROM conference_async_lines CROSS JOIN <clock> WHERE account = %(account)s
""")
_NOTE = _filled("""
INSERT INTO conference_async_lines AS kept (account) VALUES (%(account)s)
ON CONFLICT (account) DO UPDATE
SET (held, learned, learned_at, looked_at) = (
    SELECT news.held,
           CASE WHEN %(full)s THEN greatest(1, calls.count) ELSE kept.learned END,
           CASE WHEN %(full)s THEN clock.now ELSE kept.learned_at END,
           CASE WHEN %(looked)s THEN abs(kept.looked_at) ELSE kept.looked_at END
    FROM <clock>
    CROSS JOIN LATERAL (
        SELECT (
            (kept.held - %(names)s::text[])
            || (SELECT coalesce(jsonb_object_agg(sid, clock.now), '{}')
                FROM unnest(%(placed)s::text[]) AS sid)
            || (SELECT coalesce(jsonb_object_agg(sid, %(seen_at)s::bigint), '{}')
                FROM unnest(%(seen)s::text[]) AS sid)
        ) - %(over)s::text[] AS held
    ) AS news
    CROSS JOIN LATERAL (
        SELECT count(*)::int FROM jsonb_object_keys(news.held) AS name WHERE name LIKE 'CA%%'
    ) AS calls
)
RETURNING (SELECT count(*) FROM jsonb_object_keys(held)) AS live
""")
_GIVE_BACK = """
UPDATE conference_async_pace SET after = %(slot)s
WHERE account = %(account)s AND after = %(after)s RETURNING 1
"""
_REPORT = """
UPDATE conference_async_pace
SET factor = %(factor)s, queue_time = %(queue_time)s,
    changed = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
WHERE account = %(account)s RETURNING 1
"""


class PostgresStore:
    """A `SlotStore` in a PostgreSQL of version 10 or later, in the table ``conference_async_pace``.

    `ClusterDialer.set_up` makes the table. Connections are made again when they break.

    Args:
        dsn: As for `PostgresLimit`.
        account: Whose pace it is, where one database serves several accounts.

    Raises:
        ConfigurationError: The extra is not installed, or the string is not one.
    """

    def __init__(self, dsn: "str | AsyncConnectionPool[Any]", *, account: str = "default") -> None:
        self._connection = connections_to(
            dsn, silence=_SILENCE, purpose="PostgresLimit", greet=PACE.check
        )
        self._account = check_account(account)

    async def open(self) -> None:
        """Connect, as `SlotStore` says."""
        await self._connection.open()

    async def reserve(self, *, cps: float, floor: float) -> Reservation:
        """Take the next slot, as `SlotStore` says."""
        return await self.reserve_queued(cps=cps, floor=floor, queuing=None)

    async def reserve_queued(
        self, *, cps: float, floor: float, queuing: Queuing | None
    ) -> Reservation:
        """Take the next slot if it is near, as `QueueStore` says."""
        row = await self._one(_RESERVE, **_asked(cps, floor, queuing))
        return _reservation(row, queuing)

    async def reserve_with_line(
        self, *, cps: float, floor: float, wish: LineWish
    ) -> tuple[LineCount, Reservation | None]:
        """Take a line and the next slot, as `LineStore` says."""
        row = await self._one(
            _RESERVE_WITH_LINE,
            **_asked(cps, floor, wish.queuing),
            **attrs.asdict(wish, recurse=False),
            recovery=RECOVERY,
            look_every=LOOK_EVERY,
        )
        count = LineCount(live=row["live"], lines=row["most"], taken=row["taken"], look=row["look"])
        return count, _reservation(row, wish.queuing) if count.taken else None

    async def lines(self) -> Mapping[str, float]:
        """Return the lines that are taken, as `LineStore` says."""
        row = await self._run(_LINES)
        held: dict[str, int] = row["held"] if row else {}
        return {name: age(since, row["now"]) for name, since in held.items()} if row else {}

    async def note(self, news: LineNews) -> int:
        """Take note of news of lines, as `LineStore` says."""
        row = await self._one(
            _NOTE,
            names=list(news.placed),
            placed=list(dict.fromkeys(news.placed.values())),
            seen=list(news.seen),
            over=list(news.over),
            full=news.full,
            looked=news.looked,
            seen_at=SEEN,
        )
        live: int = row["live"]
        return live

    async def give_back(self, reservation: Reservation) -> bool:
        """Free a slot, as `SlotStore` says."""
        freed = await self._run(_GIVE_BACK, slot=reservation.slot, after=reservation.after)
        return freed is not None

    async def report(self, *, factor: float, queue_time: int) -> None:
        """Share a slow-down, as `SlotStore` says."""
        await self._run(_REPORT, factor=factor, queue_time=queue_time)

    async def aclose(self) -> None:
        """Close the connection."""
        self._connection.drop()

    async def _one(self, query: LiteralString, **values: object) -> dict[str, Any]:
        row = await self._run(query, **values)
        if row is None:
            raise RuntimeError("the server returned no slot")
        return row

    async def _run(self, query: LiteralString, **values: object) -> dict[str, Any] | None:
        async def work(connection: "AsyncConnection[dict[str, Any]]") -> dict[str, Any] | None:
            """Ask once; say when that was."""
            asked = asyncio.get_running_loop().time()
            cursor = await connection.execute(query, {"account": self._account, **values})
            row = await cursor.fetchone()
            return row and {**row, "asked": asked}

        return await self._connection.run(work)

    def __repr__(self) -> str:
        return f"account={self._account!r}"


def _asked(cps: float, floor: float, queuing: Queuing | None) -> dict[str, object]:
    return {
        "cps": cps,
        "interval": math.ceil(SECOND / cps),
        "floor": math.ceil(floor * SECOND),
        "hold": LOWEST_HOLDS,
        "step_back": STEP_BACK,
        "near": queuing and queuing.near,
        "first": queuing is None or queuing.told,
        "more": queuing is not None and queuing.more,
    }


def _reservation(row: Mapping[str, Any], queuing: Queuing | None) -> Reservation:
    fields = ("after", "seen", "cps", "factor", "queue_time", "changed", "told")
    pace = Pace(held_until=0, **{name: row[name] for name in fields})
    return pace.answer(row["slot"], queuing, row["asked"])


class PostgresLimit(SharedLimit):
    """One pace for all processes that share a PostgreSQL.

    The server's clock rules. After a fail-over to a replica that had not heard of the last slots
    these may be given out once more. See `SharedLimit` for what is promised.

    ``conference-async cluster set-up``, or `ClusterDialer.set_up`, makes its tables once.

    All limits of a process that name one database have four connections to it together.

    Args:
        dsn: A connection string or URL as libpq reads them, or a pool of yours, which stays open.
        cps: The account's calls per second, more than 0 and at most 30.
        account: Whose pace it is, where one database serves several accounts: the account's SID.
        fallback_cps: As for `SharedLimit`.
        max_live: As for `SharedLimit`.
        reserved: As for `SharedLimit`.

    Raises:
        ConfigurationError: A rate or a number of lines is out of bounds, the string is not one,
            or the extra ``cluster`` is not installed.
    """

    def __init__(
        self,
        dsn: "str | AsyncConnectionPool[Any]",
        cps: float,
        *,
        account: str = "default",
        fallback_cps: float | None = None,
        max_live: int | None = None,
        reserved: int = 0,
    ) -> None:
        super().__init__(
            PostgresStore(dsn, account=account),
            cps,
            fallback_cps=fallback_cps,
            max_live=max_live,
            reserved=reserved,
        )
