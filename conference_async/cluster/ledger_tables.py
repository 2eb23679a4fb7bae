"""The tables that ledgers in a PostgreSQL are kept in, and how values become rows."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from conference_async.cluster.table_versions import VERSION, other_version
from conference_async.dialer.ledger import Outcome
from conference_async.dialer.policy import Policy
from conference_async.errors import LedgerError

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

_FIELDS = tuple(field.name for field in attrs.fields(Outcome))
_TIMES = ("sent_at", "ended_at")

# PostgreSQL does not forgive two sessions that make the same table at once; the lock's number is
# any that is ours.
_MAKING = "SELECT pg_advisory_xact_lock(7241946832)"
_TABLES = (
    """
CREATE TABLE IF NOT EXISTS conference_async_campaign (
    ledger text PRIMARY KEY,
    name text NOT NULL,
    account_sid text NOT NULL,
    total bigint,
    shared boolean NOT NULL DEFAULT false,
    priority integer NOT NULL DEFAULT 0,
    standing text NOT NULL DEFAULT 'running',
    reason text,
    ends_at timestamptz,
    opens time,
    closes time,
    quorum integer
);
CREATE TABLE IF NOT EXISTS conference_async_outcome (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ledger text NOT NULL REFERENCES conference_async_campaign,
    target text NOT NULL,
    "to" text NOT NULL,
    conference text NOT NULL,
    state text NOT NULL,
    token text,
    label text,
    attempts integer NOT NULL,
    call_sid text,
    conference_sid text,
    sent_at timestamptz,
    ended_at timestamptz,
    reason text,
    request jsonb,
    zones text[],
    changed timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (ledger, target)
);
CREATE INDEX IF NOT EXISTS conference_async_outcome_in_order
    ON conference_async_outcome (ledger, number);
CREATE INDEX IF NOT EXISTS conference_async_outcome_to_do
    ON conference_async_outcome (ledger, number) WHERE state IN ('planned', 'sending');
CREATE INDEX IF NOT EXISTS conference_async_outcome_by_call
    ON conference_async_outcome (call_sid);
COMMENT ON TABLE conference_async_campaign IS '"""
    + VERSION
    + "'"
)


async def make_tables(connection: "AsyncConnection[DictRow]") -> None:
    """Make the tables that are not there.

    Raises:
        LedgerError: They are those of another version.
    """
    async with connection.transaction():
        await connection.execute(_MAKING)
        await check_version(connection)
        await connection.execute(_TABLES)


async def check_version(connection: "AsyncConnection[DictRow]") -> None:
    """Refuse tables that another version made; none at all are no mistake.

    Raises:
        LedgerError: There are such tables.
    """
    wrong = await other_version(connection, "conference_async_campaign")
    if wrong is not None:
        raise LedgerError(
            f"{wrong}: finish its campaigns with that version, drop the tables "
            "conference_async_outcome and conference_async_campaign, and run conference-async "
            "cluster set-up; or use another database"
        )


def rules_of(policy: Policy) -> dict[str, Any]:
    """Return what is kept of the wishes for a campaign that workers dial."""
    hours, quorum = policy.hours, policy.quorum
    ends = [seconds for seconds in (policy.deadline, quorum and quorum.deadline) if seconds]
    return {
        "seconds": min(ends, default=None),
        "opens": hours and hours.start,
        "closes": hours and hours.end,
        "quorum": quorum and quorum.joined,
    }


def outcome_of(row: "DictRow") -> Outcome:
    """Return what a row of the ledger says."""
    content = {name: row[name] for name in _FIELDS}
    for name in _TIMES:
        content[name] = content[name] and content[name].astimezone(UTC)
    return Outcome(**content)


def row_of(outcome: Outcome) -> dict[str, Any]:
    """Return what is kept of a target."""
    return attrs.asdict(outcome) | {"state": outcome.state.value}


def text_of(value: object) -> str:
    """Return what JSON has no word for: an instant."""
    return value.isoformat() if isinstance(value, datetime) else str(value)
