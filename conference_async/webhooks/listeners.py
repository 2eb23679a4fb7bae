"""The application's side of a receiver: what hears events, and what becomes of its failures."""

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from conference_async.bounds import check_seconds
from conference_async.plain_functions import check_callable, check_plain, failure_of, finished
from conference_async.privacy import mask, printable
from conference_async.webhooks.events import Event
from conference_async.webhooks.subscriptions import Fanout, Subscription

_LOGGER = logging.getLogger("conference_async.webhooks")


class Heard(Protocol):
    """One callback, as telemetry watches it from its arrival to its answer."""

    def is_of(self, event: Event) -> None:
        """Take note of the event that it reports, which is believed."""
        ...

    def answered(self, status: int) -> None:
        """Take note of its end."""
        ...


class CallbackObserver(Protocol):
    """Watches a receiver; `conference_async.telemetry.Telemetry` does."""

    def callback(self) -> Heard:
        """Note that a callback has arrived, which the running task is at."""
        ...


class Listeners:
    """Hands each event to every function that listens and to every reader with a buffer."""

    def __init__(self) -> None:
        self._functions: dict[object, Callable[[Event], None]] = {}
        self._fanout: Fanout[Event] = Fanout(unread=_log_unread)

    def listen(self, function: Callable[[Event], None]) -> Callable[[], None]:
        """Call `function` with every event; see `Receiver.listen`."""
        check_plain(
            "listen", function, instead="hand it to subscribe, which awaits it with every event"
        )
        key = object()
        self._functions[key] = function

        def stop() -> None:
            self._functions.pop(key, None)

        return stop

    def events(self, buffer: int) -> Subscription[Event]:
        """Return an iterator over the events from now on; see `Receiver.events`."""
        return self._fanout.subscribe(buffer)

    @asynccontextmanager
    async def subscribe(
        self, callback: Callable[[Event], Awaitable[object]], *, buffer: int, grace: float
    ) -> AsyncGenerator[None]:
        """Await `callback` with every event; see `Receiver.subscribe`."""
        check_callable("subscribe", callback)
        check_seconds("grace", grace)
        events = self.events(buffer)
        delivery = asyncio.create_task(_deliver(events, callback))
        try:
            yield
        finally:
            events.close()
            try:
                await asyncio.wait([delivery], timeout=grace)
            finally:
                delivery.cancel()
            await asyncio.wait([delivery])

    async def room(self, patience: float) -> bool:
        """Return whether there is room at every reader, after at most `patience` seconds."""
        return await self._fanout.room(patience)

    def hand_on(self, event: Event) -> None:
        """Call every function, then add the event to every buffer, where there is room for it."""
        for function in tuple(self._functions.values()):
            if failure := failure_of(function, event):
                log_failure(failure)
        self._fanout.send(event)

    def close(self) -> None:
        """End every reader's iteration once it has read what is there."""
        self._fanout.close()


async def _deliver(
    events: Subscription[Event], callback: Callable[[Event], Awaitable[object]]
) -> None:
    # The end of the subscription cancels this task; a callback that passes on that something
    # else was cancelled has only failed.
    task = asyncio.current_task()
    async for event in events:
        try:
            await finished(callback(event))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the application's, and the next event may pass
            ends = task is not None and task.cancelling() > 0
            if not (ends and isinstance(error, asyncio.CancelledError)):
                log_failure(error)
            if ends:
                _log_unread((event, *events.drain()))
                return


def _log_unread(events: Sequence[Event]) -> None:
    kinds = Counter(event.kind or "unknown" for event in events)
    counted = ", ".join(f"{number} {printable(kind)}" for kind, number in kinds.items())
    _LOGGER.warning("acknowledged events were cut off (%d): %s", len(events), counted)


def log_failure(error: BaseException) -> None:
    """Say that the application failed on an event, without a number in it."""
    report = mask("".join(traceback.format_exception(error)))
    lines = "\n".join(printable(line) for line in report.split("\n"))
    _LOGGER.error("the application failed on an event\n%s", lines)
