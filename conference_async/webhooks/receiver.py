"""From a request to the application: checked, once, and never faster than it can."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterable, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self, cast, overload

import attrs

from conference_async.bounds import check_count, check_seconds
from conference_async.errors import ConfigurationError
from conference_async.plain_functions import check_plain, failure_of
from conference_async.privacy import mask
from conference_async.webhooks.admission import Admission, Refused
from conference_async.webhooks.event_log.reader import LogReader
from conference_async.webhooks.event_log.shared import SharedEvents
from conference_async.webhooks.events import Event
from conference_async.webhooks.listeners import CallbackObserver, Heard, Listeners, log_failure
from conference_async.webhooks.signature import SIGNATURE_HEADER, Keys
from conference_async.webhooks.subscriptions import Subscription

_LOGGER = logging.getLogger("conference_async.webhooks")

IDEMPOTENCY_HEADER: Final = "I-Twilio-Idempotency-Token"
"""The header by which the attempts of one callback are known to be the same."""


class Duplicates:
    """The keys of the latest requests."""

    def __init__(self, *, size: int, age: float) -> None:
        """Remember at most `size` keys, each for `age` seconds."""
        self._size = size
        self._age = age
        self._seen: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def is_new(self, keys: Sequence[Hashable], now: float) -> bool:
        """Return whether none of the keys was seen, and remember them if so.

        Args:
            keys: Names for the same thing; by any of them it is known again.
            now: The present instant of the loop's clock, in seconds.
        """
        seen = self._seen
        while seen and next(iter(seen.values())) <= now:
            seen.popitem(last=False)
        if any(key in seen for key in keys):
            return False
        for key in keys:
            seen[key] = now + self._age
        while len(seen) > self._size:
            seen.popitem(last=False)
        return True


class Receiver:
    """Takes the service's callbacks for one public URL and hands their events on.

    It knows no web framework: `aiohttp_handler` and `WebhookApp` connect it to one. Events go

    - to listeners (`listen`): plain functions, called in turn, which must not block;
    - to subscriptions (`events`, `subscribe`): each has a buffer, and while one of them is full,
      requests wait `patience` seconds for room and are then answered 503. The service repeats
      such a request only if the callback URL asks for it: append ``#rp=all&rc=5`` to it
      (https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides).

    Every listener and subscription gets every event, in order of arrival, once. What the
    application does with it cannot fail the request: errors of listeners and callbacks are logged.

    A request is known to be a repetition by its signature (no replay can change that); by its
    idempotency token together with what it is about; without a token, by its SID, event and
    sequence number.
    """

    def __init__(  # noqa: PLR0913 -- each setting has its default
        self,
        keys: Keys,
        *,
        public_url: str,
        max_body: int = 65_536,
        patience: float = 2.0,
        body_timeout: float = 5.0,
        max_age: float = 3600.0,
        remember: int = 100_000,
        now: Callable[[], float] = time.time,
        events: SharedEvents | None = None,
        telemetry: CallbackObserver | None = None,
    ) -> None:
        """Make a receiver; no I/O, and no event loop is needed yet.

        Args:
            keys: What the service signs with.
            public_url: The callback URL as the service is given it: scheme, host and path. It
                is signed, and no server behind a proxy can know it. The query is the request's.
            max_body: The largest body in bytes, 1 or more; a larger one is answered 413 and not
                read.
            patience: Seconds that a request waits for room, 0 or more. The service gives up
                after 15.
            body_timeout: Seconds in which the body must come, more than 0.
            max_age: Seconds for which a request is remembered, more than 0; one whose signed
                timestamp is older is a replay, and dropped.
            remember: How many keys to remember at most, 1 or more; a request has two.
            now: The wall clock, in seconds since the epoch.
            events: The log that this process shares with others, such as a `SQLiteEvents`. A
                callback is appended to it before it is answered, and every process hears of it.
                It is not closed with the receiver.
            telemetry: What watches the callbacks: a `conference_async.telemetry.Telemetry`.

        Raises:
            ConfigurationError: The public URL is not absolute, or has a query or fragment; a
                number is out of its bounds; the clock is async; or `telemetry` cannot watch.
        """
        check_plain("now", now)
        self._admission: Admission = Admission(
            keys=keys,
            public_url=public_url,
            max_body=check_count("max_body", max_body),
            body_timeout=check_seconds("body_timeout", body_timeout, zero=False),
            max_age=check_seconds("max_age", max_age, zero=False),
            now=now,
        )
        self._patience = check_seconds("patience", patience)
        self._seen = Duplicates(size=check_count("remember", remember), age=max_age)
        self._listeners = Listeners()
        if not isinstance(events, SharedEvents | None):
            raise ConfigurationError(
                "events must be a log such as SQLiteEvents('events.db'), not "
                f"{type(events).__name__}"
            )
        self._reader = None if events is None else LogReader(events, self._listeners)
        if telemetry is not None and not callable(getattr(telemetry, "callback", None)):
            raise ConfigurationError(
                f"telemetry must be a conference_async.telemetry.Telemetry(), not {telemetry!r}"
            )
        self._telemetry = telemetry
        self._closed = False

    def __repr__(self) -> str:
        closed = ", closed" if self._closed else ""
        return f"<Receiver {mask(self._admission.public_url)}{closed}>"

    @property
    def keys(self) -> Keys:
        """What the service signs with; set others while it runs, when a token is replaced."""
        return self._admission.keys

    @keys.setter
    def keys(self, keys: Keys) -> None:
        self._admission = attrs.evolve(self._admission, keys=keys)

    async def __aenter__(self) -> Self:
        """Begin to read the shared log, where there is one; without one there is nothing to do."""
        if self._reader is not None:
            self._reader.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()  # before reading ends: a request that is under way would begin it anew
        if self._reader is not None:
            await self._reader.stop()

    async def up_to_date(self) -> None:
        """Wait until listeners have heard all that the shared log held when reading began.

        After a restart a roster is right from then on. Without a shared log, and once the receiver
        is closed, it returns at once.

        Raises:
            ConfigurationError: The log can never be read: a wrong password, a missing right.
        """
        if self._reader is not None and not self._closed:
            await self._reader.up_to_date()

    @overload
    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]: ...

    @overload
    def listen(
        self, listener: Callable[[Event], Awaitable[object]], *, group: str
    ) -> Callable[[], None]: ...

    def listen(
        self,
        listener: Callable[[Event], None] | Callable[[Event], Awaitable[object]],
        *,
        group: str | None = None,
    ) -> Callable[[], None]:
        """Call `listener` with every event, at once; return a function that ends this.

        Args:
            listener: A function that neither blocks nor awaits, such as `Roster.apply`. With a
                `group`, an async one.
            group: Of all processes whose receivers share a log and name this group, one awaits
                `listener` with each event. If it raises, or its process dies before it returns,
                one of them gets the event again: at least once, so be idempotent by `Event.id`.

        Raises:
            ConfigurationError: It is async without a group, and would never run (`subscribe`
                awaits); or there is a group and no shared log.
        """
        if group is None:
            return self._listeners.listen(cast("Callable[[Event], None]", listener))
        if self._reader is None:
            raise ConfigurationError(
                "a group needs the log that its processes share: Receiver(events=...)"
            )
        return self._reader.join(group, cast("Callable[[Event], Awaitable[object]]", listener))

    def events(self, *, buffer: int = 1000) -> Subscription[Event]:
        """Return an async iterator over the events from now on.

        Example::

            with receiver.events() as events:
                async for event in events:
                    ...

        Args:
            buffer: How many events may wait to be read before requests have to, 1 or more.
                Those that are still unread where the ``with`` block ends are counted in the log.
        """
        return self._listeners.events(buffer)

    def subscribe(
        self,
        callback: Callable[[Event], Awaitable[object]],
        *,
        buffer: int = 1000,
        grace: float = 5.0,
    ) -> AbstractAsyncContextManager[None]:
        """Await `callback` with every event, one after the other, while the context is open.

        Args:
            callback: What to do with an event. Its errors are logged, and the next event comes.
            buffer: How many events may wait for the callback before requests have to, 1 or more.
            grace: Seconds at the end for the events that were already acknowledged, 0 or more;
                then the callback is cancelled, and the log says how many events of which kinds
                were cut off.
        """
        return self._listeners.subscribe(callback, buffer=buffer, grace=grace)

    def close(self) -> None:
        """End all subscriptions after what they hold; requests are answered 503 from now on."""
        self._closed = True
        self._listeners.close()

    async def receive(
        self,
        *,
        method: str,
        query: str,
        headers: Mapping[str, str],
        body: AsyncIterable[bytes],
    ) -> HTTPStatus:
        """Check a request, hand its event on, and return the status to answer with.

        Args:
            method: The HTTP method.
            query: The raw query of the request, without its question mark.
            headers: The headers; the case of the names does not matter.
            body: The parts of the body as they come: no more of them is taken than allowed.

        Returns:
            204 (no content) for an event that was handed on, or that was handed on before, or that
            is too old to be anything but a replay; 400 unreadable, or without the timestamp and
            number that its kind always carries; 403 wrongly signed; 405 neither GET nor POST; 408
            the body did not come; 413 too large; 415 neither form nor JSON in UTF-8; 503 the
            application is slow, or it is over.
        """
        if self._telemetry is None:
            return await self._receive(method, query, headers, body)
        heard: list[Heard] = []
        watch = self._telemetry.callback
        _note(lambda: heard.append(watch()))
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        try:
            status = await self._receive(method, query, headers, body, *heard)
        finally:
            for each in heard:
                _note(each.answered, status)
        return status

    async def _receive(
        self,
        method: str,
        query: str,
        headers: Mapping[str, str],
        body: AsyncIterable[bytes],
        *heard: Heard,
    ) -> HTTPStatus:
        if self._closed:
            return HTTPStatus.SERVICE_UNAVAILABLE
        lowered = {name.lower(): value for name, value in headers.items()}
        try:
            event = await self._admission.event_of(method, query, lowered, body)
            for each in heard:
                _note(each.is_of, event)
            await self._hand_on(event, lowered)
        except Refused as refused:
            _LOGGER.warning("%r refused a request: %s", self, refused)
            return refused.status
        return HTTPStatus.NO_CONTENT

    async def _hand_on(self, event: Event, headers: Mapping[str, str]) -> None:
        keys = _keys_of(event, headers)
        if self._reader is not None:
            if self._closed:
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "it is over")
            if not await self._reader.append(event, ["|".join(map(str, key)) for key in keys]):
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the log of events is away")
            return
        if not await self._listeners.room(self._patience) or self._closed:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the application is slow, or it is over")
        # Nothing awaits from here on: an event is remembered if, and only if, it was handed on.
        if self._seen.is_new(keys, asyncio.get_running_loop().time()):
            self._listeners.hand_on(event)


def _note(tell: Callable[..., object], *arguments: object) -> None:
    """Tell telemetry something; what it raises is logged."""
    if failure := failure_of(tell, *arguments):
        log_failure(failure)


def _keys_of(event: Event, headers: Mapping[str, str]) -> list[tuple[str | int | None, ...]]:
    keys: list[tuple[str | int | None, ...]] = [(headers[SIGNATURE_HEADER.lower()],)]
    token = headers.get(IDEMPOTENCY_HEADER.lower())
    if token:
        # It is not signed: alone it could make an event pass for the repetition of another.
        keys.append((token, event.subject, event.kind))
    elif event.subject and event.sequence_number is not None:
        keys.append((event.subject, event.kind, event.sequence_number))
    return keys
