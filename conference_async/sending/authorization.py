"""The header that signs requests in, where credentials change while the client runs."""

import asyncio
import copy
import logging
import math
import random
import time
import weakref
from collections.abc import Callable
from contextvars import copy_context
from typing import Protocol

from conference_async.backoff import Backoff
from conference_async.errors import ConferenceError, ConfigurationError, NotSent
from conference_async.home import Home
from conference_async.sending.observing import Observer, observed

_log = logging.getLogger("conference_async.sending")

_PAUSES = Backoff(1.0, 15.0)
"""The pauses between questions that were of no use, in seconds."""

_EARLIEST, _LATEST = 1 / 8, 1 / 16
"""The part of their life that is left when others are asked for: drawn each time, so that
processes that started together do not ask together."""


class Grant:
    """The answer of a source of credentials.

    Args:
        header: The value of the ``Authorization`` header.
        lifetime: Seconds from the question on for which it holds, as far as is known.
        ask_after: Seconds from the question on before which to ask again, even if it still holds.
    """

    __slots__ = ("ask_after", "header", "lifetime")

    def __init__(
        self, header: str, *, lifetime: float = math.inf, ask_after: float = math.inf
    ) -> None:
        self.header: str = header
        self.lifetime: float = lifetime
        self.ask_after: float = ask_after


class Source(Protocol):
    """A source of credentials."""

    async def ask(self) -> Grant:
        """Return the credentials that hold now.

        Raises:
            NotSent: There are none now; it may help to ask again.
            ConferenceError: There will be none before somebody changes something.
        """
        ...

    def reopen(self) -> None:
        """Take questions again after `aclose`."""
        ...

    async def aclose(self) -> None:
        """Close what questions keep open."""
        ...


