"""Delivering callbacks: signed, in order or not, once or twice, and what became of them."""

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Coroutine, Mapping
from urllib.parse import urldefrag, urlencode

import attrs

from conference_async.emulator import posting
from conference_async.emulator.clock import Clock
from conference_async.emulator.forms import FORM_TYPE
from conference_async.webhooks.signature import sign

_TOTAL_SECONDS = 15.0


@attrs.frozen(kw_only=True)
class Callback:
    """One callback that was sent, or that could not be."""

    url: str = attrs.field(repr=False)
    """Where to, as the request that asked for it said."""
    method: str
    """GET or POST."""
    params: Mapping[str, str] = attrs.field(repr=False)
    """What it told."""
    idempotency_token: str
    """The same for every delivery of the same event."""
    at: float
    """Loop time of its end: the answer, or giving up."""
    status: int | None
    """The listener's HTTP status; None if there was no answer."""
    error: str | None = None
    """The name of the error where there was no answer."""

    @property
    def event(self) -> str | None:
        """The conference event, else the call's status."""
        return self.params.get("StatusCallbackEvent") or self.params.get("CallStatus")


class Callbacks:
    """Sends the callbacks of an emulator, and keeps the latest of them.

    Those to one URL go out one after the other, each when the last one was answered. The four
    settings make delivery worse and may be changed at any time.
    """

    def __init__(self, randomness: random.Random, clock: Clock) -> None:
        self.delay = 0.0
        """Seconds by which every callback is late."""
        self.jitter = 0.0
        """Up to so many random seconds more: events arrive out of order."""
        self.copies = 1
        """How many times each is delivered."""
        self.drop = 0.0
        """The share of callbacks that is never sent, 0 to 1."""
        self.sent: deque[Callback] = deque(maxlen=20_000)
        """What was delivered, or tried; the newest is last."""
        self._randomness = randomness
        self._clock = clock
        self._late: list[tuple[float, int, _Letter]] = []
        self._numbers = itertools.count()
        self._waiting: dict[str, deque[_Letter]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def send(
        self, url: str, method: str, params: Mapping[str, str], *, token: str, after: float = 0.0
    ) -> None:
        """Send a callback in `after` seconds and the delays set, signed with `token`."""
        if self.drop and self._randomness.random() < self.drop:
            return
        letter = _Letter(
            url=url,
            method=method,
            params=params,
            token=token,
            idempotency_token=f"{self._randomness.getrandbits(128):032x}",
        )
        for _ in range(self.copies):
            late = after + self.delay + self.jitter * self._randomness.random()
            if late:
                due = self._clock.time() + late
                heapq.heappush(self._late, (due, next(self._numbers), letter))
                self._run(self._post_late(late))
            else:
                self._post(letter)

    async def settled(self) -> None:
        """Wait until no callback is under way; those delayed are waited for too."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Drop what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post_late(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        # The earliest one, not "its own": timers due at the same instant fire in any order.
        self._post(heapq.heappop(self._late)[-1])

    def _post(self, letter: "_Letter") -> None:
        if letter.url in self._waiting:
            self._waiting[letter.url].append(letter)
        else:
            self._waiting[letter.url] = deque([letter])
            self._run(self._deliver_all(letter.url))

    async def _deliver_all(self, url: str) -> None:
        waiting = self._waiting[url]
        try:
            while waiting:
                self.sent.append(await self._deliver(waiting.popleft()))
        finally:
            del self._waiting[url]

    async def _deliver(self, letter: "_Letter") -> Callback:
        status, error = None, None
        try:
            async with asyncio.timeout(_TOTAL_SECONDS):
                status = await letter.deliver()
        except (OSError, ValueError) as failure:
            error = type(failure).__name__
        return Callback(
            url=letter.url,
            method=letter.method,
            params=letter.params,
            idempotency_token=letter.idempotency_token,
            at=self._clock.time(),
            status=status,
            error=error,
        )


@attrs.frozen(kw_only=True, repr=False)
class _Letter:
    url: str
    method: str
    params: Mapping[str, str]
    token: str
    idempotency_token: str

    async def deliver(self) -> int:
        """Deliver it; a refused connection is tried once more, as the service does."""
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
        try:
            return await posting.request(self.method, url, headers=headers, body=body)
        except ConnectionRefusedError:
            return await posting.request(self.method, url, headers=headers, body=body)
