"""Each call, followed by its callbacks, and waiting for what happens to it."""

import asyncio
import secrets
from collections import OrderedDict
from typing import Final, TypeVar
from urllib.parse import urlencode

import attrs

from conference_async.bounds import check_count, check_seconds
from conference_async.models import is_call_sid
from conference_async.time_limits import time_limit_at
from conference_async.waiting.call_index import CallIndex, Name, by_conference, by_create, by_label
from conference_async.waiting.call_view import CallView, Unknown, after, after_end
from conference_async.waiting.goals import (
    CallbackFields,
    Called,
    Goal,
    Mark,
    Waits,
    has_come,
    is_decided,
    name_of,
    not_in_time,
)
from conference_async.webhooks.admission import check_public_url
from conference_async.webhooks.call_events import CallEvent, MachineDetected
from conference_async.webhooks.events import ConferenceEnded, Event, ParticipantEvent
from conference_async.webhooks.states import EndReason

T = TypeVar("T")

_REASON_MAY_COME: Final = 5.0
_SHARED: Final = "and, where several processes run, that they share them: Receiver(events=...)"
_NOTHING_CAME: Final = (
    "no callback has reached this process: see that the service can reach the callback URL, that "
    f"its receiver has Calls.apply for a listener, {_SHARED}"
)
_NOTHING_OF_IT_CAME: Final = (
    "of its callbacks none has reached this process, while those of others have: see that it was "
    f"created with the fields of Calls.labelled, {_SHARED}"
)
_NOTHING_OF_THE_CONFERENCE_CAME: Final = (
    "of its conference no callback has reached this process: a conference reports to the URL that "
    "its first participant was created with, so give all of them the fields of Calls.labelled"
)
_ANY: Final = ""
"""In place of a conference's name, which is never empty: whatever conference it is."""


