"""A log of events for many machines through PostgreSQL: a table, and a notification to look."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, LiteralString, Unpack

from conference_async.errors import ConferenceError
from conference_async.postgres.session import Session, first_line
from conference_async.postgres.tables import Tables
from conference_async.webhooks.event_log.contract import Entry, Record
from conference_async.webhooks.event_log.notices import Listener
from conference_async.webhooks.event_log.settings import LogSettings
from conference_async.webhooks.event_log.shared import SharedEvents

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

_PATIENCE: Final = 3.0
"""Seconds to wait for a server that is gone; whoever asks asks again."""

_BITE: Final = 10_000
"""Rows that are forgotten with one statement."""

EVENTS: Final = Tables(
    purpose="PostgresEvents",
    names=(
        "conference_async_event",
        "conference_async_event_key",
        "conference_async_event_group",
        "conference_async_event_claim",
    ),
    upgrades={"": ""},  # those of before versions were written down are the same
    script="""
CREATE TABLE IF NOT EXISTS conference_async_event (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body text NOT NULL
);
CREATE INDEX IF NOT EXISTS conference_async_event_at ON conference_async_event (log, at);
CREATE INDEX IF NOT EXISTS conference_async_event_place ON conference_async_event (log, position);
CREATE TABLE IF NOT EXISTS conference_async_event_key (
    log text NOT NULL,
    key text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log, key)
);
CREATE INDEX IF NOT EXISTS conference_async_event_key_at ON conference_async_event_key (log, at);
CREATE TABLE IF NOT EXISTS conference_async_event_group (
    log text NOT NULL,
    name text NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (log, name)
);
CREATE TABLE IF NOT EXISTS conference_async_event_claim (
    log text NOT NULL,
    name text NOT NULL,
    position bigint NOT NULL,
    member text NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (log, name, position)
);
""",
)
# A record is new if all of its keys are; all take keys in one order, so that no two wait for each
# other. Appends must become visible in the order of their positions: whoever has something new
# takes a turn before that has one, until it is committed. The lock's number is any that is ours.
_APPEND: Final = """
WITH taken AS (
    INSERT INTO conference_async_event_key (log, key)
    SELECT %(log)s::text, key FROM unnest(%(keys)s::text[]) AS name (key) ORDER BY key
    ON CONFLICT DO NOTHING
    RETURNING key
), new AS (
    SELECT number, body
    FROM unnest(%(bodies)s::text[], %(keys_of_each)s::text[])
        WITH ORDINALITY AS record (body, keys, number)
    WHERE keys::text[] <@ ARRAY(SELECT key FROM taken)
), turn AS (
    SELECT pg_advisory_xact_lock(7241946833), pg_notify('conference_async_event', %(log)s::text)
    FROM new LIMIT 1
)
INSERT INTO conference_async_event (log, body)
SELECT %(log)s::text, body FROM turn, new ORDER BY number
"""
# The clock of a statement, which an index can be asked for; that of each row would be compared
# with every row. Of those that came at about the same instant the first counts.
_START: Final = """
SELECT coalesce(
    (SELECT min(position) - 1 FROM (
        SELECT position FROM conference_async_event
        WHERE log = %(log)s AND at >= now() - make_interval(secs => %(since)s)
        ORDER BY at LIMIT 1000
    ) AS oldest),
    (SELECT max(position) FROM conference_async_event WHERE log = %(log)s),
    0
) AS position
"""
_READ: Final = """
SELECT position::text, body FROM conference_async_event AS event
WHERE log = %(log)s AND event.position > %(after)s ORDER BY event.position LIMIT %(most)s
"""
# Where the positions of all are no further apart than that, there are not too many of them.
_OLDEST: Final = """
SELECT greatest(now() - make_interval(secs => %(keep)s), (
    SELECT at FROM conference_async_event WHERE log = %(log)s AND %(most)s <= (
        SELECT max(position) - min(position) FROM conference_async_event WHERE log = %(log)s
    )
    ORDER BY at DESC OFFSET %(most)s LIMIT 1
)) AS at
"""
# In bites, and each of them by one process.
_PRUNE: Final[tuple[LiteralString, ...]] = (
    """
    DELETE FROM conference_async_event WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM conference_async_event WHERE log = %(log)s AND at <= %(oldest)s
        ORDER BY at LIMIT %(bite)s FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
    """,
    # The keys of an entry go with it.
    """
    DELETE FROM conference_async_event_key WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM conference_async_event_key WHERE log = %(log)s AND at < greatest(
            now() - make_interval(secs => %(keep)s),
            (SELECT min(at) FROM conference_async_event WHERE log = %(log)s) - interval '1 second'
        )
        ORDER BY at LIMIT %(bite)s FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
    """,
    """
    DELETE FROM conference_async_event_claim AS claim WHERE log = %(log)s AND NOT EXISTS (
        SELECT 1 FROM conference_async_event AS event WHERE event.position = claim.position
    )
    """,
)
_JOIN: Final = """
INSERT INTO conference_async_event_group (log, name, position)
VALUES (%(log)s, %(name)s, %(position)s) ON CONFLICT DO NOTHING
"""
_ABANDONED: Final = """
UPDATE conference_async_event_claim
SET member = %(member)s, until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE (log, name, position) IN (
    SELECT log, name, position FROM conference_async_event_claim
    WHERE log = %(log)s AND name = %(name)s AND until < clock_timestamp()
    ORDER BY position LIMIT %(most)s FOR UPDATE SKIP LOCKED
)
RETURNING position
"""
_FRESH: Final = """
INSERT INTO conference_async_event_claim (log, name, position, member, until)
SELECT log, %(name)s, position, %(member)s,
       clock_timestamp() + make_interval(secs => %(lease)s)
