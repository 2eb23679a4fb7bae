"""When people may be called, by the clock and the calendar on their own wall."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import cast
from zoneinfo import ZoneInfo

import attrs

from conference_async.dialer.plan.phones import time_zones
from conference_async.dialer.plan.targets import Target
from conference_async.errors import ConfigurationError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The days of the week, as hours name them."""

_LOOKED_AHEAD = 3
_LOOKED_FAR_AHEAD = 35
"""Days in which an hour is looked for: clocks that are put forward may pass over those of one; more
where whole days are left out."""


def _days(given: object) -> frozenset[str]:
    named: list[object] = [given]
    if isinstance(given, str):
        named = list(_listed(given))
    elif isinstance(given, Iterable):
        named = list(cast("Iterable[object]", given))
    days = frozenset(each for each in named if isinstance(each, str) and each in DAYS)
    if not days or days != frozenset(named):
        raise ConfigurationError(
            f"days must be some of {', '.join(DAYS)}, or like 'mon-fri', not {given!r}"
        )
    return days


def _listed(text: str) -> list[str]:
    days: list[str] = []
    for part in text.casefold().split(","):
        first, hyphen, last = (each.strip() for each in part.partition("-"))
        if hyphen and first in DAYS and last in DAYS:
            start = DAYS.index(first)
            count = (DAYS.index(last) - start) % len(DAYS)
            days += [DAYS[(start + more) % len(DAYS)] for more in range(count + 1)]
        else:
            days.append(part.strip())
    return days


@attrs.frozen
class CallingHours:
    """From when to when a target may be called, in the target's own time zone.

    The zone is that of the row's ``time_zone``, else those that the number may be in (found with
    the `phonenumbers` library): then it must be within hours in all of them.

    Raises:
        ConfigurationError: `start` is not before `end`, one is no time of day, or `days` are none.
    """

    start: time
    """The first moment, as in ``time(9)``."""

    end: time
    """The moment after the last, as in ``time(20, 30)``."""

    days: frozenset[str] = attrs.field(default=frozenset(DAYS), converter=_days)
    """On which days: ``"mon-fri"``, or some of ``mon``, ``tue`` … ``sun``; every day if not
    given."""

    def __attrs_post_init__(self) -> None:
        given: tuple[object, ...] = (self.start, self.end)
        for value in given:
            if not isinstance(value, time) or value.tzinfo is not None:
                raise ConfigurationError(
                    f"calling hours start and end at a time such as time(9), not {value!r}; the "
                    "time zone is that of each target"
                )
        if not self.start < self.end:
            raise ConfigurationError("calling hours must start before they end, on the same day")

    @property
    def daily(self) -> bool:
        """Whether they are the same every day."""
        return len(self.days) == len(DAYS)

    def hold_at(self, local: datetime) -> bool:
        """Return whether a moment of the target's own time is within them."""
        return self.start <= local.time() < self.end and DAYS[local.weekday()] in self.days


@attrs.frozen
class Calendar:
    """The hours of several kinds of days, and days without any."""

    hours: Sequence[CallingHours]
    """It must be within one of them."""

    holidays: frozenset[date] = frozenset()
    """Days on which nobody is called, by the target's own calendar."""

    def opening(self, now: datetime, zones: Sequence[ZoneInfo]) -> datetime | None:
        """Return the first instant, `now` at the earliest, that is within hours in all zones.

        Args:
            now: An aware datetime.
            zones: One or more.

        Returns:
            The instant; None if there is none within a few weeks.
        """
        ahead = self._days_ahead
        opening: datetime | None = now
        while opening is not None and opening - now < timedelta(days=ahead):
            found = [self._opening(opening, zone, ahead) for zone in zones]
            latest = max((each for each in found if each is not None), default=None)
            if None in found or latest == opening:
                return None if None in found else opening
            opening = latest
        return None

    @property
    def _days_ahead(self) -> int:
        daily = not self.holidays and all(hours.daily for hours in self.hours)
        return _LOOKED_AHEAD if daily else _LOOKED_FAR_AHEAD

    def _opening(self, now: datetime, zone: ZoneInfo, ahead: int) -> datetime | None:
        local = now.astimezone(zone)
        if self._holds_at(local):
            return now
        for day in (local.date() + timedelta(days=more) for more in range(ahead)):
            starts = (_instant(day, hours.start, zone) for hours in self.hours)
            later = [
                start for start in starts if start > now and self._holds_at(start.astimezone(zone))
            ]
            if later:
                return min(later)
        return None

    def _holds_at(self, local: datetime) -> bool:
        return local.date() not in self.holidays and any(
            hours.hold_at(local) for hours in self.hours
        )


def _instant(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """Return when a clock first shows a time, or one after it where clocks are put forward."""
    instant = datetime.combine(day, clock, tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).time() == clock:
        return instant
    # Clocks pass over it: they show the next time at the moment they are put forward.
    before = datetime.combine(day, clock, tzinfo=zone).replace(fold=1).astimezone(UTC)
    old = before.astimezone(zone).utcoffset()
    while instant - before > timedelta(seconds=1):
        middle = before + (instant - before) / 2
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            instant = middle
    return instant.replace(microsecond=0)


def zones_of(target: Target, otherwise: str | None = None) -> tuple[ZoneInfo, ...]:
    """Return the time zones that a target may be in; none if they are not known.

    It reads files at first use, so call it off the event loop.

    Args:
        target: The target.
        otherwise: The zone that it is taken to be in if none is known.
    """
    names = (target.time_zone,) if target.time_zone else time_zones(target.to)
    return tuple(ZoneInfo(name) for name in names or ((otherwise,) if otherwise else ()))
