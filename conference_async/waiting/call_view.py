"""One call as a value of one instant, and the change that each event makes to it."""

from enum import StrEnum
from typing import Any, Final

import attrs

from conference_async.privacy import described
from conference_async.webhooks.call_events import CallEvent, MachineDetected
from conference_async.webhooks.events import (
    ConferenceEnded,
    ParticipantEvent,
    ParticipantJoined,
    ParticipantLeft,
)
from conference_async.webhooks.states import AnsweredBy, CallStatus, EndReason, LeaveReason


class Unknown(StrEnum):
    """Stands in place of a status or reason that no event said, and nobody could see."""

    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True, repr=False)
class CallView:
    """One participant's call, as far as it is known. Its `repr` shows no phone number.

    What no event has said so far is False; None means that it cannot be known, as by polling.
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
    """The state of the call: busy, no-answer, failed and canceled are ends without a talk."""

    answered: bool | None = False
    """Whether somebody, or something, picked up."""

    answered_by: AnsweredBy | str | None = None
    """The one that picked up, where machine detection is on and has come to a result."""

    joined: bool | None = False
    """Whether the participant came into the conference; still True after leaving it."""

    left: bool = False
    """Whether the participant is out of the conference, or was added and never came in."""

    reason: LeaveReason | EndReason | Unknown | str | None = None
    """The reason for leaving, or for the conference's end if only that is known."""

    ended: bool | None = False
    """Whether the call is over. A participant may leave and the call go on elsewhere."""

    def __repr__(self) -> str:
        return described(self)

    @property
    def over(self) -> bool:
        """Whether the participant cannot come in (any more)."""
        return bool(self.left or self.ended)


_STEPS: Final[dict[str | None, int]] = {
    CallStatus.QUEUED: 0,
    CallStatus.INITIATED: 1,
    CallStatus.RINGING: 2,
    CallStatus.IN_PROGRESS: 3,
    CallStatus.COMPLETED: 4,
    CallStatus.BUSY: 4,
    CallStatus.FAILED: 4,
    CallStatus.NO_ANSWER: 4,
    CallStatus.CANCELED: 4,
}
_TALKED: Final = {CallStatus.IN_PROGRESS, CallStatus.COMPLETED}
_END: Final = 4


def after(view: CallView, event: CallEvent | MachineDetected | ParticipantEvent) -> CallView:
    """Return the call after an event; the order in which its events come makes no difference."""
    changes: dict[str, Any] = {}
    if isinstance(event, ParticipantEvent):
        changes["label"] = view.label or event.label
        changes["conference_sid"] = event.conference_sid
        changes["conference_name"] = event.friendly_name or view.conference_name
    elif event.extra:
        # The callback URL's query is the one thing that ties a call's own events to a label.
        changes["label"] = view.label or event.extra.get("label")
        changes["conference_name"] = view.conference_name or event.extra.get("conference")
    match event:
        case ParticipantLeft():
            changes["left"] = True
            changes["reason"] = event.reason or view.reason or Unknown.UNKNOWN
            changes |= _progress(view, event.call_status)
        case ParticipantJoined():
            changes["joined"] = True
            changes |= _progress(view, CallStatus.IN_PROGRESS)
        case MachineDetected():
            changes |= {"answered": True, "answered_by": event.answered_by}
        case CallEvent():
            changes["answered_by"] = view.answered_by or event.answered_by
            changes |= _progress(view, event.status)
        case _:
            pass
    return attrs.evolve(view, **changes)


def after_end(view: CallView, event: ConferenceEnded) -> CallView:
    """Return the call of a participant after the end of the conference."""
    return view if view.left else attrs.evolve(view, left=True, reason=event.reason)


def _progress(view: CallView, status: CallStatus | str | None) -> dict[str, Any]:
    """Return what is new in a call that is known to have come as far as `status`."""
    step = _STEPS.get(status, -1)
    return {
        "status": status if step > _STEPS.get(view.status, -1) else view.status,
        "answered": view.answered or status in _TALKED,
        "ended": view.ended or step == _END,
    }
