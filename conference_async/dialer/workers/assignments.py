"""All that a worker knows of a target whose turn has come."""

import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import attrs

from conference_async.cautions import ConferenceWarning
from conference_async.dialer.calling.decide import Decision, decide
from conference_async.dialer.ledger.outcome import Outcome
from conference_async.dialer.ledger.postgres_tables import contact_rules_of, outcome_of
from conference_async.dialer.rules.contact_rules import NO_RULES, ContactRules
from conference_async.dialer.rules.wishes import Wishes
from conference_async.journal.contacts import Contact
from conference_async.models import NewParticipant

if TYPE_CHECKING:
    from psycopg.rows import DictRow

_NO_WISHES = Wishes()


@attrs.frozen(kw_only=True)
class Assignment:
    """All that is known of a target when a worker claims it."""

    number: int
    """The ledger's row, by its number."""

    ledger: str
    """The campaign's ledger."""

    outcome: Outcome
    """The ledger's row."""

    now: datetime
    """When it was looked up, by the server's clock, as all instants here."""

    request: dict[str, Any]
    """The request but for the address."""

    failures: int = 0
    """How often in a row it could not be sent."""

    ends_at: datetime | None = None
    """When the campaign ends; None if it has no deadline."""

    rules: ContactRules = NO_RULES
    """Who may be called, when, and how often."""

    contacts: Sequence[Contact] = ()
    """The calls to its number that are known, where limits ask for them."""

    zones: tuple[ZoneInfo, ...] = ()
    """The time zones that the target may be in."""

    def decision(self, passed: float = 0.0) -> Decision:
        """Return what is to be done with it.

        Args:
            passed: Seconds since it was looked up.
        """
        now = self.now + timedelta(seconds=passed)
        return decide(self.outcome, self.wishes, now, self.zones, self.ends_at, self.contacts)

    @property
    def wishes(self) -> Wishes:
        """What is left to ask of the campaign's wishes; the rest was done when it was submitted."""
        return _NO_WISHES if self.rules is NO_RULES else Wishes(rules=self.rules)

    @property
    def new(self) -> NewParticipant:
        """The whole request."""
        with warnings.catch_warnings():
            # Whoever submitted it was warned already.
            warnings.simplefilter("ignore", ConferenceWarning)
            return NewParticipant(**self.request, to=self.outcome.to)


def request_of(new: NewParticipant) -> dict[str, Any]:
    """Return a request as `Assignment` keeps it."""
    return attrs.asdict(
        new, filter=lambda field, value: field.name != "to" and value not in (None, {})
    )


def assignment_of(row: "DictRow") -> Assignment:
    """Return what a claimed row says; it may read files, as `ZoneInfo` does."""
    rules = contact_rules_of(row)
    return Assignment(
        number=row["number"],
        ledger=row["ledger"],
        outcome=outcome_of(row),
        now=row["now"],
        request=row["request"],
        failures=row["failures"],
        ends_at=row["ends_at"],
        rules=rules,
        zones=tuple(map(ZoneInfo, row["zones"] or ())) if rules.ask_for_zones else (),
    )