FROM conference_async_event WHERE log = %(log)s AND position > %(after)s
ORDER BY position LIMIT %(most)s
RETURNING position
"""
_GROUP: Final = """
SELECT position FROM conference_async_event_group
WHERE log = %(log)s AND name = %(name)s FOR UPDATE
"""
_MOVE: Final = """
UPDATE conference_async_event_group SET position = %(position)s
WHERE log = %(log)s AND name = %(name)s
"""
_THESE: Final = """
SELECT position::text, body FROM conference_async_event AS event
WHERE event.position = ANY(%(positions)s) ORDER BY event.position
"""
_RENEW: Final = """
UPDATE conference_async_event_claim
SET until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE log = %(log)s AND name = %(name)s AND member = %(member)s AND position = ANY(%(positions)s)
"""
_DONE: Final = """
DELETE FROM conference_async_event_claim
WHERE log = %(log)s AND name = %(name)s AND position = ANY(%(positions)s)
"""


class PostgresEventStore:
    """An `EventStore` in a PostgreSQL of version 10 or later.

    Args:
        dsn: A connection string or URL as libpq reads them.
        name: Which log it is, where one database holds several.

    Raises:
        ConfigurationError: The extra is not installed, or the string is not one.
    """

    def __init__(self, dsn: str, *, name: str) -> None:
        self._name = name
        # Who reads need not wait for those who write, nor either for what is forgotten.
        self._session, self._reading, self._pruning = (
            Session(dsn, greet=EVENTS.check, purpose=EVENTS.purpose, failed=_log_failed)
            for _ in range(3)
        )
        self._listener = Listener(dsn, name)
        self._at_end: tuple[str, asyncio.Event] | None = None
        """The position at which the log ended, and what is set when it goes on."""

    def __repr__(self) -> str:
        return f"name={self._name!r}"

    async def open(self) -> None:
        """Connect, as `EventStore` says."""
        await self._session.open()

    async def append(self, records: Sequence[Record], *, keep: float) -> None:  # noqa: ARG002 -- what is kept is pruned
        """Append what is new, as `EventStore` says."""
        known = set[str]()
        new = list[Record]()
        for record in records:  # of two of one batch that have a key the first takes it
            if known.isdisjoint(record.keys):
                new.append(record)
            known.update(record.keys)
        await self._execute(
            _APPEND,
            keys=_array(known),
            bodies=_array(record.body for record in new),
            keys_of_each=_array(_array(record.keys) for record in new),
        )

    async def prune(self, *, keep: float, most: int) -> None:
        """Forget, as `EventStore` says."""
        values = {"keep": keep, "bite": _BITE}
        try:
            rows = await self._execute(_OLDEST, self._pruning, keep=keep, most=most)
            for statement in _PRUNE:
                gone = _BITE
                while gone == _BITE:
                    gone = len(
                        await self._execute(
                            statement, self._pruning, oldest=rows[0]["at"], **values
                        )
                    )
        finally:
            await self._pruning.aclose()

    async def start(self, since: float) -> str:
        """Return where to start, as `EventStore` says."""
        rows = await self._execute(_START, self._reading, since=since)
        return str(rows[0]["position"])

    async def read(self, after: str, *, most: int, wait: float) -> Sequence[Entry]:
        """Return what is new, as `EventStore` says."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + wait
        if wait and self._at_end == (after, self._listener.changed()):
            await self._listener.wait(self._listener.changed(), wait)  # it was the last, a look ago
        values = {"log": self._name, "after": int(after), "most": most}

        async def look(connection: "AsyncConnection[DictRow]") -> list[Entry]:
            """Read what there is."""
            return await _entries(connection, _READ, values)

        while True:
            changed = self._listener.changed() if wait else None
            entries = await self._reading.run(look, patience=_PATIENCE)
            if entries or changed is None or (left := ends - loop.time()) <= 0:
                if changed is not None and len(entries) < most:
                    self._at_end = entries[-1].position if entries else after, changed
                return entries
            await self._listener.wait(changed, left)

    async def join(self, group: str, *, since: float) -> None:
        """Make a group, as `EventStore` says."""
        position = await self.start(since)
        await self._execute(_JOIN, name=group, position=int(position))

    async def claim(
        self, group: str, member: str, *, most: int, wait: float, lease: float
    ) -> Sequence[Entry]:
        """Claim entries, as `EventStore` says."""
        values = {"log": self._name, "name": group, "member": member, "lease": lease}

        async def work(connection: "AsyncConnection[DictRow]") -> list[Entry]:
            """Move the group on, and read what is now the member's."""
            async with connection.transaction():
                at = await (await connection.execute(_GROUP, values)).fetchone()
                taken = await connection.execute(_ABANDONED, {**values, "most": most})
                positions = [row["position"] for row in await taken.fetchall()]
                fresh = await connection.execute(
                    _FRESH,
                    {**values, "most": most - len(positions), "after": at and at["position"]},
                )
                if new := [row["position"] for row in await fresh.fetchall()]:
                    await connection.execute(_MOVE, {**values, "position": max(new)})
                return await _entries(connection, _THESE, {"positions": positions + new})

        loop = asyncio.get_running_loop()
        ends = loop.time() + wait
        while True:
            changed = self._listener.changed()
            entries = await self._session.run(work, patience=_PATIENCE)
            if entries or (left := ends - loop.time()) <= 0:
                return entries
            await self._listener.wait(changed, left)

    async def renew(self, group: str, member: str, positions: Sequence[str], lease: float) -> None:
        """Keep claims, as `EventStore` says."""
        await self._execute(
            _RENEW,
            name=group,
            member=member,
            positions=[int(each) for each in positions],
            lease=lease,
        )

    async def done(self, group: str, positions: Sequence[str]) -> None:
        """Forget claims, as `EventStore` says."""
        await self._execute(_DONE, name=group, positions=[int(each) for each in positions])

    async def aclose(self) -> None:
        """Close the connections."""
        await self._listener.aclose()
        await self._session.aclose()
        await self._reading.aclose()
        await self._pruning.aclose()

    async def _execute(
        self, statement: LiteralString, session: Session | None = None, /, **values: object
    ) -> "list[DictRow]":
        async def work(connection: "AsyncConnection[DictRow]") -> "list[DictRow]":
            cursor = await connection.execute(statement, {"log": self._name, **values})
            return await cursor.fetchall() if cursor.description else []

        return await (session or self._session).run(work, patience=_PATIENCE)


