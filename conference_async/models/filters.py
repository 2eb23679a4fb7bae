"""What lists are narrowed by."""

from datetime import date
from typing import Literal, TypedDict


class ConferenceFilters(TypedDict, total=False):
    """Which conferences to list; all that are given must hold.

    Days are in UTC. The service's ``<=`` reads "on or before midnight of this date", and its ``>=``
    "on or after midnight", so a day itself belongs to what came after.
    """

    status: Literal["init", "in-progress", "completed"]
    """``in-progress`` if not given; always sent, because the service's own default is changing."""

    friendly_name: str | None
    """Those of this name."""
    date_created: date | None
    """Those created on that day."""
    date_created_after: date | None
    """That day or later."""
    date_created_before: date | None
    """Before that day began."""
    date_updated: date | None
    """Those that last changed on that day."""
    date_updated_after: date | None
    """That day or later."""
    date_updated_before: date | None
    """Before that day began."""


class ParticipantFilters(TypedDict, total=False):
    """Which participants to list; all that are given must hold."""

    muted: bool | None
    """Only those who are muted (True), or who are not (False)."""
    hold: bool | None
    """Only those who are on hold, or who are not."""
    coaching: bool | None
    """Only those who coach somebody, or who do not."""
