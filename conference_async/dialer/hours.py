"""When people may be called, by the clock on their own wall."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import attrs

from conference_async.dialer.phones import time_zones
from conference_async.dialer.targets import Target
from conference_async.errors import ConfigurationError

_LOOKED_AHEAD = timedelta(days=2)


@attrs.frozen
class CallingHours:
    """From when to when a target may be called, every day, in the target's own time zone.

    The zone is that of the row's ``time_zone``, else those that the number may be in (found with
    the `phonenumbers` library): then it must be within hours in all of them.

    Raises:
        ConfigurationError: `start` is not before `end`.
    """

    start: time
    """The first moment, as in ``time(9)``."""

    end: time
    """The moment after the last, as in ``time(20, 30)``."""

    def __attrs_post_init__(self) -> None:
        if not self.start < self.end:
            raise ConfigurationError("calling hours must start before they end, on the same day")

    def opening(self, now: datetime, zones: Sequence[ZoneInfo]) -> datetime | None:
        """Return the first instant, `now` at the earliest, that is within hours in all zones.

        Args:
            now: An aware datetime.
            zones: One or more.

        Returns:
            The instant; None if there is none within two days.
        """
        opening = now
        while opening - now < _LOOKED_AHEAD:
            latest = max(self._opening(opening, zone) for zone in zones)
            if latest == opening:
                return opening
            opening = latest
        return None

    def wait(self, now: datetime, zones: Sequence[ZoneInfo]) -> tuple[float, str]:
        """Return the seconds until a target may be called, and why not before.

        Args:
            now: An aware datetime.
            zones: Where it may be; none if that is not known.

        Returns:
            The seconds, endless if that time does not come, and a reason; 0 and an empty one if
            it may be called now.
        """
        if not zones:
            return math.inf, "its time zone is not known: give it in a time_zone column"
        opening = self.opening(now, zones)
        if opening is None:
            return math.inf, "its time zones have no calling hours in common"
        if opening == now:
            return 0.0, ""
        return (
            opening - now
        ).total_seconds(), f"outside calling hours until {opening:%d %b %H:%M} UTC"

    def _opening(self, now: datetime, zone: ZoneInfo) -> datetime:
        local = now.astimezone(zone)
        if self.start <= local.time() < self.end:
            return now
        day = local.date() + timedelta(days=local.time() >= self.end)
        return datetime.combine(day, self.start, tzinfo=zone).astimezone(UTC)


def zones_of(target: Target) -> tuple[ZoneInfo, ...]:
    """Return the time zones that a target may be in; none if they are not known.

    It reads files at first use, so call it off the event loop.
    """
    names = (target.time_zone,) if target.time_zone else time_zones(target.to)
    return tuple(ZoneInfo(name) for name in names)
