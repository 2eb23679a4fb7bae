"""One room, put together from its events and lists, in whatever order they come.

Every event carries its number in the conference's sequence, and a participant's event the
participant's state after it. Each field of a participant therefore keeps the number that it was
last written with, and takes only a higher one. Leaving is final for a call, and the end is final
for a room.

A list has no number: it counts as newer than every event that had come when it was asked for,
and as older than every event with a higher number. Who is not in it is gone, unless such a higher
number says otherwise.
"""

import logging
from collections.abc import Iterable
from typing import Any, Final

from conference_async.webhooks import events
from conference_async.webhooks.rooms import (
    Attendee,
    Change,
    ChangeKind,
    ListedParticipant,
    RoomView,
)

_LOGGER = logging.getLogger("conference_async.webhooks")
_TOLD: Final = (
    "label",
    "muted",
    "hold",
    "coaching",
    "end_conference_on_exit",
    "start_conference_on_enter",
)
_MEANT: Final[dict[type[events.Event], tuple[str, bool]]] = {
    events.ParticipantMuted: ("muted", True),
    events.ParticipantUnmuted: ("muted", False),
    events.ParticipantHeld: ("hold", True),
    events.ParticipantUnheld: ("hold", False),
    events.SpeechStarted: ("speaking", True),
    events.SpeechStopped: ("speaking", False),
}
_ON_THE_WAY: Final = {"queued", "connecting", "ringing"}
_OVER: Final = {"complete", "failed"}


class _Seat:
    """One participant, and how new each piece of knowledge is."""

    __slots__ = ("call_sid", "facts", "latest", "left", "numbers", "shown")

    def __init__(self, call_sid: str) -> None:
        self.call_sid = call_sid
        self.facts: dict[str, Any] = {}
        self.numbers: dict[str, int] = {}
        self.latest: int = -1
        self.left = False
        self.shown: Attendee | None = None

    def write(self, field: str, value: object, number: int) -> None:
        if value is not None and number > self.numbers.get(field, -1):
            self.facts[field] = value
            self.numbers[field] = number

    def take(self, event: events.ParticipantEvent, number: int) -> None:
        self.latest = max(self.latest, number)
        # What the event is about, first: it is not sure that its parameters agree.
        if meant := _MEANT.get(type(event)):
            self.write(*meant, number)
        for field in _TOLD:
            self.write(field, getattr(event, field), number)
        if isinstance(event, events.ParticipantJoined):
            self.write("joined_at", event.timestamp, number)
        elif isinstance(event, events.ParticipantLeft):
            self.left = True
            self.facts["left_at"] = event.timestamp
            self.facts["reason"] = event.reason
            self.facts["call_status"] = event.call_status


class RoomState:
    """The state of one room, of at most `max_attendees` present and former participants."""

    def __init__(self, conference_sid: str, *, max_attendees: int) -> None:
        self.conference_sid = conference_sid
        self.latest: int = -1
        """The highest number of any event so far."""
        self.ended: events.ConferenceEnded | None = None
        self._started: events.ConferenceStarted | None = None
        self._friendly_name: str | None = None
        self._max_attendees = max_attendees
        self._seats: dict[str, _Seat] = {}
        self._forgotten = -1
        self._listed: set[str] = set()
        self._listed_at = -1
        self._dropped: list[Change] = []

    def view(self) -> RoomView:
        """Return the room as it stands."""
        return RoomView(
            conference_sid=self.conference_sid,
            friendly_name=self._friendly_name,
            started_at=self._started.timestamp if self._started else None,
            ended=self.ended is not None,
            ended_at=self.ended.timestamp if self.ended else None,
            end_reason=self.ended.reason if self.ended else None,
            history=tuple(seat.shown for seat in self._seats.values() if seat.shown),
        )

    def apply(self, event: events.ConferenceEvent) -> Iterable[Change]:
        """Take an event of this room, and return what is different."""
        number = event.sequence_number
        if number is None:
            number = self.latest + 1
        self.latest = max(self.latest, number)
        self._friendly_name = event.friendly_name or self._friendly_name
        if isinstance(event, events.ParticipantEvent):
            seat = self._seats.get(event.call_sid)
            if seat is None:
                if number <= self._forgotten:
                    return ()
                seat = self._new_seat(event.call_sid)
            seat.take(event, number)
            return self._changes((seat,))
        if isinstance(event, events.ConferenceStarted) and self._started is None:
            self._started = event
            return (Change(kind=ChangeKind.STARTED, conference_sid=self.conference_sid),)
        if isinstance(event, events.ConferenceEnded) and self.ended is None:
            self.ended = event
            end = Change(kind=ChangeKind.ENDED, conference_sid=self.conference_sid)
            return (*self._changes(self._seats.values()), end)
        return ()

    def reconcile(self, listed: Iterable[ListedParticipant], mark: int) -> Iterable[Change]:
        """Take a list of everybody in the room, and return what is different.

        Args:
            listed: The participants.
            mark: `latest` at the time when the list was asked for.
        """
        if self.ended or mark < self._listed_at:
            return ()
        there = [one for one in listed if one.call_sid and one.status not in _OVER]
        self._listed_at = mark
        self._listed = {one.call_sid for one in there if one.call_sid}
        for one in there:
            if one.call_sid and one.status not in _ON_THE_WAY:
                seat = self._seats.get(one.call_sid) or self._new_seat(one.call_sid)
                for field in _TOLD:
                    if seat.numbers.get(field, -1) <= mark:
                        seat.numbers[field] = mark
                        seat.facts[field] = getattr(one, field)
        return self._changes(self._seats.values())

    def _new_seat(self, call_sid: str) -> _Seat:
        if len(self._seats) >= self._max_attendees:
            seats = self._seats.values()
            oldest = next((s for s in seats if not (s.shown and s.shown.present)), None)
            if oldest is None:
                oldest = next(iter(seats))
                _LOGGER.warning("a room has more present participants than max_attendees")
                self._dropped.append(
                    Change(
                        kind=ChangeKind.DROPPED,
                        conference_sid=self.conference_sid,
                        attendee=oldest.shown,
                    )
                )
            # A late event must not bring back one that is forgotten.
            self._forgotten = max(self._forgotten, oldest.latest)
            del self._seats[oldest.call_sid]
        seat = self._seats[call_sid] = _Seat(call_sid)
        return seat

    def _changes(self, seats: Iterable[_Seat]) -> list[Change]:
        dropped, self._dropped = self._dropped, []
        return dropped + [change for seat in seats if (change := self._change(seat))]

    def _change(self, seat: _Seat) -> Change | None:
        before = seat.shown
        seat.shown = after = self._shown(seat)
        if after == before:
            return None
        was_present = before is not None and before.present
        if after.present and not was_present:
            kind = ChangeKind.JOINED
        elif was_present == after.present and before:
            kind = ChangeKind.UPDATED
        else:
            kind = ChangeKind.LEFT
        return Change(kind=kind, conference_sid=self.conference_sid, attendee=after)

    def _shown(self, seat: _Seat) -> Attendee:
        unlisted = seat.latest <= self._listed_at and seat.call_sid not in self._listed
        present = not (seat.left or unlisted or self.ended)
        if self.ended and not seat.left and not unlisted:
            seat.facts["left_at"] = self.ended.timestamp
        return Attendee(call_sid=seat.call_sid, present=present, **seat.facts)
