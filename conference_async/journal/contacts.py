"""Calls to people, remembered so that nobody is called too often, whichever campaign calls."""

import hashlib
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, Self

import attrs

from conference_async.bounds import check_count
from conference_async.errors import ConfigurationError
from conference_async.privacy import mask
from conference_async.sending.entries import masked

LONGEST = timedelta(days=366)
"""The longest time within which calls can be limited."""

CONTACTS = """
CREATE TABLE IF NOT EXISTS conference_async_contact (
    account_sid text NOT NULL,
    number_hash text NOT NULL,
    token text NOT NULL,
    campaign text NOT NULL,
    purpose text,
    called_at double precision NOT NULL,
    PRIMARY KEY (account_sid, number_hash, token)
);
CREATE INDEX IF NOT EXISTS conference_async_contact_by_age ON conference_async_contact (called_at);
"""

_CLAIM = """
INSERT INTO conference_async_contact (
    account_sid, number_hash, token, campaign, purpose, called_at)
SELECT :account_sid, :number_hash, :token, :campaign, :purpose, {now} WHERE {allowed}
ON CONFLICT (account_sid, number_hash, token) DO UPDATE SET called_at = excluded.called_at
"""
_WITHIN = """(
    SELECT count(*) FROM conference_async_contact
    WHERE account_sid = :account_sid AND number_hash = :number_hash AND token <> :token
        AND called_at > {now} - :within_{number}{purpose}
) < :calls_{number}"""
_FORGET = """
DELETE FROM conference_async_contact
WHERE account_sid = :account_sid AND number_hash = :number_hash AND token = :token
"""
_KNOWN = """
SELECT number_hash, token, campaign, purpose, called_at FROM conference_async_contact
WHERE account_sid = :account_sid AND number_hash {among} ORDER BY called_at
"""
# The time is asked for once, as in that of intents.
_PRUNE = """
DELETE FROM conference_async_contact WHERE (account_sid, number_hash, token) IN (
    SELECT account_sid, number_hash, token FROM conference_async_contact
    WHERE called_at <= (SELECT {now} - {longest}) ORDER BY called_at LIMIT 10 {skip})
"""


def _calls(_instance: object, attribute: "attrs.Attribute[Any]", value: int) -> None:
    check_count(attribute.name, value, least=1)


