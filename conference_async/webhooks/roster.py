"""Who is in which room, live, from events and lists."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

from conference_async.webhooks.events import ConferenceEvent, Event
from conference_async.webhooks.fanout import Fanout, Subscription
from conference_async.webhooks.room_state import RoomState
from conference_async.webhooks.rooms import (
    Attendee,
    Change,
    ChangeKind,
    ListedParticipant,
    RoomView,
)

_MISSED = Change(kind=ChangeKind.MISSED)
_MOST_ENDED = 10_000


class Roster:
    """The live state of rooms, and the history of everybody who was in them.

    The service keeps no history of participants, and its events come late, twice and in any
    order; this puts them in order by their sequence numbers. An event that is lost is made good
    by the next list: `seed` every room that matters now and then.

    Example::

        roster = Roster()
        receiver.listen(roster.apply)
        await roster.seed(room.sid, room.participants.list())
        async for change in roster.changes():
            ...
    """

    def __init__(
        self,
        *,
        max_rooms: int = 500,
        max_attendees: int = 1000,
        record: Callable[[str, Attendee], object] | None = None,
    ) -> None:
        """Make an empty roster.

        Args:
            max_rooms: How many rooms to hold; above it the one that ended first is dropped, or
                else the one that was silent for longest.
            max_attendees: How many present and former participants of a room to hold; a room has
                at most 250 at a time.
            record: Called with the conference SID and the participant whenever somebody's state
                changes, such as `AttendanceStore.record`; it must not block.
        """
        self._max_rooms = max_rooms
        self._max_attendees = max_attendees
        self._record = record
        self._rooms: OrderedDict[str, RoomState] = OrderedDict()
        self._dropped: OrderedDict[str, None] = OrderedDict()
        self._fanout: Fanout[Change] = Fanout()

    def __repr__(self) -> str:
        return f"<Roster of {len(self._rooms)} rooms>"

    def apply(self, event: Event) -> None:
        """Take an event; one that is of no conference changes nothing. For `Receiver.listen`."""
        if isinstance(event, ConferenceEvent) and event.conference_sid not in self._dropped:
            self._tell(self._state(event.conference_sid).apply(event))

    async def seed(
        self,
        conference_sid: str,
        listing: Awaitable[Iterable[ListedParticipant]] | Iterable[ListedParticipant],
    ) -> None:
        """Take a list of everybody in a room: whoever is not in it is gone.

        Args:
            conference_sid: The room, ``CF…``; a list has no place for a friendly name.
            listing: The request for the list, not awaited yet, so that events that come while it
                is under way are told from those before; or the participants, listed just now.

        Raises:
            ConferenceError: The list could not be had; the room is as before.
        """
        known = self._rooms.get(conference_sid)
        mark = known.latest if known else -1
        listed = await listing if isinstance(listing, Awaitable) else listing
        if conference_sid not in self._dropped:
            self._tell(self._state(conference_sid).reconcile(listed, mark))

    def room(self, conference_sid: str) -> RoomView | None:
        """Return a room as it stands, or None if nothing is known of it (any more)."""
        state = self._rooms.get(conference_sid)
        return state.view() if state else None

    def rooms(self) -> tuple[RoomView, ...]:
        """Return all rooms as they stand, the one with the latest news last."""
        return tuple(state.view() for state in self._rooms.values())

    def changes(self, *, buffer: int = 1000) -> Subscription[Change]:
        """Return an async iterator over the changes from now on.

        Args:
            buffer: How many changes may wait to be read. If more come, all of them are dropped
                and the reader gets one of kind `ChangeKind.MISSED`: slow readers keep nobody.
        """
        return self._fanout.subscribe(buffer)

    def _state(self, conference_sid: str) -> RoomState:
        state = self._rooms.get(conference_sid)
        if state is None:
            self._make_room()
            state = RoomState(conference_sid, max_attendees=self._max_attendees)
            self._rooms[conference_sid] = state
        self._rooms.move_to_end(conference_sid)
        return state

    def _make_room(self) -> None:
        if len(self._rooms) >= self._max_rooms:
            states = self._rooms.values()
            state = next((state for state in states if state.ended), None) or next(iter(states))
            del self._rooms[state.conference_sid]
            if state.ended:
                # A late event must not bring the room back as a live one.
                self._dropped[state.conference_sid] = None
                if len(self._dropped) > _MOST_ENDED:
                    self._dropped.popitem(last=False)

    def _tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if self._record and change.conference_sid and change.attendee:
                self._record(change.conference_sid, change.attendee)
            self._fanout.send_or_replace(change, _MISSED)
