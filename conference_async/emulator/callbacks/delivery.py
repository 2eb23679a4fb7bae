"""Delivering callbacks: signed, in order or not, once or twice, and what became of them."""

import asyncio
import random
from collections import deque
from collections.abc import Coroutine, Mapping
from urllib.parse import urldefrag, urlencode

import aiohttp
import attrs

from conference_async.emulator.bounds import chance, seconds, whole_number
from conference_async.emulator.callbacks.posting import Poster
from conference_async.emulator.clock import Clock
from conference_async.emulator.forms import FORM_TYPE
from conference_async.webhooks.signature import sign

_MOST_WAITING = 100_000
DELIVERY = ("delay", "jitter", "copies", "drop")
"""The attributes of `Callbacks` that make delivery worse."""


@attrs.frozen(kw_only=True)
class Callback:
    """One callback that was sent, or that could not be."""

    url: str = attrs.field(repr=False)
    """Its URL, as the request that asked for it gave it."""
    method: str
    """GET or POST."""
    params: Mapping[str, str] = attrs.field(repr=False)
    """Its parameters."""
    idempotency_token: str
    """The same for every delivery of the same event."""
    at: float
    """Loop time of its end: the answer, or giving up."""
    status: int | None
    """The listener's HTTP status; None if there was no answer."""
    error: str | None = None
    """The name of the error if there was no answer."""

    @property
    def event(self) -> str | None:
        """The conference event, else the call's status."""
        return self.params.get("StatusCallbackEvent") or self.params.get("CallStatus")


@attrs.define(kw_only=True, eq=False)
class Callbacks:
    """Sends the callbacks of an emulator, and keeps the latest of them.

    Those to one URL go out one after the other, each when the last one was answered, and at most
    100,000 wait altogether. The first four attributes make delivery worse and may be set at any
    time; a value out of its bounds raises `ValueError`.
    """

    delay: float = attrs.field(default=0.0, init=False, validator=seconds)
    """Seconds by which every callback is late."""
    jitter: float = attrs.field(default=0.0, init=False, validator=seconds)
    """Up to so many random seconds more: events arrive out of order."""
    copies: int = attrs.field(default=1, init=False, validator=whole_number(1, 100))
    """How many times each is delivered, 1 to 100."""
    drop: float = attrs.field(default=0.0, init=False, validator=chance)
    """The share of callbacks that is never sent, 0 to 1."""
    sent: deque[Callback] = attrs.field(
        factory=lambda: deque[Callback](maxlen=20_000), init=False, repr=False
    )
    """The latest 20,000 that were delivered, or tried; the newest is last."""
    _randomness: random.Random = attrs.field(alias="randomness", repr=False)
    _clock: Clock = attrs.field(alias="clock", repr=False)
    _poster: Poster = attrs.field(factory=Poster, init=False, repr=False)
    _waiting: dict[str, deque["_Delivery"]] = attrs.field(
        factory=dict[str, deque["_Delivery"]], init=False, repr=False
    )
    _held: int = attrs.field(default=0, init=False, repr=False)
    _idle: asyncio.Future[None] | None = attrs.field(default=None, init=False, repr=False)
    _tasks: set[asyncio.Task[None]] = attrs.field(
        factory=set[asyncio.Task[None]], init=False, repr=False
    )

    def send(
        self, url: str, method: str, params: Mapping[str, str], *, token: str, after: float = 0.0
    ) -> None:
        """Send a callback in `after` seconds and the delays set, signed with `token`."""
        if self.drop and self._randomness.random() < self.drop:
            return
        delivery = _Delivery(
            url=url,
            method=method,
            params=params,
            token=token,
            idempotency_token=f"{self._randomness.getrandbits(128):032x}",
        )
        for _ in range(self.copies):
            late = after + self.delay + self.jitter * self._randomness.random()
            if self._held >= _MOST_WAITING:
                self.sent.append(delivery.ended(self._clock.time(), error="TooManyWaiting"))
                continue
            self._held += 1
            if late:
                self._clock.call_at(self._clock.time() + late, self._post, delivery)
            else:
                self._post(delivery)

    async def settled(self) -> None:
        """Wait until no callback is under way; those delayed are waited for too."""
        while self._held:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    async def abandon(self) -> None:
        """Drop what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._no_longer_hold(self._held)

    async def aclose(self) -> None:
        """Drop what is under way, and close what sends."""
        await self.abandon()
        await self._poster.aclose()

    def _no_longer_hold(self, count: int) -> None:
        self._held -= count
        if not self._held and self._idle is not None:
            self._idle.set_result(None)
            self._idle = None

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _post(self, delivery: "_Delivery") -> None:
        if delivery.url in self._waiting:
            self._waiting[delivery.url].append(delivery)
        else:
            self._waiting[delivery.url] = deque([delivery])
            self._run(self._deliver_all(delivery.url))

    async def _deliver_all(self, url: str) -> None:
        waiting = self._waiting[url]
        try:
            while waiting:
                delivery = waiting.popleft()
                status, error = await self._deliver(delivery)
                self.sent.append(delivery.ended(self._clock.time(), status=status, error=error))
                self._no_longer_hold(1)
        finally:
            del self._waiting[url]

    async def _deliver(self, delivery: "_Delivery") -> tuple[int | None, str | None]:
        """Return the answer's status, or the name of the error."""
        url, headers, body = delivery.request()
        try:
            return await self._poster.send(delivery.method, url, headers=headers, body=body), None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The operating system's own word, such as ConnectionRefusedError, where it has one.
            reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
            return None, type(reason).__name__


@attrs.frozen(kw_only=True, repr=False)
class _Delivery:
    url: str
    method: str
    params: Mapping[str, str]
    token: str
    idempotency_token: str

    def request(self) -> tuple[str, dict[str, str], bytes]:
        """Return the URL, the headers and the body to send."""
        url, body, signed = urldefrag(self.url).url, b"", None
        if self.method == "GET":
            url += ("&" if "?" in url else "?") + urlencode(self.params)
        else:
            body, signed = urlencode(self.params).encode(), self.params
        headers = {
            "Content-Type": f"{FORM_TYPE}; charset=UTF-8",
            "I-Twilio-Idempotency-Token": self.idempotency_token,
            "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": sign(url, signed, self.token),
        }
        return url, headers, body

    def ended(self, at: float, *, status: int | None = None, error: str | None = None) -> Callback:
        """Return what became of it."""
        return Callback(
            url=self.url,
            method=self.method,
            params=self.params,
            idempotency_token=self.idempotency_token,
            at=at,
            status=status,
            error=error,
        )
