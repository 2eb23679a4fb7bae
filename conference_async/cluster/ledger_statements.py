"""The statements with which a `PostgresLedger` is kept."""

from collections.abc import Mapping
from typing import LiteralString

WHOSE = "SELECT name, account_sid, total FROM conference_async_campaign WHERE ledger = %s"
NAMES = "SELECT ledger FROM conference_async_campaign ORDER BY ledger LIMIT 20"
KEEP = """
INSERT INTO conference_async_campaign AS campaign (
    ledger, name, account_sid, total, shared, priority, ends_at, opens, closes, quorum)
VALUES (
    %(ledger)s, %(name)s, %(account_sid)s, %(total)s, %(shared)s, %(priority)s,
    now() + make_interval(secs => %(seconds)s::float8), %(opens)s::time, %(closes)s::time,
    %(quorum)s)
ON CONFLICT (ledger) DO UPDATE
SET total = coalesce(excluded.total, campaign.total),
    shared = campaign.shared OR excluded.shared,
    priority = excluded.priority,
    ends_at = excluded.ends_at,
    opens = excluded.opens,
    closes = excluded.closes,
    quorum = excluded.quorum,
    reason = CASE WHEN campaign.standing <> 'running' THEN campaign.reason END
RETURNING name, account_sid, total, shared, standing
"""
INSERT = """
INSERT INTO conference_async_outcome AS known (
    ledger, target, "to", conference, state, token, label, attempts, call_sid, conference_sid,
    sent_at, ended_at, reason, request, zones)
SELECT %(ledger)s, new.target, new."to", new.conference, new.state, new.token, new.label,
    new.attempts, new.call_sid, new.conference_sid, new.sent_at, new.ended_at, new.reason,
    new.request, new.zones
FROM jsonb_array_elements(%(rows)s::jsonb) WITH ORDINALITY AS element (content, place),
    jsonb_populate_record(NULL::conference_async_outcome, element.content) AS new
ORDER BY element.place
ON CONFLICT (ledger, target) DO """
LEAVE = "NOTHING"
RENEW = """UPDATE
SET "to" = CASE WHEN known.state IN ('planned', 'skipped') THEN excluded."to" ELSE known."to" END,
    request = excluded.request, zones = excluded.zones
WHERE (known."to", known.request, known.zones)
    IS DISTINCT FROM (excluded."to", excluded.request, excluded.zones)
"""
FIND = "SELECT * FROM conference_async_outcome WHERE ledger = %s AND target = ANY(%s)"
SWAP = """
UPDATE conference_async_outcome SET
    "to" = %(to)s, conference = %(conference)s, state = %(state)s, token = %(token)s,
    label = %(label)s, attempts = %(attempts)s, call_sid = %(call_sid)s,
    conference_sid = %(conference_sid)s, sent_at = %(sent_at)s, ended_at = %(ended_at)s,
    reason = %(reason)s, changed = clock_timestamp()
WHERE ledger = %(ledger)s AND target = %(target)s AND (
    (state = %(state_before)s AND token IS NOT DISTINCT FROM %(token_before)s::text)
    OR (state = %(state)s AND token IS NOT DISTINCT FROM %(token)s::text))
AND (%(state)s::text <> 'sending' OR EXISTS (
    SELECT FROM conference_async_campaign AS campaign
    WHERE campaign.ledger = %(ledger)s AND standing = 'running'
        AND coalesce(ends_at, 'infinity') > clock_timestamp()
        AND (request IS NOT NULL OR NOT shared)))
"""
ONWARDS = """
SELECT * FROM conference_async_outcome
WHERE ledger = %s AND number > %s AND state = ANY(%s) ORDER BY number LIMIT %s
"""
COUNTS = """
SELECT state, count(*) AS number FROM conference_async_outcome WHERE ledger = %s GROUP BY state
"""
LOCK: Mapping[bool, LiteralString] = {
    False: "SELECT pg_try_advisory_lock(hashtextextended(%s, 7241946832)) AS ours",
    True: "SELECT pg_try_advisory_lock_shared(hashtextextended(%s, 7241946832)) AS ours",
}
UNLOCK = "SELECT pg_advisory_unlock_all()"
