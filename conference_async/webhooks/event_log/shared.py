"""The log of events that processes share, over a store: appending, following, groups."""

import asyncio
import hashlib
import itertools
import logging
import math
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

import attrs

from conference_async.backoff import Backoff
from conference_async.errors import ConfigurationError
from conference_async.home import Home
from conference_async.plain_functions import finished
from conference_async.privacy import mask, words_of
from conference_async.time_limits import time_limit
from conference_async.webhooks.event_log.contract import Entry, EventStore, Record
from conference_async.webhooks.event_log.settings import Checked, LogSettings
from conference_async.webhooks.events import Event
from conference_async.webhooks.parsing import read_event

_BATCH: Final = 500
_WAIT: Final = 5.0
_TOGETHER: Final = 0.015
"""Seconds for which what comes after an event is collected: a look for each event of a burst, in
each process, takes more of the machine than all else."""

_LEASE: Final = 30.0
_LONGEST_KEY: Final = 500
_PRUNE_EVERY: Final = 60.0
_BACKOFF: Final = Backoff(first=0.1, most=1.0)

_log = logging.getLogger("conference_async.webhooks")

T = TypeVar("T")


@attrs.frozen
class Batch:
    """Some events in the log's order."""

    events: Sequence[Event]
    """The events; each has the log's `Event.id`."""

    up_to_date: bool
    """Whether the log held no more when they were read."""


@attrs.frozen
class _Waiting:
    record: Record
    written: asyncio.Future[None]


class _Persistence:
    """Asks a store again for as long as it is gone; once it has worked, also where it refuses.

    A right or a password that is changed while processes run is wrong for a while.
    """

    def __init__(self) -> None:
        self._proven = False

    async def __call__(self, work: Callable[[], Awaitable[T]], *, proves: bool = False) -> T:
        """Return what `work` returns; if it `proves`, the store can be read from then on.

        Raises:
            ConfigurationError: The store can never work.
        """
        told = False  # of the refusal: a server that is gone may refuse when it is back
        for failures in itertools.count(1):
            try:
                found = await work()
            except Exception as error:
                refused = isinstance(error, ConfigurationError)
                if refused and not self._proven:
                    raise
                if failures == 1 or (refused and not told):
                    told = refused
                    _log.log(
                        logging.ERROR if refused else logging.WARNING,
                        "the log of events is away, and is tried again: %s",
                        words_of(error),
                    )
                await asyncio.sleep(_BACKOFF.delay(failures))
            else:
                self._proven |= proves
                return found
        raise AssertionError  # pragma: no cover -- it counts without end


