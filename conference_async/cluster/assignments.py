"""What a worker is told of a target whose turn has come."""

import asyncio
import math
import warnings
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import attrs

from conference_async.cluster.campaigns import Standing, standing_in
from conference_async.cluster.ledger_tables import outcome_of
from conference_async.cluster.postgres_session import Session
from conference_async.dialer.hours import CallingHours, zones_of
from conference_async.dialer.ledger import Outcome, State
from conference_async.dialer.policy import Policy
from conference_async.dialer.targets import Target
from conference_async.models import NewParticipant
from conference_async.notices import ConferenceWarning

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

_FIND = """
SELECT outcome.*, campaign.standing, campaign.ends_at, campaign.opens, campaign.closes,
    clock_timestamp() AS now
FROM conference_async_outcome AS outcome JOIN conference_async_campaign AS campaign USING (ledger)
WHERE outcome.number = %s
"""


@attrs.frozen(kw_only=True)
class Assignment:
    """What is known of a target when its job's turn comes."""

    ledger: str
    """The campaign's ledger."""

    outcome: Outcome
    """What the ledger has."""

    standing: Standing
    """Whether the campaign goes on."""

    now: datetime
    """When it was looked up, by the server's clock, as all instants here."""

    changed: datetime
    """When the ledger's row was written last."""

    request: dict[str, Any] | None
    """What to send, but for the address; None if the target is not to be called."""

    ends_at: datetime | None = None
    """When the campaign ends; None if it has no deadline."""

    hours: CallingHours | None = None
    """When targets may be called."""

    zones: tuple[ZoneInfo, ...] = ()
    """Where the target may be."""

    @property
    def quiet(self) -> float:
        """Seconds since the ledger's row was written last."""
        return (self.now - self.changed).total_seconds()

    @property
    def callable(self) -> bool:
        """Whether it may be called now, but for the hour."""
        to_call = self.outcome.state in {State.PLANNED, State.SKIPPED}
        return to_call and self.standing is Standing.RUNNING and self.request is not None

    def wait(self, passed: float = 0.0) -> tuple[float, str]:
        """Return the seconds until it may be called, and why not before, as `CallingHours.wait`.

        Args:
            passed: Seconds since it was looked up.
        """
        if self.hours is None:
            return 0.0, ""
        now = self.now + timedelta(seconds=passed)
        wait, reason = self.hours.wait(now, self.zones)
        if self.ends_at and wait >= (self.ends_at - now).total_seconds():
            wait = math.inf
        return wait, reason

    @property
    def new(self) -> NewParticipant:
        """The whole request."""
        with warnings.catch_warnings():
            # Whoever submitted it was warned already.
            warnings.simplefilter("ignore", ConferenceWarning)
            return NewParticipant(**(self.request or {}), to=self.outcome.to)


def order_for(target: Target, policy: Policy) -> dict[str, Any]:
    """Return what workers are told of a target; it may read files, as `zones_of` does."""
    return {
        "request": None if policy.forbids(target.to) else request_of(target.new),
        "zones": [zone.key for zone in zones_of(target)] if policy.hours else None,
    }


def request_of(new: NewParticipant) -> dict[str, Any]:
    """Return a request as `Assignment` keeps it."""
    return attrs.asdict(
        new, filter=lambda field, value: field.name != "to" and value not in (None, {})
    )


async def assignment(session: Session, number: int) -> Assignment | None:
    """Return what is to be done for a target; None if the ledger has forgotten it."""

    async def work(connection: "AsyncConnection[DictRow]") -> "DictRow | None":
        return await (await connection.execute(_FIND, (number,))).fetchone()

    row = await session.run(work)
    if row is None:
        return None
    zones: tuple[ZoneInfo, ...] = ()
    if row["opens"] is not None:
        zones = await asyncio.to_thread(lambda: tuple(map(ZoneInfo, row["zones"] or ())))
    return Assignment(
        ledger=row["ledger"],
        outcome=outcome_of(row),
        standing=standing_in(row),
        now=row["now"],
        changed=row["changed"],
        request=row["request"],
        ends_at=row["ends_at"],
        hours=None if row["opens"] is None else CallingHours(row["opens"], row["closes"]),
        zones=zones,
    )
