"""Tables of the first version: brought up to date where they are, with all that they remember."""

import asyncio
from typing import Any

import pytest
from blockbuster import BlockBuster
from psycopg import AsyncConnection

from conference_async import State
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.workers.cluster_dialer import ClusterDialer
from conference_async.dialer.workers.shared_campaign import SharedCampaign
from conference_async.errors import ConfigurationError
from conference_async.pace.postgres import PostgresStore
from conference_async.pace.slots import Queuing
from tests.conftest import run_sql

FIRST = """
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
COMMENT ON TABLE conference_async_campaign IS 'conference_async 1';
"""
ROWS = """
INSERT INTO conference_async_campaign (ledger, name, account_sid, shared, standing)
VALUES ('a', 'a', 'AC', true, 'running'), ('b', 'b', 'AC', true, 'cancelled');
INSERT INTO conference_async_outcome (
    ledger, target, "to", conference, state, attempts, reason, request)
VALUES ('a', '1', '+15558675310', 'c', 'placed', 1, NULL, '{}'),
    ('a', '2', '+15558675311', 'c', 'planned', 0, NULL, '{}'),
    ('b', '1', '+15558675310', 'c', 'placed', 1, NULL, '{}'),
    ('b', '2', '+15558675311', 'c', 'skipped', 0, 'the campaign was cancelled', '{}'),
    ('b', '3', '+15558675312', 'c', 'skipped', 0, 'it is on the do-not-call list', NULL);
"""


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg import its parts."""
    no_blocking_calls.deactivate()


async def test_an_older_table_set_is_upgraded_in_place(bare_postgres: Any) -> None:
    """By the command that whoever meets it is told; by two at once, and again."""
    dsn = bare_postgres.where
    async with await AsyncConnection.connect(dsn, autocommit=True) as database:
        await database.execute(FIRST)
        await database.execute(ROWS)
    with pytest.raises(ConfigurationError, match=r"is of conference_async 1, .* cluster set-up"):
        async with PostgresLedger(dsn, name="a"):
            pass
    await asyncio.gather(ClusterDialer.set_up(dsn), ClusterDialer.set_up(dsn))
    await ClusterDialer.set_up(dsn)

    async with PostgresLedger(dsn, name="a") as ledger:
        counts = await ledger.counts()
    assert (counts[State.PLACED], counts[State.PLANNED]) == (1, 1)
    async with PostgresLedger(dsn, name="b") as ledger, SharedCampaign(f"{dsn}#b") as campaign:
        assert (await ledger.counts())[State.SKIPPED] == 2
        await campaign.resume()
        counts = await ledger.counts()
    assert (counts[State.PLANNED], counts[State.SKIPPED]) == (1, 1)


async def test_a_pace_without_a_queue_is_given_one(bare_postgres: Any) -> None:
    """Slots that were given out before the upgrade are not given out again."""
    dsn = bare_postgres.where
    await ClusterDialer.set_up(dsn)
    run_sql(
        dsn,
        """
        COMMENT ON TABLE conference_async_pace IS 'conference_async 1';
        ALTER TABLE conference_async_pace DROP COLUMN told;
        INSERT INTO conference_async_pace (account, slot, after, seen, cps, held_until)
        SELECT 'AC', now, now + 100000000, now, 1, now + 200000000
        FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS it
        """,
    )
    store = PostgresStore(dsn, account="AC")
    with pytest.raises(ConfigurationError, match=r"is of conference_async 1, .* cluster set-up"):
        await store.open()
    await ClusterDialer.set_up(dsn)

    await store.open()
    bulk = await store.reserve_queued(cps=1, floor=0, queuing=Queuing(within=1))
    await store.aclose()
    assert not bulk.taken
    assert 90 < bulk.wait <= 100


async def test_tables_without_rules_are_given_them(bare_postgres: Any) -> None:
    """Those of the version before this one, in place."""
    dsn = bare_postgres.where
    await ClusterDialer.set_up(dsn)
    run_sql(
        dsn,
        """
        COMMENT ON TABLE conference_async_campaign IS 'conference_async 2';
        ALTER TABLE conference_async_campaign DROP COLUMN rules;
        ALTER TABLE conference_async_outcome DROP COLUMN row;
        ALTER TABLE conference_async_staged DROP COLUMN priority;
        """,
    )
    with pytest.raises(ConfigurationError, match=r"is of conference_async 2, .* cluster set-up"):
        async with PostgresLedger(dsn, name="a"):
            pass
    await ClusterDialer.set_up(dsn)

    async with await AsyncConnection.connect(dsn) as database:
        cursor = await database.execute(
            "SELECT count(*) FROM information_schema.columns"
            " WHERE (table_name, column_name) IN (('conference_async_campaign', 'rules'),"
            " ('conference_async_outcome', 'row'), ('conference_async_staged', 'priority'))"
        )
        assert await cursor.fetchone() == (3,)


async def test_tables_that_another_script_made_get_what_they_lack(bare_postgres: Any) -> None:
    """Of the same version, which programs can use either way; once, as it locks workers out."""
    dsn = bare_postgres.where
    await ClusterDialer.set_up(dsn)
    run_sql(
        dsn,
        """
        COMMENT ON TABLE conference_async_staged IS NULL;
        DROP INDEX conference_async_outcome_onwards;
        """,
    )
    async with PostgresLedger(dsn, name="a"):
        pass
    await ClusterDialer.set_up(dsn)
    async with await AsyncConnection.connect(dsn, autocommit=True) as database:
        cursor = await database.execute("SELECT to_regclass('conference_async_outcome_onwards')")
        assert await cursor.fetchone() == ("conference_async_outcome_onwards",)
        async with database.transaction():
            await database.execute("LOCK conference_async_outcome IN ROW EXCLUSIVE MODE")
            await ClusterDialer.set_up(dsn)