class SharedEvents:
    """A log of events that every process appends to and every process reads.

    Give it to a `Receiver`: a verified callback is appended before it is answered, and each
    process that listens gets each event once, in the log's order, wherever the callback came in.
    While the store is gone callbacks are answered 503, and reading goes on when it is back:
    nothing is lost that was answered with a 2xx.

    It may be made before an event loop runs, and used under one loop after another.

    Args:
        store: Where the processes meet.
        settings: What is kept, how much of it a process reads when it starts, and how long a
            callback waits for the store: see `LogSettings`.

    Raises:
        ConfigurationError: A setting is out of bounds.
    """

    def __init__(self, store: EventStore, **settings: Unpack[LogSettings]) -> None:
        self._store = store
        self._settings = Checked(**settings)
        self._waiting: list[_Waiting] = []
        self._appending: asyncio.Task[None] | None = None
        self._pruning: asyncio.Task[None] | None = None
        self._prune_at = -math.inf
        self._home = Home()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {mask(repr(self._store))}>"

    async def append(self, event: Event, keys: Sequence[str]) -> bool:
        """Append an event, unless one of the keys is in the log already.

        Returns:
            Whether it is in the log now; False if the store could not be reached in time.

        Raises:
            ConfigurationError: The store can never work: wrong password, missing right …
        """
        self._settle_in()
        loop = asyncio.get_running_loop()
        waiting = _Waiting(
            Record(event.to_json(), tuple(map(_as_word, keys))), loop.create_future()
        )
        self._waiting.append(waiting)
        if self._appending is None:
            self._appending = loop.create_task(self._append_on())
        try:
            async with time_limit(self._settings.patience):
                await waiting.written
        except TimeoutError:
            return False
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever a driver raises while its server is gone
            _log.warning("an event could not be appended: %s", words_of(error))
            return False
        return True

    async def _append_on(self) -> None:
        # Whatever waits is written with one commit: events come in bursts, and a commit takes
        # longer than all the rest.
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                batch = [each for each in batch if not each.written.done()]
                try:
                    async with time_limit(self._settings.patience):
                        records = [each.record for each in batch]
                        await self._store.append(records, keep=self._settings.keep)
                except Exception as error:  # noqa: BLE001 -- each of those who wait raises it
                    for each in batch:
                        if not each.written.done():
                            each.written.set_exception(error)
                else:
                    for each in batch:
                        if not each.written.done():
                            each.written.set_result(None)
                self._prune_now_and_then()
        finally:
            self._appending = None

    def _prune_now_and_then(self) -> None:
        """Let the store forget, at most once a minute, while it takes what comes."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._prune_at and self._pruning is None:
            self._prune_at = loop.time() + _PRUNE_EVERY
            self._pruning = loop.create_task(self._prune())

    async def _prune(self) -> None:
        try:
            await self._store.prune(keep=self._settings.keep, most=self._settings.most)
        except Exception as error:  # noqa: BLE001 -- whatever a driver raises: it is tried again
            _log.debug("the log of events could not be pruned: %s", words_of(error))
        finally:
            self._pruning = None

    async def follow(self) -> AsyncGenerator[Batch]:
        """Yield what is in the log from `since` seconds ago on, then what comes, without end.

        While the store is gone it waits, and goes on where it was; also where a store that has
        worked refuses, since nobody else would begin again.

        Raises:
            ConfigurationError: The store can never work.
        """
        self._settle_in()
        persistently = _Persistence()
        position = await persistently(lambda: self._store.start(self._settings.since))

        def read(wait: float) -> Coroutine[Any, Any, Sequence[Entry]]:
            return persistently(
                partial(self._store.read, position, most=_BATCH, wait=wait), proves=True
            )

        ahead: asyncio.Task[Sequence[Entry]] | None = None
        up_to_date = False
        try:
            while True:
                entries = await (ahead or read(_WAIT if up_to_date else 0.0))
                was_up_to_date, up_to_date = up_to_date, len(entries) < _BATCH
                if entries:
                    position = entries[-1].position
                # The store finds what is next while this is handed on.
                ahead = None if up_to_date else asyncio.create_task(read(0.0))
                if entries or not was_up_to_date:
                    events = [event for each in entries if (event := _event(each)) is not None]
                    yield Batch(events, up_to_date)
                if entries and up_to_date:
                    await asyncio.sleep(_TOGETHER)
        finally:
            if ahead is not None:
                ahead.cancel()

    async def handle(
        self, group: str, handler: Callable[[Event], Awaitable[object]], *, most: int = 10
    ) -> None:
        """Await `handler` with the events that no other member of the group handles, without end.

        An event is done when the handler returns. When the handler raises, or its process dies,
        a member gets the event again: at least once, so be idempotent by `Event.id`.

        Args:
            group: The group's name; all its processes use the same.
            handler: What to do with an event.
            most: How many events one process handles at once.

        Raises:
            ConfigurationError: The store can never work.
        """
        self._settle_in()
        member = uuid.uuid4().hex
        persistently = _Persistence()
        await persistently(lambda: self._store.join(group, since=self._settings.since))
        while True:
            entries = await persistently(
                lambda: self._store.claim(group, member, most=most, wait=_WAIT, lease=_LEASE),
                proves=True,
            )
            async with asyncio.TaskGroup() as tasks:
                held = {
                    each.position: tasks.create_task(_handled(handler, each)) for each in entries
                }
                while held:
                    await asyncio.wait(
                        held.values(), timeout=_LEASE / 3, return_when=asyncio.FIRST_COMPLETED
                    )
                    held = await self._settle(group, member, held, persistently)

    async def _settle(
        self,
        group: str,
        member: str,
        held: dict[str, asyncio.Task[bool]],
        persistently: "_Persistence",
    ) -> dict[str, asyncio.Task[bool]]:
        """Note what is done, keep what is under way, and return that."""
        done = [at for at, task in held.items() if task.done() and task.result()]
        left = {at: task for at, task in held.items() if not task.done()}
        if done:
            await persistently(lambda: self._store.done(group, done))
        if left:
            await persistently(lambda: self._store.renew(group, member, [*left], _LEASE))
        return left

    def _settle_in(self) -> None:
        if self._home.settle(
            "make one for each loop: they meet in the store", what="log of events"
        ):
            self._waiting, self._appending = [], None
            self._pruning, self._prune_at = None, -math.inf

    async def aclose(self) -> None:
        """Finish what is being appended, and disconnect; a later use connects again."""
        if self._appending is not None and self._home.here:
            await asyncio.wait([self._appending])
        if self._pruning is not None and self._home.here:
            self._pruning.cancel()
            await asyncio.wait([self._pruning])
        await self._store.aclose()

    async def __aenter__(self) -> Self:
        """Connect, so that what can never work is known at the start.

        Raises:
            ConfigurationError: The store cannot be used, or not now.
        """
        self._settle_in()
        try:
            await self._store.open()
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"the log of events cannot be opened: {words_of(error)}"
            ) from error
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _as_word(key: str) -> str:
    """Return a key as every store can keep it; those that are in order stay as they are.

    Part of one may be a header that anybody can write, and what a store does not take would keep
    those from it that are written together with it.
    """
    word = key.encode("unicode_escape")
    return word.decode() if len(word) <= _LONGEST_KEY else hashlib.sha256(word).hexdigest()


async def _handled(handler: Callable[[Event], Awaitable[object]], entry: Entry) -> bool:
    """Return whether the handler took the entry's event; what it raises is logged."""
    event = _event(entry)
    if event is None:
        return True
    try:
        await finished(handler(event))
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return False
    except Exception as error:  # noqa: BLE001 -- the application's: the event comes again
        _log.error("a handler failed on an event, which comes again: %s", words_of(error))
        return False
    return True


def _event(entry: Entry) -> Event | None:
    """Return an entry's event; None, and a line in the log, if what somebody wrote is none."""
    try:
        return read_event(entry.body, id=entry.position)
    except ValueError as error:
        _log.error("an entry of the log of events is passed over: %s", error)
        return None
