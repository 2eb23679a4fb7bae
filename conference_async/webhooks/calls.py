"""What happens to each call, by its callbacks, and waiting for it."""

import asyncio
from collections import OrderedDict
from itertools import chain
from typing import Final
from urllib.parse import urlencode

import attrs

from conference_async.webhooks.admission import check_public_url
from conference_async.webhooks.call_events import CallEvent, MachineDetected
from conference_async.webhooks.call_view import CallView, Unknown, after, after_end
from conference_async.webhooks.events import ConferenceEnded, Event, ParticipantEvent
from conference_async.webhooks.vocabulary import EndReason
from conference_async.webhooks.waits import CallbackFields, Goal, Waits, has_come, not_in_time

_REASON_MAY_COME: Final = 5.0


class Calls(Waits):
    """Follows every call by its callbacks, and lets the application wait for what it needs.

    Example::

        receiver = Receiver(keys, public_url=URL)
        calls = Calls(URL)
        receiver.listen(calls.apply)

        await room.participants.create(
            from_=ours, to=theirs, label="alice", **calls.callbacks("alice")
        )
        await calls.answered("alice", timeout=30)

    Events that come before the wait count, and so do those that come before the create's own
    reply. A call's own events carry no label: `callbacks` puts it into the URL's query. Without
    that, wait by Call SID, or ask for conference events, which carry both. Of several calls with
    one label the newest is meant; `within` tells conferences apart.

    A create whose outcome is unknown was placed if `call` finds its label.
    """

    def __init__(self, url: str, *, remember: int = 10_000, keep: float = 3600.0) -> None:
        """Make it; no I/O, and no event loop is needed yet.

        Args:
            url: The public URL of the receiver, without query or fragment.
            remember: How many calls to remember, 1 or more; above it those that are over go first.
            keep: Seconds for which a call that is over is remembered.

        Raises:
            ConfigurationError: The URL is not absolute, or has a query or fragment.
        """
        self._url = check_public_url(url)
        self._remember = remember
        self._keep = keep
        self._views: OrderedDict[str, CallView] = OrderedDict()
        self._over: OrderedDict[str, float] = OrderedDict()
        self._labelled: dict[str, dict[str, None]] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def __repr__(self) -> str:
        return f"<Calls: {len(self._views)} known, {len(self._over)} of them over>"

    def callbacks(
        self, label: str | None = None, *, conference: str | None = None
    ) -> CallbackFields:
        """Return the fields of a create that have it told of here; see `Waits.callbacks`."""
        named = {"label": label, "conference": conference}
        query = urlencode({name: value for name, value in named.items() if value is not None})
        return {
            "status_callback": f"{self._url}?{query}" if query else self._url,
            "status_callback_event": "initiated ringing answered completed",
            "conference_status_callback": self._url,
            "conference_status_callback_event": (
                "start end join leave mute hold modify speaker announcement"
            ),
        }

    def call(self, who: str, *, conference: str | None = None) -> CallView | None:
        """Return a call as it stands, by Call SID or label; None if nothing is known of it."""
        if who in self._views:
            return self._views[who]
        for call_sid in reversed(self._labelled.get(who, {})):
            view = self._views[call_sid]
            if conference in {None, view.conference_sid, view.conference_name}:
                return view
        return None

    def within(self, conference: str) -> Waits:
        """Return the waits for the labels of one conference, by its SID or friendly name."""
        return _Within(self, conference)

    def apply(self, event: Event) -> None:
        """Take an event; one that is of no call changes nothing. For `Receiver.listen`."""
        now = asyncio.get_running_loop().time()
        while self._over and next(iter(self._over.values())) <= now - self._keep:
            self._forget(next(iter(self._over)))
        if isinstance(event, ConferenceEnded):
            for view in list(self._views.values()):
                if view.conference_sid == event.conference_sid:
                    self._take(after_end(view, event), now)
        elif isinstance(event, CallEvent | MachineDetected | ParticipantEvent):
            known = self._views.get(event.call_sid) or CallView(call_sid=event.call_sid)
            self._take(after(known, event), now)
            self._views.move_to_end(event.call_sid)
            if len(self._views) > self._remember:
                others = (sid for sid in chain(self._over, self._views) if sid != event.call_sid)
                self._forget(next(others))

    async def wait(
        self, who: str, goal: Goal, seconds: float, *, conference: str | None = None
    ) -> CallView:
        """Return the call once it has come to the goal; see the methods of `Waits`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            until = deadline
            view = self.call(who, conference=conference)
            if goal is Goal.LEFT and view and view.over:
                if view.left and not isinstance(view.reason, EndReason | None):
                    return view
                # The event with the reason may still be on its way: each is a request of its own.
                until = min(deadline, self._over[view.call_sid] + _REASON_MAY_COME)
                view = attrs.evolve(view, left=True, reason=view.reason or Unknown.UNKNOWN)
            elif view and has_come(view, goal):
                return view
            try:
                await self._news(who, until)
            except TimeoutError:
                if goal is Goal.LEFT and view and view.left:
                    return view
                raise not_in_time(who, goal, seconds, view) from None

    async def _until(self, who: str, goal: Goal, seconds: float) -> CallView:
        return await self.wait(who, goal, seconds)

    async def _news(self, who: str, until: float) -> None:
        news = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(who, set())
        waiting.add(news)
        try:
            async with asyncio.timeout_at(until):
                await news
        finally:
            waiting.discard(news)
            if not waiting:
                self._waiting.pop(who, None)

    def _take(self, view: CallView, now: float) -> None:
        self._views[view.call_sid] = view
        if view.over:
            self._over.setdefault(view.call_sid, now)
        if view.label:
            self._labelled.setdefault(view.label, {}).setdefault(view.call_sid)
        for key in (view.call_sid, view.label):
            for news in self._waiting.get(key or "", ()):
                if not news.done():
                    news.set_result(None)

    def _forget(self, call_sid: str) -> None:
        view = self._views.pop(call_sid)
        self._over.pop(call_sid, None)
        if view.label:
            labelled = self._labelled[view.label]
            del labelled[call_sid]
            if not labelled:
                del self._labelled[view.label]


@attrs.frozen
class _Within(Waits):
    _calls: Calls
    _conference: str

    def callbacks(
        self, label: str | None = None, *, conference: str | None = None
    ) -> CallbackFields:
        return self._calls.callbacks(label, conference=conference or self._conference)

    async def _until(self, who: str, goal: Goal, seconds: float) -> CallView:
        return await self._calls.wait(who, goal, seconds, conference=self._conference)