class Calls(Waits):
    """Follows every call by its callbacks, and lets the application wait for what it needs.

    Example::

        receiver = Receiver(keys, public_url=URL)
        calls = Calls(URL)
        receiver.listen(calls.apply)

        alice = await room.participants.create(from_=ours, to=theirs, **calls.labelled("alice"))
        await calls.answered(alice, timeout=30)

    Events that come before the wait count, and so do those that come before the create's own
    reply. A call's own events carry no label: `callbacks` puts it into the URL's query, together
    with a name for the create that is about to be made. A label therefore means the call of the
    create that `callbacks` or `labelled` was last asked for, also if an earlier call had the same
    label: call one of them once for each create, and name the conference where one label is used
    in several at once (`within` waits for that one's). A label that neither was asked for means
    the newest call that carries it, or the next one if there is none yet.

    A create whose outcome is unknown was placed if `call` finds its label.
    """

    def __init__(self, url: str, *, remember: int = 10_000, keep: float = 3600.0) -> None:
        """Make it; no I/O, and no event loop is needed yet.

        Args:
            url: The public URL of the receiver, without query or fragment.
            remember: How many calls to remember, 1 or more; above it those that are over go first.
            keep: Seconds for which a call that is over is remembered, 0 or more.

        Raises:
            ConfigurationError: The URL is not absolute, or has a query or fragment; or a number
                is out of its bounds.
        """
        self._url = check_public_url(url)
        self._remember = check_count("remember", remember)
        self._index = CallIndex(remember=remember, keep=check_seconds("keep", keep))
        # Other processes have callbacks of their own at the same URL.
        self._own = secrets.token_hex(4)
        self._made = 0
        self._heard = False
        self._creates: OrderedDict[tuple[str, str | None], str] = OrderedDict()
        self._unbound: dict[Name, dict[asyncio.Future[str], int]] = {}
        self._waiting: dict[str, dict[Goal, set[asyncio.Future[None]]]] = {}

    def __repr__(self) -> str:
        return f"<Calls: {self._index!r}>"

    def callbacks(
        self, label: str | None = None, *, conference: str | None = None
    ) -> CallbackFields:
        """Return the fields of a create that have it reported here; see `Waits.callbacks`."""
        create = None if label is None else self._new_create(label, conference)
        named = {"label": label, "conference": conference, "create": create}
        query = urlencode({name: value for name, value in named.items() if value is not None})
        return {
            "status_callback": f"{self._url}?{query}" if query else self._url,
            "status_callback_event": "initiated ringing answered completed",
            "conference_status_callback": self._url,
            "conference_status_callback_event": (
                "start end join leave mute hold modify speaker announcement"
            ),
        }

    def _new_create(self, label: str, conference: str | None) -> str:
        self._made += 1
        create = f"{self._own}-{self._made}"
        for key in ((label, conference), (label, _ANY)):
            self._creates[key] = create
            self._creates.move_to_end(key)
        while len(self._creates) > 2 * self._remember:
            self._creates.popitem(last=False)
        return create

    def mark(self) -> Mark:
        """Return the present point: a wait ``since`` it means a call that came after it."""
        return Mark(self._index.births)

    def call(self, who: Called, *, conference: str | None = None) -> CallView | None:
        """Return a call as it stands; None if nothing is known of it.

        Args:
            who: A Call SID or label, or what the create returned.
            conference: The conference, by SID or friendly name, if the label is that one's.
        """
        name = name_of(who)
        call_sid = name if is_call_sid(name) else self._index.newest(self._meant(name, conference))
        return self._index.get(call_sid) if call_sid else None

    def within(self, conference: str) -> Waits:
        """Return the waits for the labels of one conference, by its SID or friendly name."""
        return _Within(self, conference)

    def apply(self, event: Event) -> None:
        """Take an event; one that is of no call changes nothing. For `Receiver.listen`."""
        self._heard = True
        now = asyncio.get_running_loop().time()
        self._index.forget_late(now)
        if isinstance(event, ConferenceEnded):
            for call_sid in self._index.all_of(by_conference(event.conference_sid)):
                view = self._index.get(call_sid)
                if view and view.conference_sid == event.conference_sid:
                    self._take(after_end(view, event), None, now)
        elif isinstance(event, CallEvent | MachineDetected | ParticipantEvent):
            own = isinstance(event, CallEvent | MachineDetected)
            known = self._index.get(event.call_sid) or CallView(call_sid=event.call_sid)
            self._take(after(known, event), event.extra.get("create") if own else None, now)

    async def wait(
        self,
        who: Called,
        goal: Goal,
        seconds: float,
        since: Mark | None,
        *,
        conference: str | None = None,
    ) -> CallView:
        """Return the call once it has come to the goal; see the methods of `Waits`."""
        deadline = asyncio.get_running_loop().time() + check_seconds("timeout", seconds)
        name = name_of(who)
        try:
            call_sid = await self._found(name, conference, since, deadline)
        except TimeoutError:
            raise not_in_time(name, goal, seconds, None, self._why(None, goal)) from None
        while True:
            until = deadline
            view = self._index.get(call_sid)
            if goal is Goal.LEFT and view and view.over:
                if view.left and not isinstance(view.reason, EndReason | None):
                    return view
                # The event with the reason may still be on its way: each is a request of its own.
                until = min(deadline, self._index.over_since(call_sid) + _REASON_MAY_COME)
                view = attrs.evolve(view, left=True, reason=view.reason or Unknown.UNKNOWN)
            elif view and has_come(view, goal):
                return view
            try:
                await self._news(call_sid, goal, until)
            except TimeoutError:
                if goal is Goal.LEFT and view and view.left:
                    return view
                view = self._index.get(call_sid)
                raise not_in_time(name, goal, seconds, view, self._why(view, goal)) from None

    async def _until(self, who: Called, goal: Goal, seconds: float, since: Mark | None) -> CallView:
        return await self.wait(who, goal, seconds, since)

    def _why(self, view: CallView | None, goal: Goal) -> str:
        """Return why not more is known of a call, and what to do about it; empty if enough is."""
        if not self._heard:
            return _NOTHING_CAME
        if view is None:
            return _NOTHING_OF_IT_CAME
        if goal in {Goal.JOINED, Goal.LEFT} and view.conference_sid is None and not view.over:
            return _NOTHING_OF_THE_CONFERENCE_CAME
        return ""

    def _meant(self, label: str, conference: str | None) -> Name:
        """Return the name of the call that a label means now."""
        if conference is None:
            create = self._creates.get((label, _ANY))
        else:
            create = self._creates.get((label, conference)) or self._creates.get((label, None))
        return by_create(create) if create else by_label(label, conference)

    async def _found(
        self, who: str, conference: str | None, since: Mark | None, until: float
    ) -> str:
        """Return the Call SID of the call that is waited for, once there is one."""
        if is_call_sid(who):
            return who
        if since is None:
            name, birth = self._meant(who, conference), -1
            call_sid = self._index.newest(name)
        else:
            name, birth = by_label(who, conference), since.births
            call_sid = self._index.first_after(name, birth)
        if call_sid:
            return call_sid
        found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        unbound = self._unbound.setdefault(name, {})
        unbound[found] = birth
        try:
            async with time_limit_at(until):
                return await found
        finally:
            del unbound[found]
            if not unbound:
                del self._unbound[name]

    async def _news(self, call_sid: str, goal: Goal, until: float) -> None:
        """Return when an event has decided whether the call comes to the goal."""
        news = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(call_sid, {})
        waiting.setdefault(goal, set()).add(news)
        try:
            async with time_limit_at(until):
                await news
        finally:
            waiting[goal].discard(news)
            if not waiting[goal]:
                del waiting[goal]
            if not waiting:
                del self._waiting[call_sid]

    def _take(self, view: CallView, create: str | None, now: float) -> None:
        """Keep what a call has become; an event wakes those only whom it concerns.

        A wait by name belongs to no call before there is one, and to one for good from then on;
        so no event costs more than the waits that it ends, or gives their call.
        """
        call_sid = view.call_sid
        for name in self._index.put(view, create, now):
            unbound = self._unbound.get(name, {})
            for found, birth in tuple(unbound.items()):
                if birth < self._index.born(call_sid):
                    _settle(found, call_sid)
        waiting = self._waiting.get(call_sid, {})
        for goal in tuple(waiting):
            if is_decided(view, goal):
                for news in waiting[goal]:
                    _settle(news, None)


def _settle(waiting: asyncio.Future[T], result: T) -> None:
    # One whose loop was closed under it has nobody waiting.
    if not waiting.done() and not waiting.get_loop().is_closed():
        waiting.set_result(result)


@attrs.frozen
class _Within(Waits):
    _calls: Calls
    _conference: str

    def callbacks(
        self, label: str | None = None, *, conference: str | None = None
    ) -> CallbackFields:
        return self._calls.callbacks(label, conference=conference or self._conference)

    def mark(self) -> Mark:
        return self._calls.mark()

    async def _until(self, who: Called, goal: Goal, seconds: float, since: Mark | None) -> CallView:
        return await self._calls.wait(who, goal, seconds, since, conference=self._conference)
