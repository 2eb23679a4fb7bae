"""Rooms and the people in them, as values of one instant."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

import attrs

from conference_async.privacy import mask
from conference_async.webhooks.states import CallStatus, EndReason, LeaveReason


def _masked(name: str | None) -> str:
    return mask(repr(name))


@attrs.frozen(kw_only=True)
class Attendee:
    """Somebody who is or was in a room."""

    call_sid: str
    """The call, ``CA…``."""

    label: str | None = attrs.field(default=None, repr=_masked)
    """The participant's label."""

    present: bool = True
    """Whether the participant is in the room now."""

    muted: bool | None = None
    """Whether nobody hears the participant."""

    hold: bool | None = None
    """Whether the participant is on hold."""

    coaching: bool | None = None
    """Whether the participant is heard by one other participant only."""

    speaking: bool | None = None
    """Whether the participant speaks; None if no speech event said so."""

    end_conference_on_exit: bool | None = None
    """Whether the conference ends when the participant leaves."""

    start_conference_on_enter: bool | None = None
    """Whether the participant's joining starts the conference."""

    joined_at: datetime | None = None
    """The instant of coming in, in UTC; None if no event said it, or it never happened."""

    left_at: datetime | None = None
    """The instant of leaving, in UTC; None while present, or if no event said it."""

    reason: LeaveReason | str | None = None
    """The reason for leaving; ``participant_add_failed`` for one who never came in."""

    call_status: CallStatus | str | None = None
    """The state of the call when the participant left."""


@attrs.frozen(kw_only=True)
class RoomView:
    """A room at one instant."""

    conference_sid: str
    """The conference, ``CF…``."""

    friendly_name: str | None = attrs.field(repr=_masked)
    """The conference's name."""

    started_at: datetime | None
    """The instant of its start, in UTC; None if no event said it."""

    ended: bool
    """Whether it is over."""

    ended_at: datetime | None
    """The instant of its end, in UTC."""

    end_reason: EndReason | str | None
    """The reason for its end."""

    history: tuple[Attendee, ...]
    """Everybody who is or was in, in the order of the first sign of them."""

    @property
    def participants(self) -> tuple[Attendee, ...]:
        """The participants who are in now."""
        return tuple(attendee for attendee in self.history if attendee.present)


class ChangeKind(StrEnum):
    """The kinds of change."""

    JOINED = "joined"
    """Somebody came in."""

    LEFT = "left"
    """Somebody is out, or was added and never came in."""

    UPDATED = "updated"
    """Something else about somebody is different."""

    STARTED = "started"
    """The conference started."""

    ENDED = "ended"
    """The conference is over; a change per participant comes before this one."""

    DROPPED = "dropped"
    """Too much is alive at once: the room, or the participant, is not held any more, although
    nothing ended. A room comes back with its next event or list."""

    MISSED = "missed"
    """Changes are missing: the reader was too slow, or the room was dropped and comes back with
    part of its people. Look at the rooms, or `Roster.seed` the one that is named."""


@attrs.frozen(kw_only=True)
class Change:
    """One difference to a room."""

    kind: ChangeKind
    """The kind of the change."""

    conference_sid: str | None = None
    """The room, ``CF…``; None where changes of any room may be missing."""

    attendee: Attendee | None = None
    """The participant after the change; None for changes of the room itself."""


class ListedParticipant(Protocol):
    """A participant as a list has it; the client's participants are of this shape."""

    @property
    def call_sid(self) -> str | None:
        """The call, ``CA…``."""

    @property
    def status(self) -> str | None:
        """The state of the participant: in the room unless queued, connecting, ringing or over."""

    @property
    def label(self) -> str | None:
        """The participant's label."""

    @property
    def muted(self) -> bool | None:
        """Whether nobody hears the participant."""

    @property
    def hold(self) -> bool | None:
        """Whether the participant is on hold."""

    @property
    def coaching(self) -> bool | None:
        """Whether the participant is heard by one other participant only."""

    @property
    def end_conference_on_exit(self) -> bool | None:
        """Whether the conference ends when the participant leaves."""

    @property
    def start_conference_on_enter(self) -> bool | None:
        """Whether the participant's joining starts the conference."""
