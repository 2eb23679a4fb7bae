"""A log of events for many machines through Redis: a stream, appended to by one atomic script."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Unpack, cast

from conference_async.redis.connection import Connection
from conference_async.webhooks.event_log.contract import Entry, Record
from conference_async.webhooks.event_log.settings import LogSettings
from conference_async.webhooks.event_log.shared import SharedEvents

if TYPE_CHECKING:
    from redis.asyncio import Redis

_Row: TypeAlias = tuple[bytes, dict[bytes, bytes] | None]

_SILENCE: Final = 8.0
"""Seconds that the server may take over an answer, what it was asked to wait included."""

# The keys: the stream, then those of each record. The arguments: how long keys are kept in
# milliseconds; then of each record its number of keys and its body.
_APPEND: Final = """
local key, argument = 2, 2
while argument < #ARGV do
    local count, fresh = tonumber(ARGV[argument]), true
    for i = key, key + count - 1 do
        if redis.call('EXISTS', KEYS[i]) == 1 then fresh = false end
    end
    for i = key, key + count - 1 do redis.call('SET', KEYS[i], 1, 'PX', ARGV[1], 'NX') end
    if fresh then
        redis.call('XADD', KEYS[1], '*', 'event', ARGV[argument + 1])
    end
    key, argument = key + count, argument + 2
end
return 1
"""

# A page of the past: its positions, and its events, each a line of text. As an array the driver
# would take longer to read it than all else takes. Outside of its strings, and within them there
# are none, JSON's line breaks are blanks.
_PAST: Final = """
local positions, bodies = {}, {}
local page = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
for number, entry in ipairs(page) do
    local body = ''
    for i = 1, #entry[2], 2 do
        if entry[2][i] == 'event' then body = string.gsub(entry[2][i + 1], '\\n', ' ') end
    end
    positions[number], bodies[number] = entry[1], body