def check_time(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """Refuse what is no time within which calls can be limited; for `attrs.field`.

    Raises:
        ConfigurationError: It is no `datetime.timedelta`, not more than none, or over 366 days.
    """
    if not isinstance(value, timedelta) or not timedelta() < value <= LONGEST:
        raise ConfigurationError(
            f"{attribute.name} must be a timedelta of at most {LONGEST.days} days, as in "
            f"timedelta(days=7), not {value!r}"
        )


def check_purpose(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """Refuse what is no text where there is a purpose; for `attrs.field`.

    Raises:
        ConfigurationError: As said.
    """
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{attribute.name} must be text, not {value!r}")


@attrs.frozen
class ContactLimit:
    """At most so many calls to one number in any time so long.

    Raises:
        ConfigurationError: `calls` is less than 1; `within` is no `datetime.timedelta`, not more
            than none, or longer than 366 days; or `purpose` is no text.
    """

    calls: int = attrs.field(validator=_calls)
    """How many calls there may be, 1 or more."""

    within: timedelta = attrs.field(validator=check_time)
    """In how long a time, wherever it begins."""

    purpose: str | None = attrs.field(default=None, validator=check_purpose)
    """Only calls of this purpose count, and only those are held back; all calls if not given."""

    def holds_for(self, purpose: str | None) -> bool:
        """Return whether calls of a purpose are held back by it."""
        return self.purpose is None or self.purpose == purpose

    def __str__(self) -> str:
        of = f" of {self.purpose}" if self.purpose else ""
        calls = "1 call" if self.calls == 1 else f"{self.calls} calls"
        return f"no more than {calls}{of} in {_spelled(self.within)}"


def _spelled(time: timedelta) -> str:
    """Return a length of time for a person, in the largest unit that it is a whole number of."""
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        number, rest = divmod(time.total_seconds(), unit)
        if number and not rest:
            return f"{number:.0f} {name}{'s' * (number > 1)}"
    return f"{time.total_seconds():g} seconds"


@attrs.frozen(kw_only=True)
class Contact:
    """One call to somebody, written down before its request leaves."""

    account_sid: str
    """The account that calls."""

    number_hash: str = attrs.field(repr=False)
    """What finds the calls to a number."""

    token: str = attrs.field(repr=False, factory=lambda: secrets.token_hex(8))
    """What tells it from every other call."""

    campaign: str = attrs.field(repr=masked, converter=mask)
    """The campaign that calls, with numbers masked."""

    purpose: str | None = None
    """What the call is about."""

    at: datetime | None = None
    """When it was written down, in UTC; None before."""


class ContactStore(Protocol):
    """Remembers calls for all campaigns of an account: a `Journal` or a `PostgresJournal`.

    Every method raises `LedgerError` where the store cannot do it.
    """

    async def claim_contact(
        self, contact: Contact, limits: Sequence[ContactLimit], now: datetime
    ) -> bool:
        """Write down a call that is about to be made, durably, unless a limit forbids it.

        It is compared with what all others wrote, and written, in one step. To write the same one
        again does no harm.

        Args:
            contact: The call.
            limits: Those that hold for it.
            now: The time of day; a store with a clock of its own goes by that.

        Returns:
            Whether it may be made.
        """
        ...

    async def forget_contact(self, contact: Contact) -> None:
        """Forget a call that was not made after all."""
        ...

    async def contacts(self, account_sid: str, hashes: Collection[str]) -> list[Contact]:
        """Return the calls to some numbers, given as `hash_of` returns them; oldest first."""
        ...


def hash_of(account_sid: str, number: str) -> str:
    """Return what finds the calls of an account to a number."""
    digits = number.lstrip("+").encode("utf-8", "surrogatepass")
    return hashlib.sha256(account_sid.encode() + b"\0" + digits).hexdigest()[:32]


@attrs.frozen
class ContactStatements:
    """The statements that keep contacts, in the dialect of one of the stores."""

    _now: str
    known: str
    """Finds the calls to some numbers."""

    forget: str
    """Forgets a call."""

    prune: str
    """Forgets some of those that no limit asks for any more."""

    @classmethod
    def spoken(cls, *, now: str, among: str, skip: str = "") -> Self:
        """Return them in a dialect.

        Args:
            now: The time, in seconds since 1970.
            among: How to ask whether a number's hash is one of ``:number_hashes``.
            skip: How to leave out rows that somebody else is at.
        """
        longest = f"{LONGEST.total_seconds():.0f}"
        return cls(
            now,
            _KNOWN.format(among=among),
            _FORGET,
            _PRUNE.format(now=now, longest=longest, skip=skip),
        )

    def claim(self, limits: Sequence[ContactLimit]) -> str:
        """Return the one that writes a call down if so many limits allow it."""
        allowed = [
            _WITHIN.format(
                now=self._now,
                number=number,
                purpose=" AND purpose = :purpose" if limit.purpose is not None else "",
            )
            for number, limit in enumerate(limits)
        ]
        return _CLAIM.format(now=self._now, allowed=" AND ".join(allowed) or "true")


def contact_values(contact: Contact, limits: Sequence[ContactLimit] = ()) -> dict[str, Any]:
    """Return what the statements need of a call, and of its limits."""
    values: dict[str, Any] = {
        "account_sid": contact.account_sid,
        "number_hash": contact.number_hash,
        "token": contact.token,
        "campaign": contact.campaign,
        "purpose": contact.purpose,
    }
    for number, limit in enumerate(limits):
        values[f"within_{number}"] = limit.within.total_seconds()
        values[f"calls_{number}"] = limit.calls
    return values


def contacts_of(account_sid: str, rows: Iterable[Mapping[str, Any]]) -> list[Contact]:
    """Return what rows say of calls."""
    return [
        Contact(
            account_sid=account_sid,
            number_hash=row["number_hash"],
            token=row["token"],
            campaign=row["campaign"],
            purpose=row["purpose"],
            at=datetime.fromtimestamp(row["called_at"], UTC),
        )
        for row in rows
    ]