class Authorization:
    """The credentials that hold now: one per client and its views.

    The source is asked one question at a time, in a task of its own, so whoever is cancelled while
    waiting for the answer takes it from nobody. Once there was an answer, the next question is put
    ahead of its end by a timer, and requests use what they have meanwhile.

    Args:
        source: Where they come from.
        patience: The longest that one question may take, in seconds.

    Attributes:
        observer: Who watches the questions.
    """

    def __init__(self, source: Source, patience: float) -> None:
        self._source = source
        self._patience = patience
        self._home = Home()
        # Not that of whichever request asks first: its span and its user are none of ours.
        self._context = copy_context()
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._grant: Grant | None = None
        self._asked_at = 0.0
        self._asked_at_monotonic = 0.0
        self._failure: ConferenceError | None = None
        self._failures = 0
        self._refusals = 0
        self._failed_until = self._refused_until = -math.inf
        self._closed = False
        self.observer: Observer | None = None

    async def header(self, patience: float) -> str:
        """Return the header to send; wait for it only if there is none that holds.

        Args:
            patience: The seconds to wait at most.

        Raises:
            NotSent: There is none now.
            ConferenceError: There will be none before somebody changes something.
        """
        if self._closed:
            raise ConfigurationError("the client is closed; enter it with `async with` again")
        self._settle()
        if (current := self._current()) is not None:
            return current
        asking = self._asking
        if asking is None:
            # What can be mended by asking again is, as often as requests may be tried; what
            # somebody has to mend is not asked about by each of a thousand requests.
            if isinstance(self._failure, NotSent) or self._now() >= self._failed_until:
                self._failure = None
            if self._failure is not None:
                raise copy.copy(self._failure) from self._failure.__cause__
            asking = self._ask()
        await asyncio.wait([asking], timeout=patience)
        if (current := self._current()) is not None:
            return current
        failure = self._failure
        if not asking.done() or failure is None:  # or the client was closed meanwhile
            raise NotSent(f"no credentials came within {patience:g} s")
        raise copy.copy(failure) from failure.__cause__

    async def replaced(self, refused: str, patience: float) -> bool:
        """Return whether there are other credentials than those that the service refused.

        The source is asked, unless it was asked in vain just before. Where those have ended
        meanwhile and there are none, the next `header` asks.

        Args:
            refused: The header that was answered 401.
            patience: The seconds to wait at most.
        """
        self._settle()
        while self._current() == refused:
            asking = self._asking
            if asking is None:
                if self._now() < self._refused_until:
                    return False
                self._refusals += 1
                self._refused_until = self._now() + _PAUSES.bound(self._refusals)
                asking = self._ask()
            done, _ = await asyncio.wait([asking], timeout=patience)
            if not done:
                return False
        return True

    def admitted(self) -> None:
        """Note that the service took the header of a request."""
        self._refusals = 0

    def reopen(self) -> None:
        """Ask questions again after `aclose`."""
        self._closed = False
        self._source.reopen()

    async def aclose(self) -> None:
        """End the question that is open, and ask no more."""
        self._closed = True
        if self._home.here:
            self._set_timer(None)
            if self._asking is not None:
                self._asking.cancel()
                await asyncio.wait([self._asking])
        await self._source.aclose()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _settle(self) -> None:
        if not self._home.settle("make one for each loop", what="client"):
            return
        # Questions and timers stay behind; what was answered holds here too, by this loop's clock.
        self._asking = self._timer = self._failure = None
        self._failed_until = self._refused_until = -math.inf
        self._asked_at = self._now() - (time.monotonic() - self._asked_at_monotonic)
        if self._grant is not None:
            self._ask_ahead(self._grant)

    def _current(self) -> str | None:
        grant = self._grant
        if grant is None or self._now() >= self._asked_at + grant.lifetime:
            return None
        return grant.header

    def _ask(self) -> asyncio.Task[None]:
        self._set_timer(None)
        context = self._context.copy()
        self._asking = asyncio.get_running_loop().create_task(self._question(), context=context)
        return self._asking

    async def _question(self) -> None:
        asked_at, monotonic = self._now(), time.monotonic()
        try:
            grant = await observed(self.observer, "credentials", self._answer)
        except ConferenceError as error:
            self._failed(error)
        else:
            self._grant, self._asked_at, self._asked_at_monotonic = grant, asked_at, monotonic
            self._failure, self._failures = None, 0
            self._ask_ahead(grant)
        finally:
            if self._asking is asyncio.current_task():
                self._asking = None

    async def _answer(self) -> Grant:
        """Return what the source answers; leave it alone if that takes too long."""
        answer = asyncio.ensure_future(self._source.ask())
        answer.add_done_callback(_hear_out)
        try:
            await asyncio.wait([answer], timeout=self._patience)
            if not answer.done():
                raise NotSent(f"no credentials came within {self._patience:g} s")
        finally:
            answer.cancel()
        if answer.cancelled():
            raise NotSent("the question for credentials was cancelled where it was answered")
        return answer.result()

    def _failed(self, error: ConferenceError) -> None:
        self._failure = error
        self._failures += 1
        pause = _PAUSES.bound(self._failures)
        self._failed_until = self._now() + pause
        if self._grant is None:
            return
        left = self._asked_at + self._grant.lifetime - self._now()
        _log.warning(
            "credentials could not be renewed: %s; those of before %s; asking again",
            error,
            "have ended" if left <= 0 else f"are used until they end, in {left:.0f} s",
        )
        self._set_timer(pause * random.uniform(0.5, 1))  # noqa: S311 -- jitter is no secret

    def _ask_ahead(self, grant: Grant) -> None:
        span = min(grant.lifetime, grant.ask_after)
        if span < math.inf:
            left = random.uniform(_LATEST, _EARLIEST)  # noqa: S311 -- jitter is no secret
            self._set_timer(self._asked_at + span * (1 - left) - self._now())

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None and not self._closed:
            # It keeps no client alive that nobody holds any more.
            loop, renew = asyncio.get_running_loop(), weakref.WeakMethod(self._renew)
            self._timer = loop.call_later(max(0.0, seconds), _call, renew)

    def _renew(self) -> None:
        if self._asking is None:
            self._asking = self._ask()


def _call(method: "weakref.WeakMethod[Callable[[], None]]") -> None:
    if (found := method()) is not None:
        found()


def _hear_out(answer: "asyncio.Future[Grant]") -> None:
    """Take note of an error that comes after nobody waits for it any more."""
    if not answer.cancelled():
        answer.exception()
