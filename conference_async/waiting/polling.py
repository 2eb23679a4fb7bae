"""Waiting by asking again and again, where nobody calls back."""

import asyncio
from typing import Final

import attrs

from conference_async.bounds import check_seconds
from conference_async.conferences import ConferenceHandle
from conference_async.errors import NotFound
from conference_async.models import ParticipantStatus, is_call_sid
from conference_async.models.vocabulary import UNKNOWN
from conference_async.time_limits import time_limit
from conference_async.waiting.call_view import CallView, Unknown
from conference_async.waiting.goals import (
    CallbackFields,
    Called,
    Goal,
    Mark,
    Waits,
    has_come,
    name_of,
    not_in_time,
)
from conference_async.webhooks.states import CallStatus

_ON_THE_WAY: Final[dict[str, CallStatus]] = {
    ParticipantStatus.QUEUED: CallStatus.QUEUED,
    ParticipantStatus.CONNECTING: CallStatus.INITIATED,
    ParticipantStatus.RINGING: CallStatus.RINGING,
    UNKNOWN: CallStatus.INITIATED,  # a reply that says no status says nothing about an answer
}
_GONE: Final = {ParticipantStatus.COMPLETE, ParticipantStatus.FAILED}


class Polling(Waits):
    """Waits by asking again and again, for one conference: no public URL is needed.

    Example::

        await Polling(room).answered("alice", timeout=30)

    It sees less than callbacks report. Whoever is in the conference was answered and has joined.
    Who is gone is gone: whether the line was busy, nobody answered or somebody hung up cannot be
    seen, so status and reason are then `Unknown.UNKNOWN`. One who comes and goes between two
    polls is only seen to be gone; one who is addressed by label and is gone before the first
    poll is not seen at all. `detected` asks the account's call log, too.

    Each wait sends one request every `every` seconds, through the client's concurrency;
    `detected` sends two once somebody has picked up.
    """

    def __init__(self, room: ConferenceHandle, *, every: float = 2.0, lag: float = 5.0) -> None:
        """Name the conference; no I/O.

        Args:
            room: The conference.
            every: Seconds between two polls of one wait; more than 0.
            lag: Seconds for which a call that was placed may not be visible yet: a Call SID that
                is not found for longer is gone. 0 or more.

        Raises:
            ConfigurationError: One of them is no such time.
        """
        self._room = room
        self._every = check_seconds("every", every, zero=False)
        self._lag = check_seconds("lag", lag)

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

    def mark(self) -> Mark:
        """Return a point: the list has only calls that go on, so every wait means one of those."""
        return Mark(0)

    async def _until(
        self,
        who: Called,
        goal: Goal,
        seconds: float,
        since: Mark | None,  # noqa: ARG002 -- see `mark`
    ) -> CallView:
        check_seconds("timeout", seconds)
        who = name_of(who)
        loop = asyncio.get_running_loop()
        lost_at = loop.time() + self._lag if is_call_sid(who) else float("inf")
        view: CallView | None = None
        scope = time_limit(seconds)
        try:
            async with scope:
                while True:
                    seen = await self._look(view.call_sid if view else who, goal)
                    if seen is None and (view or loop.time() >= lost_at):
                        seen = _gone(view or CallView(call_sid=who))
                    view = seen
                    if view and has_come(view, goal):
                        return view
                    await asyncio.sleep(self._every)
        except TimeoutError:
            if not scope.expired():
                raise
            why = "" if view else "it was not seen in the conference"
            raise not_in_time(who, goal, seconds, view, why) from None

    async def _look(self, who: str, goal: Goal) -> CallView | None:
        """Return the call as it is in the conference now, or None if it is not (any more)."""
        try:
            found = await self._room.participants(who).fetch()
            detected = (
                (await self._room.participants(found.call_sid).call()).answered_by
                if goal is Goal.DETECTED
                else None
            )
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
            answered_by=detected,
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
