"""What nobody is at: targets that dead workers held, campaigns and jobs that wait for a worker.

One statement looks, for all accounts of a worker; only what it finds costs more.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, LiteralString

import attrs

from conference_async.dialer.workers.claims import CAMPAIGNS, DOUBTFUL, DUE
from conference_async.postgres.session import Session

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

FORGOTTEN_AFTER = 60.0
"""Seconds without a sign of life after which a worker is forgotten: longer than one that serves an
app of the user's may be silent."""

_OURS: LiteralString = """
SELECT ledger FROM conference_async_campaign WHERE account_sid = ANY(%(accounts)s)
"""
_HELD: LiteralString = """
worker IS NOT NULL AND ledger IN (<ours>) AND NOT EXISTS (
    SELECT FROM procrastinate_workers AS known WHERE known.id = worker
        AND last_heartbeat > clock_timestamp() - make_interval(secs => %(stalled)s))
""".replace("<ours>", _OURS)
# All campaigns are asked each time, so that one that was taken for done by mistake is taken up.
#
# Whether there is a first one, by `due`, and not whether there is any: where most of the table is
# planned, a server takes that to be found soon whatever it reads, and reads all of it for a
# campaign that is done beside a large one.
_BUSY: LiteralString = """
SELECT ledger, was, busy FROM (
    SELECT ledger, known.busy AS was, (
        SELECT number FROM conference_async_outcome AS outcome
        WHERE outcome.ledger = known.ledger AND state = 'planned' AND worker IS NULL
            AND request IS NOT NULL
        ORDER BY not_before, number LIMIT 1
    ) IS NOT NULL OR EXISTS (
        SELECT FROM conference_async_outcome AS outcome
        WHERE outcome.ledger = known.ledger AND state = 'sending'
    ) AS busy
    FROM conference_async_campaign AS known WHERE account_sid = ANY(%(accounts)s) AND shared
) AS every WHERE was <> busy
"""
_WAITING: LiteralString = (
    """
SELECT DISTINCT account_sid FROM (<campaigns>) AS campaigns WHERE (
    SELECT number FROM conference_async_outcome AS outcome
    WHERE outcome.ledger = campaigns.ledger AND campaigns.going AND <due>
    ORDER BY not_before, number LIMIT 1
) IS NOT NULL OR EXISTS (
    SELECT FROM conference_async_outcome AS outcome
    WHERE outcome.ledger = campaigns.ledger AND <doubtful>)
""".replace("<campaigns>", CAMPAIGNS)
    .replace("<due>", DUE)
    .replace("<doubtful>", DOUBTFUL)
)
_LOOK: LiteralString = (
    """
SELECT extract(epoch FROM clock_timestamp())::float8 AS now,
    EXISTS (SELECT FROM conference_async_outcome WHERE <held>) AS held,
    EXISTS (<busy>) AS wrong,
    ARRAY(<waiting>) AS waiting,
    ARRAY(
        SELECT DISTINCT account_sid FROM conference_async_campaign
        WHERE account_sid = ANY(%(accounts)s) AND shared AND standing = 'running'
            AND quorum IS NOT NULL
    ) AS counting,
    EXISTS (
        SELECT FROM procrastinate_jobs AS job
        WHERE status = 'doing' AND queue_name = ANY(%(queues)s) AND NOT EXISTS (
            SELECT FROM procrastinate_workers AS known WHERE known.id = worker_id
                AND last_heartbeat > clock_timestamp() - make_interval(secs => %(stalled)s))
    ) AS stalled,
    EXISTS (
        SELECT FROM procrastinate_workers
        WHERE last_heartbeat < clock_timestamp() - make_interval(secs => %(forgotten)s)
    ) AS silent
""".replace("<held>", _HELD)
    .replace("<busy>", _BUSY)
    .replace("<waiting>", _WAITING)
)
_TAKE: LiteralString = """
UPDATE conference_async_outcome SET worker = NULL WHERE <held>
""".replace("<held>", _HELD)
_KEEP_BUSY: LiteralString = """
UPDATE conference_async_campaign AS campaign SET busy = found.busy FROM (<busy>) AS found
WHERE campaign.ledger = found.ledger
""".replace("<busy>", _BUSY)


@attrs.frozen(kw_only=True)
class Found:
    """What a look has found."""

    now: float
    """When that was, in seconds since the epoch, by the server's clock."""

    waiting: Sequence[str]
    """The accounts that have somebody to call."""

    counting: Sequence[str]
    """The accounts that have campaigns whose quorum is waited for."""

    stalled: bool
    """Whether there are jobs that dead workers were at."""

    silent: bool
    """Whether there are workers that are to be forgotten."""


class Recovery:
    """Looks after the campaigns of some accounts.

    Args:
        session: Where the ledgers are.
        queues: The queues of the accounts, by their SIDs.
        stalled: Seconds after which a worker that gives no sign of life is taken for dead.
    """

    def __init__(self, session: Session, queues: dict[str, str], *, stalled: float) -> None:
        self._session = session
        self._values: dict[str, Any] = {
            "accounts": list(queues),
            "queues": list(queues.values()),
            "stalled": stalled,
            "forgotten": FORGOTTEN_AFTER,
        }

    async def look(self) -> Found:
        """Take what dead workers hold, and say what waits.

        Raises:
            LedgerError: The server cannot be used.
        """
        row = await self._session.run(self._looked)
        if row["held"] or row["wrong"]:
            await self._session.run(self._set_right)
            row = await self._session.run(self._looked)
        return Found(
            now=row["now"],
            waiting=row["waiting"],
            counting=row["counting"],
            stalled=row["stalled"],
            silent=row["silent"],
        )

    async def _looked(self, connection: "AsyncConnection[DictRow]") -> "DictRow":
        return await (await connection.execute(_LOOK, self._values)).fetchone() or {}

    async def _set_right(self, connection: "AsyncConnection[DictRow]") -> None:
        await connection.execute(_TAKE, self._values)
        await connection.execute(_KEEP_BUSY, self._values)
