"""One client of a Redis, connected when it is needed and dropped when it fails."""

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from conference_async.cancelling import ending_when_cancelled
from conference_async.home import Home, all_said
from conference_async.redis.addresses import check_url, client_at, has_sentinels, names_many
from conference_async.redis.refusals import never
from conference_async.rooted import of_the_parent
from conference_async.time_limits import time_limit

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

_KEPT_ALIVE: Mapping[str, Any] = {
    "socket_keepalive": True,
    "socket_keepalive_options": {
        getattr(socket, name): seconds
        for name, seconds in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)  # not everywhere
    },
}
"""A peer that is gone is known to be after eleven seconds, also while nothing is asked of it."""


class Connection:
    """Does pieces of work on a client of its own.

    Whatever fails drops the client: the next piece of work connects again, and looks the host up
    again. For a server may answer and no longer be the one that writes (``READONLY``, ``LOADING``,
    ``CLUSTERDOWN``, or a proxy that answers for one that is gone), and would do so for as long as
    the connection stands. It may be used under one event loop after the other, and in a process
    that was forked: each connects for itself.

    Sentinels are asked again who writes after each pause in which a fail-over could have passed
    unnoticed. A server that was frozen meanwhile goes on taking writes when it wakes up, for as
    long as nobody has told it that another one has its place.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py reads them, or one of those of
            `check_url`.
        silence: Seconds that the server may take over one piece of work.
        purpose: What the connection is for, as the beginning of a sentence.
        at_most: How many pieces of work it does at a time, each on a connection; None for as many
            as there are.

    Raises:
        ConfigurationError: The extra ``redis`` is not installed, or the URL is not one.
    """

    def __init__(
        self, url: str, *, silence: float, purpose: str, at_most: int | None = None
    ) -> None:
        check_url(url, purpose)
        self._url = url
        self._purpose = purpose
        self._silence = silence
        self._at_most = at_most
        self._turns = asyncio.Semaphore(at_most or 1)
        self._at_work: set[object] = set()
        self._idle_since = -math.inf
        self._client: Redis | None = None
        self._kept: AsyncGenerator[None, None] | None = None
        self._home = Home()

    @property
    def is_open(self) -> bool:
        """Whether there is a client that belongs to the running loop and to this process."""
        return self._client is not None and self._home.here

    async def run(self, work: "Callable[[Redis], Awaitable[T]]") -> T:
        """Do one piece of work, once, and return what it returns.

        Raises:
            redis.RedisError: It failed, or the connection did.
            OSError: As above.
            ConfigurationError: It is in use on another running event loop, or the server will
                never do it as things are.
        """
        client = await self._connected()
        at_work, piece = self._at_work, object()
        at_work.add(piece)
        try:
            turn = contextlib.nullcontext() if self._at_most is None else self._turns
            async with turn, time_limit(self._silence):
                return await ending_when_cancelled(work(client))
        except Exception as error:
            if client is self._client:
                await self.aclose()
            if (refusal := never(error, self._purpose)) is not None:
                raise refusal from error
            raise
        finally:
            at_work.discard(piece)
            self._idle_since = self._home.now

    async def aclose(self) -> None:
        """Disconnect; the next piece of work connects again."""
        kept, self._kept, self._client = self._kept, None, None
        if kept is not None and self._home.here:
            with contextlib.suppress(Exception):  # there is nothing that it could be needed for
                await kept.aclose()

    async def _connected(self) -> "Redis":
        forked = self._home.forked
        if self._home.settle("make one for each", what="connection"):
            if forked:
                of_the_parent.append((self._client, self._kept))
            self._client = self._kept = None
            self._turns = asyncio.Semaphore(self._at_most or 1)
            self._at_work = set()
        elif self._may_be_outdated:
            await self.aclose()
        if self._client is None:
            self._client, others = client_at(self._url, self._options())
            self._kept = self._until_the_loop_ends([self._client, *others])
            await anext(self._kept)
        return self._client

    @property
    def _may_be_outdated(self) -> bool:
        idle = not self._at_work and self._home.now - self._idle_since > self._silence
        return idle and has_sentinels(self._url)

    def _options(self) -> dict[str, Any]:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        lively: Mapping[str, Any] = {} if self._url.startswith("unix:") else _KEPT_ALIVE
        return {
            # Of one that does not answer there may be others to ask. Elsewhere the limit of a piece
            # of work is enough; this one would be over in a process that did not run meanwhile.
            "socket_timeout": self._silence if names_many(self._url) else None,
            "socket_connect_timeout": self._silence,
            # What the driver repeats by itself may take effect twice; whoever asks asks again.
            "retry": Retry(NoBackoff(), 0),
            # The newer one takes two round trips more until the first question is asked, and a
            # server that is far away, or slow, would count as gone before it is connected to.
            "protocol": 2,
            **lively,
        }

    async def _until_the_loop_ends(self, clients: "Sequence[Redis]") -> AsyncGenerator[None, None]:
        # asyncio.run closes the generators that are left when it ends, and so the connections, too.
        try:
            yield
        finally:
            if self._kept is not None:  # the loop ends, and not we
                await all_said()
            for each in clients:
                await each.aclose()
