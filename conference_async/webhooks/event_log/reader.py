"""One process's reading of a shared log: for its listeners, and for its groups."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack

from conference_async.errors import ConfigurationError
from conference_async.home import Home
from conference_async.webhooks.event_log.shared import SharedEvents
from conference_async.webhooks.events import Event
from conference_async.webhooks.listeners import Listeners

_PATIENCE = 60.0
_BREATH = 50
"""Events after which everything else has its turn: the past comes hundreds at a time."""

_log = logging.getLogger("conference_async.webhooks")


class LogReader:
    """Hands what is in a log to listeners, in its order, and to the handlers of groups.

    Args:
        log: What to read.
        listeners: Who hears every event. While one of them is full, reading waits.
    """

    def __init__(self, log: SharedEvents, listeners: Listeners) -> None:
        self._log = log
        self._listeners = listeners
        self._home = Home()
        self._handlers: dict[str, Callable[[Event], Awaitable[object]]] = {}
        self._following: asyncio.Task[None] | None = None
        self._handling: dict[str, asyncio.Task[None]] = {}
        self._up_to_date = asyncio.Event()

    async def append(self, event: Event, keys: Sequence[str]) -> bool:
        """Append an event to the log that is read here; see `SharedEvents.append`."""
        self.start()
        return await self._log.append(event, keys)

    def join(self, group: str, handler: Callable[[Event], Awaitable[object]]) -> Callable[[], None]:
        """Await `handler` with the events that fall to this process in a group.

        Returns:
            A function that leaves the group.

        Raises:
            ConfigurationError: This process is in the group already.
        """
        if group in self._handlers:
            raise ConfigurationError(f"this receiver has a handler for the group {group!r} already")
        self._handlers[group] = handler
        if self._following is not None:
            self._handling[group] = _run(self._log.handle(group, handler))

        leaving = ExitStack()  # which ends once: another handler may have joined since
        leaving.callback(self._leave, group)
        return leaving.close

    def _leave(self, group: str) -> None:
        del self._handlers[group]
        if task := self._handling.pop(group, None):
            task.cancel()

    def start(self) -> None:
        """Read, in the running loop, until `stop`."""
        if self._home.settle("make one for each loop", what="receiver"):
            self._following, self._up_to_date = None, asyncio.Event()
        if self._following is None:
            self._following = _run(self._follow())
            self._handling = {
                group: _run(self._log.handle(group, handler))
                for group, handler in self._handlers.items()
            }

    async def up_to_date(self) -> None:
        """Wait until everything is handed on that was in the log when reading began.

        Raises:
            ConfigurationError: The log can never be read.
        """
        self.start()
        following = self._following
        assert following is not None  # noqa: S101 -- started above
        waiting = asyncio.create_task(self._up_to_date.wait())
        try:
            await asyncio.wait([waiting, following], return_when=asyncio.FIRST_COMPLETED)
            if following.done() and not following.cancelled():  # as it is where reading is stopped
                following.result()
        finally:
            waiting.cancel()

    async def stop(self) -> None:
        """Stop reading; events that a handler of a group is at come again elsewhere."""
        if self._following is None or not self._home.here:
            return
        tasks = [self._following, *self._handling.values()]
        self._following, self._handling = None, {}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _follow(self) -> None:
        async for batch in self._log.follow():
            for number, event in enumerate(batch.events, 1):
                if number % _BREATH == 0:
                    await asyncio.sleep(0)
                while not await self._listeners.room(_PATIENCE):
                    _log.warning("the application is slow: reading the log of events waits")
                self._listeners.hand_on(event)
            if batch.up_to_date:
                self._up_to_date.set()


def _run(work: Coroutine[object, object, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    task.add_done_callback(_note_failure)
    return task


def _note_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the log of events cannot be read: %s", error)
