"""Whom the rules of a campaign let be called, when, and how often."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

import attrs

from conference_async.dialer.rules.hours import Calendar, CallingHours
from conference_async.errors import ConfigurationError
from conference_async.journal.contacts import Contact, ContactLimit, check_purpose, check_time

UNKNOWN_ZONE = "its time zone is not known: give it in a time_zone column"
"""Why somebody is not called for whom nobody knows what time it is."""

OUTSIDE = "outside calling hours"
"""Why somebody is not called yet, where the hour comes."""

_NO_HOURS = "its time zones have no calling hours in common"
_WHOLE_DAY = CallingHours(time.min, time.max)

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Verdict:
    """Whether somebody may be called, and from when on."""

    opening: datetime | None
    """When; None if that time does not come."""

    why: str = ""
    """Why not before; empty if it is now."""

    def __str__(self) -> str:
        if self.opening is None or not self.why:
            return self.why
        return f"{self.why} until {self.opening:%d %b %H:%M} UTC"


def _hours(given: object) -> tuple[CallingHours, ...]:
    return _several("hours", CallingHours, given)


def _limits(given: object) -> tuple[ContactLimit, ...]:
    return _several("limits", ContactLimit, given)


def _several(what: str, kind: type[T], given: object) -> tuple[T, ...]:
    several: tuple[object, ...] = (given,)
    if isinstance(given, Iterable):
        several = tuple(cast("Iterable[object]", given))
    found = tuple(each for each in several if isinstance(each, kind))
    if len(found) < len(several):
        raise ConfigurationError(f"{what} must be {kind.__name__}, one or several")
    return found


def _dates(given: Iterable[object] | date) -> frozenset[date]:
    days: list[object] = list(given) if isinstance(given, Iterable) else [given]
    dates = [each for each in days if isinstance(each, date) and not isinstance(each, datetime)]
    if len(dates) < len(days):
        raise ConfigurationError("holidays must be days, such as date(2026, 12, 25)")
    return frozenset(dates)


@attrs.frozen(kw_only=True)
class ContactRules:
    """Who may be called, when, and how often, by all campaigns that share a journal.

    They help to keep to rules, and are no legal advice: whether they are the right ones, and all
    of them, is for whoever calls to know.

    Raises:
        ConfigurationError: Something is out of its bounds.
    """

    hours: tuple[CallingHours, ...] = attrs.field(default=(), converter=_hours)
    """When people may be called, in their own time zone: one `CallingHours` or several, such as
    those of weekdays and of Saturdays. At any time if not given."""

    holidays: frozenset[date] = attrs.field(default=frozenset[date](), converter=_dates)
    """Days on which nobody is called, by each target's own calendar."""

    limits: tuple[ContactLimit, ...] = attrs.field(default=(), converter=_limits)
    """How often one number may be called; all of them hold."""

    gap: timedelta | None = attrs.field(
        default=None, validator=attrs.validators.optional(check_time)
    )
    """The least time between two calls to one number."""

    purpose: str | None = attrs.field(default=None, validator=check_purpose)
    """The purpose of calls whose row names none."""

    assumed_zone: str | None = None
    """The time zone, such as ``America/New_York``, of numbers for which none is known; these are
    not called where hours or holidays are given and this is not."""

    def __attrs_post_init__(self) -> None:
        if self.assumed_zone is not None:
            try:
                ZoneInfo(self.assumed_zone)
            except (KeyError, ValueError, OSError, TypeError):
                raise ConfigurationError(
                    f"assumed_zone: {self.assumed_zone!r} is no time zone; write it as "
                    "America/New_York"
                ) from None

    @property
    def all_limits(self) -> tuple[ContactLimit, ...]:
        """The limits, with that of the least time between two calls."""
        return self.limits if self.gap is None else (*self.limits, ContactLimit(1, self.gap))

    def limits_for(self, purpose: str | None) -> tuple[ContactLimit, ...]:
        """Return the limits that hold for calls of a purpose."""
        return tuple(limit for limit in self.all_limits if limit.holds_for(purpose))

    @property
    def ask_for_zones(self) -> bool:
        """Whether the time of day where somebody is matters."""
        return bool(self.hours or self.holidays)

    def verdict(
        self,
        now: datetime,
        zones: Sequence[ZoneInfo],
        contacts: Sequence[Contact] = (),
        *,
        purpose: str | None = None,
        earliest: datetime | None = None,
        latest: datetime | None = None,
    ) -> Verdict:
        """Return when a target may be called, and why not before.

        Args:
            now: An aware datetime.
            zones: Where it may be; none if that is not known.
            contacts: The calls to its number that are known.
            purpose: That of the call.
            earliest: The first moment at which it is to be called.
            latest: The moment from which on it is not.
        """
        if latest is not None and now >= latest:
            return Verdict(opening=None, why=f"it was to be called before {_shown(latest)}")
        if self.ask_for_zones and not zones:
            return Verdict(opening=None, why=UNKNOWN_ZONE)
        opening, why, limited = now, "", bool(self.all_limits)
        while True:
            later, reason = self._later(opening, zones, contacts, purpose, earliest)
            if later is None:
                return Verdict(opening=None, why=reason)
            moved, opening = later > opening, later
            why = why or reason if moved else why
            if not moved or (reason == OUTSIDE and not limited):
                break
        if latest is not None and opening >= latest:
            return Verdict(
                opening=None,
                why=f"{why} until {_shown(opening)}, and it was to be called before that",
            )
        return Verdict(opening=opening, why=why)

    def _later(
        self,
        now: datetime,
        zones: Sequence[ZoneInfo],
        contacts: Sequence[Contact],
        purpose: str | None,
        earliest: datetime | None,
    ) -> tuple[datetime | None, str]:
        """Return the instant to which the first rule that stands against one puts it off."""
        if earliest is not None and earliest > now:
            return earliest, "it is not to be called"
        for limit in self.limits_for(purpose):
            if (free := _free(limit, contacts, now)) > now:
                return free, str(limit)
        if not self.ask_for_zones:
            return now, ""
        calendar = Calendar(self.hours or (_WHOLE_DAY,), self.holidays)
        found = calendar.opening(now, zones)
        return found, _NO_HOURS if found is None else OUTSIDE