async def _entries(
    connection: "AsyncConnection[DictRow]", statement: LiteralString, values: Mapping[str, object]
) -> list[Entry]:
    from psycopg.rows import args_row

    cursor = connection.cursor(row_factory=args_row(Entry))
    return await (await cursor.execute(statement, values)).fetchall()


def _array(texts: Iterable[str]) -> str:
    """Return texts as the server writes an array of them.

    The driver would take longer to do so than the server takes to append them.
    """
    quoted = (text.replace("\\", r"\\").replace('"', r"\"") for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


def _log_failed(error: BaseException) -> ConferenceError:
    return ConferenceError(f"the log of events in PostgreSQL cannot be used: {first_line(error)}")


class PostgresEvents(SharedEvents):
    """One log of events for all processes that share a PostgreSQL.

    Processes hear of new events by notification, or, where these do not come through, as behind a
    pooler that changes sessions, look once a second. See `SharedEvents` for what is promised.

    ``conference-async cluster set-up``, or `ClusterDialer.set_up`, makes its tables once.

    Args:
        dsn: A connection string or URL as libpq reads them.
        name: Which log it is, where one database holds several, such as one for each account.
        settings: As for `SharedEvents`.

    Raises:
        ConfigurationError: A number is out of bounds, the string is not one, or the extra
            ``cluster`` is not installed.
    """

    def __init__(self, dsn: str, *, name: str = "default", **settings: Unpack[LogSettings]) -> None:
        super().__init__(PostgresEventStore(dsn, name=name), **settings)