end
return {table.concat(positions, '\\n'), table.concat(bodies, '\\n')}
"""


class RedisEventStore:
    """An `EventStore` in a Redis of version 6.2 or later.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py reads them.
        name: Which log it is, where one Redis holds several.

    Raises:
        ConfigurationError: The extra is not installed, or the URL is not one.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._connection = Connection(url, silence=_SILENCE, purpose="RedisEvents")
        self._name = name
        # One hash tag, so that a cluster keeps all of a log's keys in one place.
        self._stream = f"conference_async:events:{{{name}}}"

    def __repr__(self) -> str:
        return f"name={self._name!r}"

    async def open(self) -> None:
        """Connect, as `EventStore` says."""
        await self._connection.run(lambda client: client.script_load(_APPEND))

    async def append(self, records: Sequence[Record], *, keep: float) -> None:
        """Append what is new, as `EventStore` says."""
        keys = [self._stream]
        arguments: list[str | int] = [int(keep * 1000)]
        for record in records:
            keys += [f"{self._stream}:seen:{key}" for key in record.keys]
            arguments += [len(record.keys), record.body]
        await self._connection.run(
            lambda client: client.register_script(_APPEND)(keys=keys, args=arguments)
        )

    async def prune(self, *, keep: float, most: int) -> None:
        """Forget, as `EventStore` says; keys end by themselves."""
        oldest = await self.start(keep)
        await self._trim(minid=oldest)
        await self._trim(maxlen=most)

    async def _trim(self, *, minid: str | None = None, maxlen: int | None = None) -> None:
        # The server forgets whole nodes, and no more than a hundred of them when asked once.
        while await self._connection.run(
            lambda client: client.xtrim(self._stream, maxlen=maxlen, minid=minid)
        ):
            pass

    async def start(self, since: float) -> str:
        """Return where to start, as `EventStore` says."""
        seconds, microseconds = await self._connection.run(_time)
        return f"{max(0, seconds * 1000 + microseconds // 1000 - int(since * 1000))}-0"

    async def read(self, after: str, *, most: int, wait: float) -> Sequence[Entry]:
        """Return what is new, as `EventStore` says."""
        if not wait:
            positions, bodies = await self._connection.run(
                lambda client: client.register_script(_PAST)(
                    keys=[self._stream], args=[after, most]
                )
            )
            return [
                Entry(position.decode(), body.decode())
                for position, body in zip(positions.split(b"\n"), bodies.split(b"\n"), strict=True)
                if position
            ]
        found = await self._connection.run(
            lambda client: client.xread(
                {self._stream: after}, count=most, block=_milliseconds(wait)
            )
        )
        return _entries(found)

    async def join(self, group: str, *, since: float) -> None:
        """Make a group, as `EventStore` says."""
        await self._make(group, await self.start(since))

    async def _make(self, group: str, position: str) -> None:
        from redis.exceptions import ResponseError

        async def make(client: "Redis") -> None:
            """Make the group, if it is not there."""
            try:
                await client.xgroup_create(self._stream, group, id=position, mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

        await self._connection.run(make)

    async def claim(
        self, group: str, member: str, *, most: int, wait: float, lease: float
    ) -> Sequence[Entry]:
        """Claim entries, as `EventStore` says."""
        from redis.exceptions import ResponseError

        async def take(client: "Redis") -> Sequence[Entry]:
            """Take what somebody left, or else what is new."""
            abandoned = cast(
                "tuple[bytes, list[Any]]",
                await client.xautoclaim(
                    self._stream, group, member, min_idle_time=int(lease * 1000), count=most
                ),
            )
            if taken := _entries([(b"", abandoned[1])]):
                return taken
            found = await client.xreadgroup(
                group, member, {self._stream: ">"}, count=most, block=_milliseconds(wait)
            )
            return _entries(found)

        try:
            return await self._connection.run(take)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
        # A server that came back without its memory: all that it holds is new to the group.
        await self._make(group, "0")
        return await self._connection.run(take)

    async def renew(self, group: str, member: str, positions: Sequence[str], lease: float) -> None:  # noqa: ARG002 -- the protocol's signature: the idle time begins again
        """Keep claims, as `EventStore` says."""
        await self._connection.run(
            lambda client: client.xclaim(
                self._stream, group, member, min_idle_time=0, message_ids=[*positions], justid=True
            )
        )

    async def done(self, group: str, positions: Sequence[str]) -> None:
        """Acknowledge entries, as `EventStore` says."""
        await self._connection.run(lambda client: client.xack(self._stream, group, *positions))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()


async def _time(client: "Redis") -> tuple[int, int]:
    time: tuple[int, int] = await client.time()  # pyright: ignore[reportUnknownMemberType] -- its **kwargs are untyped
    return time


def _milliseconds(wait: float) -> int | None:
    # 0 would wait without end.
    return int(wait * 1000) or None


def _entries(found: object) -> list[Entry]:
    """Return the entries of a reply; what was trimmed meanwhile has no fields."""
    # A list of pairs, or a dictionary where the newer protocol is spoken.
    streams = cast("dict[bytes, list[_Row]] | list[tuple[bytes, list[_Row]]] | None", found)
    pairs = streams.items() if isinstance(streams, dict) else streams or []
    return [
        Entry(position.decode(), fields[b"event"].decode())
        for _, rows in pairs
        for position, fields in rows
        if fields and b"event" in fields
    ]


class RedisEvents(SharedEvents):
    """One log of events for all processes that share a Redis, in a stream.

    What Redis forgets when it fails, such as the last second without ``appendfsync always``, the
    log forgets too. See `SharedEvents` for what is promised.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py reads them.
        name: Which log it is, where one Redis holds several, such as one for each account.
        settings: As for `SharedEvents`.

    Raises:
        ConfigurationError: A number is out of bounds, the URL is not one, or the extra ``redis``
            is not installed.
    """

    def __init__(self, url: str, *, name: str = "default", **settings: Unpack[LogSettings]) -> None:
        super().__init__(RedisEventStore(url, name=name), **settings)
