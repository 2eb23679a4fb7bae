"""From a request, checked, to the application: each event once, and never faster than it can."""

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from conference_async.masking import mask
from conference_async.webhooks.admission import Admission, Refused
from conference_async.webhooks.duplicates import Duplicates
from conference_async.webhooks.events import Event
from conference_async.webhooks.fanout import Fanout, Subscription
from conference_async.webhooks.signature import SIGNATURE_HEADER, Keys

_LOGGER = logging.getLogger("conference_async.webhooks")

IDEMPOTENCY_HEADER: Final = "I-Twilio-Idempotency-Token"
"""The header by which the attempts of one callback can be told to be the same."""


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

    A request is told for a repetition by its signature (no replay can change that), by its
    idempotency token, else by its SID, event and sequence number.
    """

    def __init__(
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
    ) -> None:
        """Make a receiver; no I/O, and no event loop is needed yet.

        Args:
            keys: What the service signs with.
            public_url: The callback URL as the service is given it: scheme, host and path. It
                is signed, and no server behind a proxy can know it. The query is the request's.
            max_body: The largest body in bytes; a larger one is answered 413 and not read.
            patience: Seconds that a request waits for room. The service gives up after 15.
            body_timeout: Seconds in which the body must come.
            max_age: Seconds for which a request is remembered; an event whose signed timestamp
                is older is taken for a replay, and dropped.
            remember: How many keys to remember at most; a request has two.
            now: The wall clock, in seconds since the epoch.

        Raises:
            ConfigurationError: The public URL is not absolute, or has a query or fragment.
        """
        self._admission = Admission(
            keys=keys, public_url=public_url, max_body=max_body, body_timeout=body_timeout
        )
        self._patience = patience
        self._max_age = max_age
        self._now = now
        self._seen = Duplicates(size=remember, age=max_age)
        self._fanout: Fanout[Event] = Fanout()
        self._listeners: list[Callable[[Event], object]] = []
        self._closed = False

    def __repr__(self) -> str:
        closed = ", closed" if self._closed else ""
        return f"<Receiver {mask(self._admission.public_url)}{closed}>"

    def listen(self, listener: Callable[[Event], object]) -> Callable[[], None]:
        """Call `listener` with every event, at once; return a function that ends this.

        Args:
            listener: A function that neither blocks nor awaits, such as `Roster.apply`.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def events(self, *, buffer: int = 1000) -> Subscription[Event]:
        """Return an async iterator over the events from now on.

        Example::

            with receiver.events() as events:
                async for event in events:
                    ...

        Args:
            buffer: How many events may wait to be read before requests have to.
        """
        return self._fanout.subscribe(buffer)

    @asynccontextmanager
    async def subscribe(
        self,
        callback: Callable[[Event], Awaitable[object]],
        *,
        buffer: int = 1000,
        grace: float = 5.0,
    ) -> AsyncGenerator[None]:
        """Await `callback` with every event, one after the other, while the context is open.

        Args:
            callback: What to do with an event. Its errors are logged, and the next event comes.
            buffer: How many events may wait for the callback before requests have to.
            grace: Seconds at the end for the events that were already acknowledged; then the
                callback is cancelled.
        """
        delivery = asyncio.create_task(_deliver(events := self.events(buffer=buffer), callback))
        try:
            yield
        finally:
            events.close()
            try:
                await asyncio.wait([delivery], timeout=grace)
            finally:
                delivery.cancel()
            await asyncio.wait([delivery])

    def close(self) -> None:
        """End all subscriptions after what they hold; requests are answered 503 from now on."""
        self._closed = True
        self._fanout.close()

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
            204 (no content) for an event that was handed on, or that was handed on before;
            400 unreadable, 403 wrongly signed, 405 neither GET nor POST, 408 the body did not
            come, 413 too large, 415 neither form nor JSON in UTF-8, 503 the application is
            slow, or it is over.
        """
        if self._closed:
            return HTTPStatus.SERVICE_UNAVAILABLE
        lowered = {name.lower(): value for name, value in headers.items()}
        try:
            event = await self._admission.event_of(method, query, lowered, body)
        except Refused as refused:
            _LOGGER.warning("%r refused a request: %s", self, refused.status.phrase)
            return refused.status
        return await self._hand_on(event, lowered)

    async def _hand_on(self, event: Event, headers: Mapping[str, str]) -> HTTPStatus:
        if event.timestamp and event.timestamp.timestamp() < self._now() - self._max_age:
            _LOGGER.warning("dropped an event that is too old to be anything but a replay")
            return HTTPStatus.NO_CONTENT
        if not await self._fanout.room(self._patience) or self._closed:
            _LOGGER.warning("the application is slow: an event was refused")
            return HTTPStatus.SERVICE_UNAVAILABLE
        # Nothing awaits from here on: an event is remembered if, and only if, it was handed on.
        if self._seen.is_new(_keys_of(event, headers), asyncio.get_running_loop().time()):
            for listener in tuple(self._listeners):
                try:
                    listener(event)
                except Exception as error:  # noqa: BLE001 - the application's, and not the service's fault
                    _log_failure(error)
            self._fanout.send(event)
        return HTTPStatus.NO_CONTENT


def _keys_of(event: Event, headers: Mapping[str, str]) -> list[Hashable]:
    keys: list[Hashable] = [headers[SIGNATURE_HEADER.lower()]]
    token = headers.get(IDEMPOTENCY_HEADER.lower())
    if token:
        # The token is not signed, and may not be mistaken for a signature.
        keys.append((token,))
    elif event.subject and event.sequence_number is not None:
        keys.append((event.subject, event.kind, event.sequence_number))
    return keys


async def _deliver(
    events: Subscription[Event], callback: Callable[[Event], Awaitable[object]]
) -> None:
    async for event in events:
        try:
            await callback(event)
        except asyncio.CancelledError as error:
            # A callback may pass on that something else was cancelled: that is only its failure.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            _log_failure(error)
        except Exception as error:  # noqa: BLE001 - the application's, and the next event may pass
            _log_failure(error)


def _log_failure(error: BaseException) -> None:
    report = "".join(traceback.format_exception(error))
    _LOGGER.error("the application failed on an event\n%s", mask(report))
