"""The tables that ledgers in a PostgreSQL are kept in, and how values become rows."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString

import attrs

from conference_async.dialer.ledger.outcome import Outcome, known
from conference_async.dialer.rules.contact_rules import NO_RULES, ContactRules, as_json, from_json
from conference_async.dialer.rules.hours import CallingHours
from conference_async.dialer.rules.wishes import Wishes
from conference_async.postgres.tables import FIRST, Tables

if TYPE_CHECKING:
    from psycopg.rows import DictRow

_FIELDS = tuple(field.name for field in attrs.fields(Outcome))
_TIMES = ("sent_at", "ended_at", "earliest", "latest")

_TABLES: LiteralString = """
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
    ledger text NOT NULL,
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
    caller text,
    request jsonb,
    zones text[],
    changed timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (ledger, target)
);
CREATE INDEX IF NOT EXISTS conference_async_outcome_onwards
    ON conference_async_outcome (ledger, number) WHERE number > 0;
"""
# Numbers begin at 1. Only what asks for rows in order says so, and so can use `onwards`: a server
# whose statistics do not know a new campaign would take that to look for one target, too, and read
# the whole campaign each time. So it is with `staged_in_order`.
#
# Nothing refers to a campaign's row: to look for it again and again was a quarter of what it took
# to enter a row, and whoever enters rows has just kept that of the campaign.
#
# Workers claim rows by `due` and `doubtful`, and find those of dead ones by `held`. A row is in
# `due` only while somebody may claim it, so that its first entries are the next to be called.
_WORKERS: LiteralString = """
ALTER TABLE conference_async_campaign
    ADD COLUMN IF NOT EXISTS busy boolean NOT NULL DEFAULT true,
    ADD COLUMN IF NOT EXISTS humans boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS rules jsonb;
ALTER TABLE conference_async_outcome
    ADD COLUMN IF NOT EXISTS caller text,
    ADD COLUMN IF NOT EXISTS worker bigint,
    ADD COLUMN IF NOT EXISTS not_before timestamptz NOT NULL DEFAULT 'epoch',
    ADD COLUMN IF NOT EXISTS failures integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS row bigint,
    ADD COLUMN IF NOT EXISTS id text,
    ADD COLUMN IF NOT EXISTS own_label text,
    ADD COLUMN IF NOT EXISTS purpose text,
    ADD COLUMN IF NOT EXISTS earliest timestamptz,
    ADD COLUMN IF NOT EXISTS latest timestamptz,
    DROP CONSTRAINT IF EXISTS conference_async_outcome_ledger_fkey;
ALTER TABLE conference_async_outcome SET (autovacuum_vacuum_scale_factor = 0.02);
DROP INDEX IF EXISTS conference_async_outcome_to_do, conference_async_outcome_by_call,
    conference_async_outcome_in_order;
CREATE INDEX IF NOT EXISTS conference_async_outcome_due
    ON conference_async_outcome (ledger, not_before, number)
    WHERE state = 'planned' AND worker IS NULL AND request IS NOT NULL;
CREATE INDEX IF NOT EXISTS conference_async_outcome_doubtful
    ON conference_async_outcome (ledger) WHERE state = 'sending';
CREATE INDEX IF NOT EXISTS conference_async_outcome_held
    ON conference_async_outcome (worker) WHERE worker IS NOT NULL;
CREATE INDEX IF NOT EXISTS conference_async_outcome_of_call
    ON conference_async_outcome (call_sid) WHERE call_sid IS NOT NULL;
CREATE INDEX IF NOT EXISTS conference_async_outcome_called
    ON conference_async_outcome ("to") WHERE attempts > 0;
CREATE UNLOGGED TABLE IF NOT EXISTS conference_async_staged (
    submission text NOT NULL,
    place bigint NOT NULL,
    target text NOT NULL,
    "to" text NOT NULL,
    conference text NOT NULL,
    caller text,
    request jsonb,
    zones text[],
    not_before timestamptz NOT NULL,
    reason text,
    staged_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE conference_async_staged
    DROP CONSTRAINT IF EXISTS conference_async_staged_pkey,
    ADD COLUMN IF NOT EXISTS row bigint,
    ADD COLUMN IF NOT EXISTS id text,
    ADD COLUMN IF NOT EXISTS own_label text,
    ADD COLUMN IF NOT EXISTS purpose text,
    ADD COLUMN IF NOT EXISTS earliest timestamptz,
    ADD COLUMN IF NOT EXISTS latest timestamptz,
    ADD COLUMN IF NOT EXISTS priority integer NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX IF NOT EXISTS conference_async_staged_in_order
    ON conference_async_staged (submission, place) WHERE place > 0;
CREATE INDEX IF NOT EXISTS conference_async_staged_by_target
    ON conference_async_staged (submission, target);
"""
# The first version wrote a cancellation to every row, and made a job for each target; now the
# campaign's row alone says so, and jobs are few.
_FROM_FIRST: LiteralString = """
UPDATE conference_async_outcome SET state = 'planned', reason = NULL, ended_at = NULL
WHERE state = 'skipped' AND reason = 'the campaign was cancelled' AND ledger IN (
    SELECT ledger FROM conference_async_campaign WHERE standing = 'cancelled');
IF to_regclass('procrastinate_jobs') IS NOT NULL THEN
    DELETE FROM procrastinate_jobs WHERE status = 'todo' AND task_name = 'conference_async:call';
END IF;
"""
LEDGERS = Tables(
    purpose="a ledger in PostgreSQL",
    names=("conference_async_campaign", "conference_async_outcome", "conference_async_staged"),
    version="conference_async 3",
    upgrades={FIRST: _FROM_FIRST, "conference_async 2": "NULL;"},
    script=_TABLES + _WORKERS,
)


def rules_of(wishes: Wishes) -> dict[str, Any]:
    """Return what is kept of the wishes for a campaign that workers dial."""
    contact, quorum = wishes.contact, wishes.quorum
    daily = contact.hours[0] if len(contact.hours) == 1 and contact.hours[0].daily else None
    ends = [seconds for seconds in (wishes.deadline, quorum and quorum.deadline) if seconds]
    return {
        "seconds": min(ends, default=None),
        "opens": daily and daily.start,  # for workers of before, until they are stopped
        "closes": daily and daily.end,
        "rules": None if contact == NO_RULES else json.dumps(as_json(contact)),
        "quorum": quorum and quorum.wanted,
        "humans": quorum is not None and quorum.humans is not None,
    }


def contact_rules_of(row: "DictRow") -> ContactRules:
    """Return the contact rules in a campaign's row; those of an older version are hours alone."""
    if row["rules"] is not None:
        return from_json(row["rules"])
    if row["opens"] is None:
        return NO_RULES
    return ContactRules(hours=CallingHours(row["opens"], row["closes"]))


def outcome_of(row: "DictRow") -> Outcome:
    """Return what a row of the ledger says."""
    content = {name: row[name] for name in _FIELDS if name in row}
    for name in _TIMES:
        content[name] = content[name] and content[name].astimezone(UTC)
    return known(content)


def row_of(outcome: Outcome) -> dict[str, Any]:
    """Return what is kept of a target."""
    return attrs.asdict(outcome) | {"state": outcome.state.value}


def text_of(value: object) -> str:
    """Return what JSON has no word for: an instant."""
    return value.isoformat() if isinstance(value, datetime) else str(value)
