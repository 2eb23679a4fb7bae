"""Dialling somebody and waiting for them in one, with callbacks or without."""

from typing import Any, Literal

import attrs

from conference_async.conferences import ConferenceHandle
from conference_async.errors import ConfigurationError, NotAnswered
from conference_async.models import NewParticipant, Participant
from conference_async.waiting.call_view import CallView
from conference_async.waiting.goals import Waits


async def dial_and_wait(
    room: ConferenceHandle,
    new: NewParticipant,
    *,
    calls: Waits,
    timeout: float,  # noqa: ASYNC109 -- the name that every wait of the library has
    until: Literal["answered", "joined"] = "answered",
    once: str | None = None,
) -> CallView:
    """Dial somebody into a conference, and wait until they pick up.

    The callbacks that `calls` needs are added to the request, unless it has its own. What
    happens before the create's own reply is not missed. A wait that fails leaves the call as it
    is: `ConferenceHandle.participant` hangs up.

    Args:
        room: The conference.
        new: Whom to dial.
        calls: The waits: `Calls` by callbacks, or `Polling` of that conference.
        timeout: Seconds to wait once the call is placed; the pace comes on top.
        until: What to wait for. That somebody joined is an event of the conference, which is
            reported to the callback URL that its first participant was created with.
        once: The key of the intent, as for `Participants.create`. For one that was dialled before
            the wait is for the call of then.

    Raises:
        CallOver: Busy, not answered, failed, canceled.
        ConfigurationError: `until` is neither; nobody is dialled.
        NotAnswered: None of it happened in time; its `view` has the call's SID.
        ConferenceError: What `Participants.create` raises.
    """
    if until not in ("answered", "joined"):
        raise ConfigurationError(f"until must be 'answered' or 'joined', not {until!r}")
    placed = await room.participants.create(with_callbacks(room, new, calls), once=once)
    wait = calls.joined if until == "joined" else calls.answered
    try:
        return _told(await wait(placed, timeout=timeout), placed)
    except NotAnswered as late:
        if placed.call_sid:  # whoever hangs up needs it, also if no callback came
            view = late.view if isinstance(late.view, CallView) else None
            late.view = _told(view or CallView(call_sid=placed.call_sid), placed)
        raise


def with_callbacks(room: ConferenceHandle, new: NewParticipant, calls: Waits) -> NewParticipant:
    """Return a request with the callbacks that waits need, as far as it has none of its own."""
    fields: dict[str, Any] = {**calls.callbacks(new.label, conference=room.name)}
    if new.machine_detection is not None and "status_callback" in fields:
        fields["amd_status_callback"] = fields["status_callback"]
    missing = {
        name: value
        for name, value in fields.items()
        if getattr(new, name.removesuffix("_event")) is None
    }
    return attrs.evolve(new, **missing)


def _told(view: CallView, placed: Participant) -> CallView:
    """Return the call with what the create's reply says: which event does is left to chance."""
    return attrs.evolve(
        view,
        label=view.label or placed.label,
        conference_sid=placed.conference_sid or view.conference_sid,
    )