NO_RULES = ContactRules()
"""Anybody, at any time, as often as asked for."""


def _free(limit: ContactLimit, contacts: Sequence[Contact], now: datetime) -> datetime:
    """Return when a limit lets a number be called again."""
    made = sorted(
        each.at
        for each in contacts
        if each.at is not None and (limit.purpose is None or each.purpose == limit.purpose)
    )
    if len(made) < limit.calls:
        return now
    return max(now, made[-limit.calls] + limit.within)


def _shown(instant: datetime) -> str:
    return f"{instant:%d %b %H:%M} UTC"


def as_json(rules: ContactRules) -> dict[str, Any]:
    """Return rules as a database keeps them."""
    return {
        "hours": [
            [hours.start.isoformat(), hours.end.isoformat(), sorted(hours.days)]
            for hours in rules.hours
        ],
        "holidays": sorted(day.isoformat() for day in rules.holidays),
        "limits": [
            [limit.calls, limit.within.total_seconds(), limit.purpose] for limit in rules.limits
        ],
        "gap": rules.gap and rules.gap.total_seconds(),
        "purpose": rules.purpose,
        "assumed_zone": rules.assumed_zone,
    }


def from_json(kept: Mapping[str, Any]) -> ContactRules:
    """Return the rules that a database kept."""
    return ContactRules(
        hours=[
            CallingHours(time.fromisoformat(start), time.fromisoformat(end), days)
            for start, end, days in kept["hours"]
        ],
        holidays=[date.fromisoformat(day) for day in kept["holidays"]],
        limits=[
            ContactLimit(calls, timedelta(seconds=within), purpose)
            for calls, within, purpose in kept["limits"]
        ],
        gap=None if kept["gap"] is None else timedelta(seconds=kept["gap"]),
        purpose=kept["purpose"],
        assumed_zone=kept["assumed_zone"],
    )
