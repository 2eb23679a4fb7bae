"""Dialling somebody and waiting for them, with callbacks or without."""

import asyncio
from typing import Any, Final, Literal

import attrs

from conference_async.conferences import ConferenceHandle
from conference_async.errors import ConfigurationError, NotFound
from conference_async.models import NewParticipant, ParticipantStatus, is_call_sid
from conference_async.webhooks.call_view import CallView, Unknown
from conference_async.webhooks.vocabulary import CallStatus
from conference_async.webhooks.waits import CallbackFields, Goal, Waits, has_come, not_in_time

_ON_THE_WAY: Final[dict[str, CallStatus]] = {
    ParticipantStatus.QUEUED: CallStatus.QUEUED,
    ParticipantStatus.CONNECTING: CallStatus.INITIATED,
    ParticipantStatus.RINGING: CallStatus.RINGING,
}
_GONE: Final = {ParticipantStatus.COMPLETE, ParticipantStatus.FAILED}


async def dial_and_wait(
    room: ConferenceHandle,
    new: NewParticipant,
    *,
    calls: Waits,
    timeout: float,  # noqa: ASYNC109 -- the name that every wait of the library has
    until: Literal["answered", "joined"] = "answered",
) -> CallView:
    """Dial somebody into a conference, and wait until they pick up.

    The callbacks that `calls` needs are added to the request, unless it has its own. What
    happens before the create's own reply is not missed. A wait that fails leaves the call as it
    is: `ConferenceHandle.participant` hangs up.

    Args:
        room: The conference.
        new: Whom to dial.
        calls: What tells: `Calls` by callbacks, or `Polling` of that conference.
        timeout: Seconds to wait once the call is placed; the pace comes on top.
        until: What to wait for. That somebody joined is an event of the conference, which is
            told to the callback URL that its first participant was created with.

    Raises:
        CallOver: Busy, not answered, failed, canceled.
        RequestTimeout: None of it happened in time.
        ConferenceError: What `Participants.create` raises.
    """
    missing: dict[str, Any] = {
        name: value
        for name, value in calls.callbacks(new.label, conference=room.name).items()
        if getattr(new, name.removesuffix("_event")) is None
    }
    placed = await room.participants.create(attrs.evolve(new, **missing))
    wait = calls.joined if until == "joined" else calls.answered
    return await wait(placed.call_sid or placed.label or "", timeout=timeout)


class Polling(Waits):
    """Waits by asking again and again, for one conference: no public URL is needed.

    Example::

        await Polling(room).answered("alice", timeout=30)

    It sees less than callbacks tell. Whoever is in the conference was answered and has joined.
    Who is gone is gone: whether the line was busy, nobody answered or somebody hung up cannot be
    seen, so status and reason are then `Unknown.UNKNOWN`. One who comes and goes between two
    polls is only seen to be gone; one who is addressed by label and is gone before the first
    poll is not seen at all. `detected` is refused.

    Each wait sends one request every `every` seconds, through the client's concurrency.
    """

    def __init__(self, room: ConferenceHandle, *, every: float = 2.0, lag: float = 5.0) -> None:
        """Name the conference; no I/O.

        Args:
            room: The conference.
            every: Seconds between two polls of one wait; more than 0.
            lag: Seconds for which a call that was placed may not be visible yet: a Call SID that
                is not found for longer is gone.

        Raises:
            ConfigurationError: `every` is not more than 0.
        """
        if not every > 0:
            raise ConfigurationError(f"every must be more than 0 seconds, not {every!r}")
        self._room = room
        self._every = every
        self._lag = lag

    def __repr__(self) -> str:
        return f"<Polling {self._room!r} every {self._every:g} s>"

    def callbacks(
        self,
        label: str | None = None,  # noqa: ARG002 -- polling needs none
        *,
        conference: str | None = None,  # noqa: ARG002 -- polling needs none
    ) -> CallbackFields:
        """Return no fields: polling needs no callbacks."""
        return {}

    async def _until(self, who: str, goal: Goal, seconds: float) -> CallView:
        if goal is Goal.DETECTED:
            raise ConfigurationError("who picked up cannot be seen by polling; use callbacks")
        loop = asyncio.get_running_loop()
        lost_at = loop.time() + self._lag if is_call_sid(who) else float("inf")
        view: CallView | None = None
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                while True:
                    seen = await self._look(view.call_sid if view else who)
                    if seen is None and (view or loop.time() >= lost_at):
                        seen = _gone(view or CallView(call_sid=who))
                    view = seen
                    if view and has_come(view, goal):
                        return view
                    await asyncio.sleep(self._every)
        except TimeoutError:
            if not scope.expired():
                raise
            raise not_in_time(who, goal, seconds, view) from None

    async def _look(self, who: str) -> CallView | None:
        """Return the call as it is in the conference now, or None if it is not (any more)."""
        try:
            found = await self._room.participants(who).fetch()
        except NotFound:
            return None
        if found.status in _GONE:
            return None
        status = _ON_THE_WAY.get(found.status, CallStatus.IN_PROGRESS)
        inside = status is CallStatus.IN_PROGRESS
        return CallView(
            call_sid=found.call_sid or who,
            label=found.label,
            conference_sid=found.conference_sid,
            status=status,
            answered=inside,
            joined=inside,
        )


def _gone(view: CallView) -> CallView:
    """Return a call that is no longer in the conference, for all that can be seen."""
    return attrs.evolve(
        view,
        status=Unknown.UNKNOWN,
        answered=view.answered or None,
        joined=view.joined or None,
        left=True,
        reason=Unknown.UNKNOWN,
        ended=None,
    )
