"""One call as a value of one instant, and what each event adds to it."""

from enum import StrEnum

import attrs

from conference_async.disclosure import described
from conference_async.webhooks.call_events import CallEvent, MachineDetected
from conference_async.webhooks.events import (
    ConferenceEnded,
    ParticipantEvent,
    ParticipantJoined,
    ParticipantLeft,
)
from conference_async.webhooks.vocabulary import AnsweredBy, CallStatus, EndReason, LeaveReason


class Unknown(StrEnum):
    """Said in place of a status or reason that nobody told, and nobody could see."""

    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True, repr=False)
class CallView:
    """One participant's call, as far as was told or seen. Its `repr` shows no phone number.

    What was not told so far is False; None means that it cannot be known, as by polling.
    """

    call_sid: str
    """The call, ``CA…``."""

    label: str | None = None
    """The participant's label."""

    conference_sid: str | None = None
    """The conference, ``CF…``."""

    conference_name: str | None = None
    """The conference's friendly name, or what the callback URL's query calls it."""

    status: CallStatus | Unknown | str | None = None
    """How far the call has come: busy, no-answer, failed and canceled are ends without a talk."""

    answered: bool | None = False
    """Whether somebody, or something, picked up."""

    answered_by: AnsweredBy | str | None = None
    """Who picked up, where machine detection is on and has told."""

    joined: bool | None = False
    """Whether the participant came into the conference; still True after leaving it."""

    left: bool = False
    """Whether the participant is out of the conference, or was added and never came in."""

    reason: LeaveReason | EndReason | Unknown | str | None = None
    """Why the participant left, or why the conference ended if only that was told."""

    ended: bool | None = False
    """Whether the call is over. A participant may leave and the call go on elsewhere."""

    def __repr__(self) -> str:
        return described(self)

    @property
    def over(self) -> bool:
        """Whether the participant cannot come in (any more)."""
        return bool(self.left or self.ended)


_STEPS = (
    CallStatus.QUEUED,
    CallStatus.INITIATED,
    CallStatus.RINGING,
    CallStatus.IN_PROGRESS,
    CallStatus.COMPLETED,
    CallStatus.BUSY,
    CallStatus.FAILED,
    CallStatus.NO_ANSWER,
    CallStatus.CANCELED,
)
_ENDS = _STEPS[4:]


def after(view: CallView, event: CallEvent | MachineDetected | ParticipantEvent) -> CallView:
    """Return the call after an event; the order in which its events come makes no difference."""
    if isinstance(event, ParticipantEvent):
        view = attrs.evolve(
            view,
            label=view.label or event.label,
            conference_sid=event.conference_sid,
            conference_name=event.friendly_name or view.conference_name,
        )
    elif event.extra:
        # The callback URL's query is the one thing that ties a call's own events to a label.
        view = attrs.evolve(
            view,
            label=view.label or event.extra.get("label"),
            conference_name=view.conference_name or event.extra.get("conference"),
        )
    match event:
        case ParticipantLeft():
            reason = event.reason or view.reason or Unknown.UNKNOWN
            view = _at(attrs.evolve(view, left=True, reason=reason), event.call_status)
        case ParticipantJoined():
            view = _at(attrs.evolve(view, joined=True), CallStatus.IN_PROGRESS)
        case MachineDetected():
            view = attrs.evolve(view, answered=True, answered_by=event.answered_by)
        case CallEvent():
            view = attrs.evolve(view, answered_by=view.answered_by or event.answered_by)
            view = _at(view, event.status)
        case _:
            pass
    return view


def after_end(view: CallView, event: ConferenceEnded) -> CallView:
    """Return the call of a participant after the end of the conference."""
    return view if view.left else attrs.evolve(view, left=True, reason=event.reason)


def _at(view: CallView, status: CallStatus | str | None) -> CallView:
    """Return the call that is known to have come as far as `status`."""
    if status not in _STEPS:
        return view
    step = _STEPS.index(CallStatus(status))
    if view.status not in _STEPS or step > _STEPS.index(CallStatus(view.status)):
        view = attrs.evolve(view, status=status)
    talked = status in {CallStatus.IN_PROGRESS, CallStatus.COMPLETED}
    return attrs.evolve(view, answered=view.answered or talked, ended=view.ended or status in _ENDS)
