"""The people in each room, live, from events and lists."""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from conference_async.bounds import check_count
from conference_async.plain_functions import check_plain, failure_of
from conference_async.webhooks.events import ConferenceEvent, Event
from conference_async.webhooks.listeners import log_failure
from conference_async.webhooks.room_state import RoomState
from conference_async.webhooks.rooms import (
    Attendee,
    Change,
    ChangeKind,
    ListedParticipant,
    RoomView,
)
from conference_async.webhooks.subscriptions import Fanout, Subscription

_LOGGER = logging.getLogger("conference_async.webhooks")
_MISSED: Final = Change(kind=ChangeKind.MISSED)
_MOST_DROPPED: Final = 10_000


class Roster:
    """The live state of rooms, and the history of everybody who was in them.

    The service keeps no history of participants, and its events come late, twice and in any
    order; this puts them in order by their sequence numbers. An event that is lost is made good
    by the next list: `seed` every room that matters now and then.

    Example::

        roster = Roster()
        receiver.listen(roster.apply)

        room = client.conferences("standup")
        await roster.seed(await room.resolve(), room.participants.list())
        async for change in roster.changes():
            ...
    """

    def __init__(
        self,
        *,
        max_rooms: int = 500,
        max_attendees: int = 1000,
        record: Callable[[str, Attendee], None] | None = None,
    ) -> None:
        """Make an empty roster.

        Args:
            max_rooms: How many rooms to hold, 1 or more. Above it the one that ended first goes;
                if none has ended, the live one that was silent for longest, which the log and a
                change of kind `ChangeKind.DROPPED` say.
            max_attendees: How many present and former participants of a room to hold, 1 or more.
                Those who left go first. A room has at most 250 participants at a time.
            record: Called with the conference SID and the participant whenever somebody's state
                changes, such as `AttendanceStore.record`; it must not block. Its errors are
                logged.

        Raises:
            ConfigurationError: A number is out of its bounds, or `record` is async.
        """
        if record:
            check_plain("record", record)
        self._max_rooms = check_count("max_rooms", max_rooms)
        self._max_attendees = check_count("max_attendees", max_attendees)
        self._record = record
        self._rooms: OrderedDict[str, RoomState] = OrderedDict()
        self._over: OrderedDict[str, None] = OrderedDict()
        self._dropped: OrderedDict[str, bool] = OrderedDict()
        """Rooms that were held once, and whether they had ended."""
        self._fanout: Fanout[Change] = Fanout()

    def __repr__(self) -> str:
        return f"<Roster of {len(self._rooms)} rooms>"

    def apply(self, event: Event) -> None:
        """Take an event; one that is of no conference changes nothing. For `Receiver.listen`."""
        if isinstance(event, ConferenceEvent) and not self._has_gone(event.conference_sid):
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
                is under way count as newer; or the participants, listed just now.

        Raises:
            ConferenceError: The list could not be had; the room is as before.
        """
        known = self._rooms.get(conference_sid)
        mark = known.latest if known else -1
        listed = await listing if isinstance(listing, Awaitable) else listing
        if not self._has_gone(conference_sid):
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
            buffer: How many changes may wait to be read, 1 or more. If more come, all of them are
                dropped and the reader gets one of kind `ChangeKind.MISSED`: slow readers keep
                nobody.
        """
        return self._fanout.subscribe(buffer)

    def _has_gone(self, conference_sid: str) -> bool:
        """Return whether a room has ended and was dropped: nothing brings it back as a live one."""
        return self._dropped.get(conference_sid, False)

    def _state(self, conference_sid: str) -> RoomState:
        state = self._rooms.get(conference_sid)
        if state is None:
            if len(self._rooms) >= self._max_rooms:
                self._drop(next(iter(self._over or self._rooms)))
            state = RoomState(conference_sid, max_attendees=self._max_attendees)
            self._rooms[conference_sid] = state
            if conference_sid in self._dropped:
                del self._dropped[conference_sid]
                self._tell([Change(kind=ChangeKind.MISSED, conference_sid=conference_sid)])
        self._rooms.move_to_end(conference_sid)
        return state

    def _drop(self, conference_sid: str) -> None:
        ended = self._rooms.pop(conference_sid).ended is not None
        self._over.pop(conference_sid, None)
        self._dropped[conference_sid] = ended
        if len(self._dropped) > _MOST_DROPPED:
            self._dropped.popitem(last=False)
        if not ended:
            _LOGGER.warning(
                "the roster holds %d live rooms and dropped one: raise max_rooms", self._max_rooms
            )
            self._tell([Change(kind=ChangeKind.DROPPED, conference_sid=conference_sid)])

    def _tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.kind is ChangeKind.ENDED and change.conference_sid:
                self._over[change.conference_sid] = None
            if (
                self._record
                and change.conference_sid
                and change.attendee
                and (failure := failure_of(self._record, change.conference_sid, change.attendee))
            ):
                log_failure(failure)
            self._fanout.send_or_replace(change, _MISSED)
