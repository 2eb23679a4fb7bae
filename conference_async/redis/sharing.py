"""Few connections to one Redis, for all of a process that ask little of it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from conference_async.errors import ConfigurationError
from conference_async.redis.connection import Connection
from conference_async.redis.refusals import never
from conference_async.sharing import Share
from conference_async.time_limits import time_limit

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

AT_MOST = 4
"""Connections to one Redis that they have together."""

T = TypeVar("T")


class Connections(Protocol):
    """What does pieces of work on a Redis."""

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as is known."""
        ...

    async def run(self, work: "Callable[[Redis], Awaitable[T]]") -> T:
        """Do one piece of work, once, and return what it returns."""
        ...

    async def aclose(self) -> None:
        """Be done with it; what nobody else uses is closed."""
        ...


def connections_to(
    where: "str | Redis | RedisCluster", *, silence: float, purpose: str
) -> Connections:
    """Return what does pieces of work on a Redis.

    Args:
        where: A URL, whose connections all that name it have together; or a client that an
            application has anyway, and closes itself.
        silence: As for `Connection`.
        purpose: As for `Connection`.

    Raises:
        ConfigurationError: The extra ``redis`` is not installed, it is neither such a URL nor such
            a client, or the client makes text of what it reads.
    """
    if isinstance(where, str):
        return _Shared(where, silence=silence, purpose=purpose)
    if not _is_client(where):
        raise ConfigurationError(
            f"{purpose} needs a URL like redis://host:6379/0, or a client of redis.asyncio, not "
            f"{type(where).__name__}"
        )
    return _Yours(where, silence=silence, purpose=purpose)


def _is_client(given: object) -> bool:
    try:
        from redis.asyncio import Redis, RedisCluster
    except ImportError:
        return False
    return isinstance(given, Redis | RedisCluster)


class _Shared:
    def __init__(self, url: str, *, silence: float, purpose: str) -> None:
        def make() -> Connection:
            return Connection(url, silence=silence, purpose=purpose, at_most=AT_MOST)

        make()  # which refuses what is no URL
        self._share = Share((url, purpose), make)

    @property
    def is_open(self) -> bool:
        held = self._share.held
        return held is not None and held.is_open

    async def run(self, work: "Callable[[Redis], Awaitable[T]]") -> T:
        return await self._share.take().run(work)

    async def aclose(self) -> None:
        connection = self._share.leave()
        if connection is not None:
            await connection.aclose()


class _Yours:
    def __init__(self, client: "Redis | RedisCluster", *, silence: float, purpose: str) -> None:
        if client.get_encoder().decode_responses:
            raise ConfigurationError(
                f"{purpose} needs a client that leaves bytes as they are: decode_responses=False"
            )
        self._client = client
        self._silence = silence
        self._purpose = purpose
        self.is_open = False

    async def run(self, work: "Callable[[Redis], Awaitable[T]]") -> T:
        try:
            async with time_limit(self._silence):
                answer = await work(cast("Redis", self._client))
        except Exception as error:
            self.is_open = False
            if (refusal := never(error, self._purpose)) is not None:
                raise refusal from error
            raise
        self.is_open = True
        return answer

    async def aclose(self) -> None:
        self.is_open = False
