"""The statements that keep intents, which SQLite and PostgreSQL read alike."""

from typing import Self

import attrs

from conference_async.sending.entries import State
from conference_async.sending.intents import Intent

TABLE = """
CREATE TABLE IF NOT EXISTS conference_async_intent (
    account_sid text NOT NULL,
    key text NOT NULL,
    conference text NOT NULL,
    number_hash integer NOT NULL,
    fingerprint text NOT NULL,
    state text NOT NULL,
    token text NOT NULL,
    label text,
    attempts integer NOT NULL,
    call_sid text,
    conference_sid text,
    participant text,
    reason text,
    sent_at double precision NOT NULL,
    changed_at double precision NOT NULL,
    held_until double precision NOT NULL,
    PRIMARY KEY (account_sid, key)
);
CREATE INDEX IF NOT EXISTS conference_async_intent_by_age ON conference_async_intent (changed_at);
CREATE INDEX IF NOT EXISTS conference_async_intent_by_number
    ON conference_async_intent (account_sid, number_hash);
"""

_READ = """
SELECT fingerprint, state, token, label, attempts, participant, reason,
    {now} - sent_at AS sent_ago, {now} - changed_at AS changed_ago,
    (state = 'sending' AND held_until > {tick} AND held_until <= {tick} + :lease) AS held
FROM conference_async_intent
WHERE account_sid = :account_sid AND key = :key AND changed_at > {now} - :keep
"""
_CLAIM = """
INSERT INTO conference_async_intent AS known (
    account_sid, key, conference, number_hash, fingerprint, state, token, label, attempts, sent_at,
    changed_at, held_until)
VALUES (
    :account_sid, :key, :conference, :number_hash, :fingerprint, :state, :token, :label, :attempts,
    {now}, {now}, {tick} + :lease)
ON CONFLICT (account_sid, key) DO UPDATE SET
    conference = excluded.conference, number_hash = excluded.number_hash,
    fingerprint = excluded.fingerprint, state = excluded.state, token = excluded.token,
    label = excluded.label, attempts = excluded.attempts, call_sid = NULL, conference_sid = NULL,
    participant = NULL, reason = NULL, sent_at = excluded.sent_at,
    changed_at = excluded.changed_at, held_until = excluded.held_until
WHERE known.changed_at <= {now} - :keep
    OR (known.state = excluded.state AND known.token = excluded.token)
"""
_SWAP = """
UPDATE conference_async_intent SET
    state = :state, token = :token, label = :label, attempts = :attempts, call_sid = :call_sid,
    conference_sid = :conference_sid, participant = :participant, reason = :reason,
    changed_at = {now}, held_until = {tick} + :lease
WHERE account_sid = :account_sid AND key = :key
    AND ((state = :state_before AND token = :token_before) OR (state = :state AND token = :token))
"""
_FREE = """
DELETE FROM conference_async_intent
WHERE account_sid = :account_sid AND key = :key AND state = :state_before AND token = :token_before
"""
_REMEMBERED = """
SELECT number_hash, label, conference, call_sid, {now} - sent_at AS sent_ago
FROM conference_async_intent
WHERE account_sid = :account_sid AND number_hash {among}
"""
# The time is asked for once, beside the rows: a clock that may answer each row otherwise is held
# against all of them, and no index is of use.
_PRUNE = """
DELETE FROM conference_async_intent WHERE (account_sid, key) IN (
    SELECT account_sid, key FROM conference_async_intent
    WHERE changed_at <= (SELECT {now} - :keep) ORDER BY changed_at LIMIT 10 {skip})
"""


@attrs.frozen
class Statements:
    """The statements as one of the two is given them."""

    read: str
    """Finds what is known of a key."""

    remembered: str
    """Finds the creates to some numbers."""

    prune: str
    """Forgets some of the keys that are too old."""

    _claim: str
    _swap: str
    _free: str

    @classmethod
    def spoken(cls, *, now: str, tick: str, among: str, skip: str = "") -> Self:
        """Return them in a dialect.

        Args:
            now: The time, in seconds since 1970.
            tick: The seconds of a clock for leases.
            among: How to ask whether a number's hash is one of ``:number_hashes``.
            skip: How to leave out rows that somebody else is at.
        """
        texts = (_READ, _REMEMBERED, _PRUNE, _CLAIM, _SWAP, _FREE)
        return cls(*(text.format(now=now, tick=tick, among=among, skip=skip) for text in texts))

    def changing(self, before: Intent, after: Intent) -> str:
        """Return the one that replaces `before` by `after`."""
        if after.state in {State.PLANNED, State.REFUSED}:
            return self._free
        return self._claim if before.state is State.PLANNED else self._swap
