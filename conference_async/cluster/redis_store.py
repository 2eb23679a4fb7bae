"""One pace for many machines through Redis: one atomic script per slot, by the server's clock."""

import asyncio
from typing import TYPE_CHECKING, cast

from conference_async.cluster.shared import SharedLimit
from conference_async.cluster.slots import HOLD, SECOND, STEP_BACK, Reservation
from conference_async.errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_PATIENCE = 1.5
"""Seconds that the server may take: less than a limit's patience."""

_CLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
"""

# Lua would write a number of 16 digits in scientific notation, hence the formats.
_RESERVE = f"""{_CLOCK}
local asked, floor = tonumber(ARGV[1]), tonumber(ARGV[2])
local row = redis.call('HMGET', KEYS[1],
    'after', 'seen', 'cps', 'held_until', 'factor', 'queue_time', 'changed')
for i = 1, 7 do row[i] = tonumber(row[i]) end
local after, seen, cps, held_until, factor, queue_time, changed = unpack(row, 1, 7)
if not after or seen > now + {STEP_BACK} then
    local slot = now + math.ceil(floor * {SECOND})
    if after then slot = slot + {STEP_BACK} end
    after, cps, held_until, factor, queue_time, changed = slot, asked, slot + {HOLD}, 1, 0, 0
end
local slot = math.max(now, after)
if asked <= cps or now > held_until then cps, held_until = asked, slot + {HOLD} end
after = slot + math.ceil({SECOND} / (cps * factor))
redis.call('HSET', KEYS[1],
    'after', string.format('%.0f', after), 'seen', string.format('%.0f', now),
    'cps', string.format('%.17g', cps), 'held_until', string.format('%.0f', held_until),
    'factor', string.format('%.17g', factor), 'queue_time', string.format('%.0f', queue_time),
    'changed', string.format('%.0f', changed))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', (after - now) / 1000 + 86400000))
return {{slot, after, now, string.format('%.17g', cps), string.format('%.17g', factor),
    queue_time, changed}}
"""
_GIVE_BACK = """
if redis.call('HGET', KEYS[1], 'after') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'after', ARGV[2])
return 1
"""
_REPORT = f"""{_CLOCK}
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'factor', ARGV[1], 'queue_time', ARGV[2],
    'changed', string.format('%.0f', now))
return 1
"""


class RedisStore:
    """A `SlotStore` in a Redis of version 5 or later.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py reads them.
        account: Whose pace it is, where one Redis serves several accounts.

    Raises:
        ConfigurationError: The extra is not installed, or the URL is not one.
    """

    def __init__(self, url: str, *, account: str = "default") -> None:
        try:
            from redis.asyncio.connection import parse_url
        except ImportError as error:
            raise ConfigurationError(
                "RedisLimit needs redis-py: pip install conference-async[redis]"
            ) from error
        try:
            parse_url(url)
        except ValueError:
            raise ConfigurationError(
                "the URL of the Redis must be like redis://host:6379/0"
            ) from None  # the URL in it may hold a password
        self._url = url
        self._account = account
        self._key = f"conference_async:pace:{account}"
        self._client: Redis | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Connect, as `SlotStore` says."""
        if self._client is None or self._loop is not asyncio.get_running_loop():
            await self._connected().script_load(_RESERVE)

    async def reserve(self, *, cps: float, floor: float) -> Reservation:
        """Take the next slot, as `SlotStore` says."""
        answer = await self._run(_RESERVE, repr(cps), repr(floor))
        slot, after, now, held, factor, queue_time, changed = cast(
            "tuple[int, int, int, bytes, bytes, int, int]", answer
        )
        return Reservation(
            wait=(slot - now) / SECOND,
            slot=slot,
            after=after,
            cps=float(held),
            factor=float(factor),
            queue_time=queue_time,
            unchanged=max(0, now - changed) / SECOND,
        )

    async def give_back(self, reservation: Reservation) -> bool:
        """Free a slot, as `SlotStore` says."""
        return await self._run(_GIVE_BACK, str(reservation.after), str(reservation.slot)) == 1

    async def report(self, *, factor: float, queue_time: int) -> None:
        """Share a slow-down, as `SlotStore` says."""
        await self._run(_REPORT, repr(factor), str(queue_time))

    async def aclose(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    async def _run(self, script: str, *values: str) -> object:
        # It sends the script's digest, and the script only if the server does not know it.
        run = self._connected().register_script(script)
        return await run(keys=[self._key], args=values)

    def _connected(self) -> "Redis":
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            # A reservation repeated by the driver would take two slots; the limit asks again.
            self._client = Redis.from_url(  # pyright: ignore[reportUnknownMemberType] -- its **kwargs are untyped
                self._url,
                socket_timeout=_PATIENCE,
                socket_connect_timeout=_PATIENCE,
                retry=Retry(NoBackoff(), 0),
            )
            self._loop = loop
        return self._client

    def __repr__(self) -> str:
        return f"account={self._account!r}"


class RedisLimit(SharedLimit):
    """One pace for all processes that share a Redis.

    The server's clock rules. After a fail-over to a replica that had not heard of the last slots
    these may be given out once more. See `SharedLimit` for what is promised.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py reads them.
        cps: The account's calls per second, more than 0 and at most 30.
        account: Whose pace it is, where one Redis serves several accounts: the account's SID.
        fallback_cps: As for `SharedLimit`.

    Raises:
        ConfigurationError: A rate is out of bounds, the URL is not one, or the extra ``redis``
            is not installed.
    """

    def __init__(
        self,
        url: str,
        cps: float,
        *,
        account: str = "default",
        fallback_cps: float | None = None,
    ) -> None:
        super().__init__(RedisStore(url, account=account), cps, fallback_cps=fallback_cps)
