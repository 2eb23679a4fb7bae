"""One pace for many machines through Redis: one atomic script per slot, by the server's clock."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from conference_async.pace.contract import SECOND
from conference_async.pace.lines import (
    LOOK_EVERY,
    RECOVERY,
    SEEN,
    LineCount,
    LineNews,
    LineWish,
    age,
)
from conference_async.pace.shared import SharedLimit
from conference_async.pace.slots import (
    LOWEST_HOLDS,
    STEP_BACK,
    Pace,
    Queuing,
    Reservation,
    check_account,
)
from conference_async.redis.sharing import connections_to

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

_SILENCE = 1.9
"""Seconds that a piece of work may take: less than a limit waits for an answer."""

_DAYS_OF_LINES = 2 * 24 * 3600 * 1000
"""Milliseconds after which lines that nobody asks for are forgotten: no call lasts so long."""

_CLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
"""

# Lua would write a number of 16 digits in scientific notation, hence the formats.
_TAKE_SLOT = f"""
local asked, floor = tonumber(ARGV[1]), tonumber(ARGV[2])
local near, first, more = tonumber(ARGV[3]), ARGV[4] == '1', ARGV[5] == '1'
local queuing = near >= 0
local row = redis.call('HMGET', KEYS[1],
    'after', 'seen', 'cps', 'held_until', 'factor', 'queue_time', 'changed', 'told')
for i = 1, 8 do row[i] = tonumber(row[i]) end
local after, seen, cps, held_until, factor, queue_time, changed, told = unpack(row, 1, 8)
local fresh = not after or seen > now + {STEP_BACK}
if fresh then
    local slot = now + math.ceil(floor * {SECOND})
    if after then slot = slot + {STEP_BACK} end
    after, cps, held_until = slot, asked, slot + {LOWEST_HOLDS}
    factor, queue_time, changed, told = 1, 0, 0, 0
end
local slot = math.max(now, after)
if asked <= cps or now > held_until then cps, held_until = asked, slot + {LOWEST_HOLDS} end
if not told or after <= now then told = 0 end
local interval = math.ceil({SECOND} / (cps * factor))
local taken = fresh or not queuing or ((first or told <= after) and slot - now <= near)
if taken then after = slot + interval end
if queuing and (more or not taken) then told = math.max(after, told) + interval end
if not taken then slot = told - interval end
redis.call('HSET', KEYS[1],
    'after', string.format('%.0f', after), 'seen', string.format('%.0f', now),
    'cps', string.format('%.17g', cps), 'held_until', string.format('%.0f', held_until),
    'factor', string.format('%.17g', factor), 'queue_time', string.format('%.0f', queue_time),
    'changed', string.format('%.0f', changed),
    'told', string.format('%.0f', told))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', (after - now) / 1000 + 86400000))
return {{slot, after, now, string.format('%.17g', cps), string.format('%.17g', factor),
    queue_time, changed, told}}
"""
_RESERVE = f"{_CLOCK}{_TAKE_SLOT}"

# A line's field is its name, and what it holds the instant it was taken; those of the account are
# named with a colon, which no line's name has. In a cluster KEYS[2] is where KEYS[1] is.
_RESERVE_WITH_LINE = f"""{_CLOCK}
local name, most, spare, can_look = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9] == '1'
local account = redis.call('HMGET', KEYS[2], ':learned', ':learned_at', ':looked_at')
local lines, looked = most, tonumber(account[3])
if account[1] then
    local since = math.max(0, now - tonumber(account[2]))
    lines = math.min(most, tonumber(account[1]) + math.floor(since / {RECOVERY}))
end
local counted = looked and looked > 0 or not can_look
local live = redis.call('HLEN', KEYS[2])
for i = 1, 3 do if account[i] then live = live - 1 end end
local taken = redis.call('HEXISTS', KEYS[2], name) == 1
if not taken and counted and live < math.max(1, lines - spare) then
    redis.call('HSET', KEYS[2], name, string.format('%.0f', now))
    live, taken = live + 1, true
end
local look, since = 0, looked and now - math.abs(looked)
if not taken and can_look and (not looked or since < 0 or since >= {LOOK_EVERY}) then
    redis.call('HSET', KEYS[2], ':looked_at', string.format('%.0f', counted and now or -now))
    look = 1
end
redis.call('PEXPIRE', KEYS[2], {_DAYS_OF_LINES})
if not taken then return {{live, lines, 0, look}} end
local function reserve()
{_TAKE_SLOT}
end
return {{live, lines, 1, look, reserve()}}
"""
_LINES = f"""{_CLOCK}
return {{now, redis.call('HGETALL', KEYS[2])}}
"""
# The news: how many were placed, name and SID of each; how many were seen, these; and all that are
# over. Each comes after a count, since Lua would have to unpack too many.
_NOTE = f"""{_CLOCK}
local at, i = string.format('%.0f', now), 3
for _ = 1, tonumber(ARGV[i]) do
    redis.call('HDEL', KEYS[2], ARGV[i + 1])
    redis.call('HSET', KEYS[2], ARGV[i + 2], at)
    i = i + 2
end
i = i + 1
for _ = 1, tonumber(ARGV[i]) do
    redis.call('HSET', KEYS[2], ARGV[i + 1], {SEEN})
    i = i + 1
end
for j = i + 1, #ARGV do redis.call('HDEL', KEYS[2], ARGV[j]) end
if ARGV[1] == '1' then
    local calls = 0
    for _, name in ipairs(redis.call('HKEYS', KEYS[2])) do
        if string.sub(name, 1, 2) == 'CA' then calls = calls + 1 end
    end
    redis.call('HSET', KEYS[2], ':learned', math.max(1, calls), ':learned_at', at)
end
local looked = tonumber(redis.call('HGET', KEYS[2], ':looked_at') or 0)
if ARGV[2] == '1' and looked < 0 then
    redis.call('HSET', KEYS[2], ':looked_at', string.format('%.0f', -looked))
end
redis.call('PEXPIRE', KEYS[2], {_DAYS_OF_LINES})
local live = redis.call('HLEN', KEYS[2])
for _, field in ipairs({{':learned', ':learned_at', ':looked_at'}}) do
    live = live - redis.call('HEXISTS', KEYS[2], field)
end
return live
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
        url: As for `RedisLimit`.
        account: Whose pace it is, where one Redis serves several accounts.

    Raises:
        ConfigurationError: As for `RedisLimit`, but for rates and lines.
    """

    def __init__(self, url: "str | Redis | RedisCluster", *, account: str = "default") -> None:
        self._connection = connections_to(url, silence=_SILENCE, purpose="RedisLimit")
        self._account = check_account(account)
        self._key = f"conference_async:pace:{account}"

    async def open(self) -> None:
        """Connect, as `SlotStore` says."""
        if not self._connection.is_open:
            await self._connection.run(lambda client: client.script_load(_RESERVE))

    async def reserve(self, *, cps: float, floor: float) -> Reservation:
        """Take the next slot, as `SlotStore` says."""
        return await self.reserve_queued(cps=cps, floor=floor, queuing=None)

    async def reserve_queued(
        self, *, cps: float, floor: float, queuing: Queuing | None
    ) -> Reservation:
        """Take the next slot if it is near, as `QueueStore` says."""
        answer, asked = await self._ask(_RESERVE, *_asked(cps, floor, queuing))
        return _reservation(cast("list[int]", answer), queuing, asked)

    async def reserve_with_line(
        self, *, cps: float, floor: float, wish: LineWish
    ) -> tuple[LineCount, Reservation | None]:
        """Take a line and the next slot, as `LineStore` says."""
        wished = (wish.name, str(wish.max_live), str(wish.spare), str(int(wish.can_look)))
        values = (*_asked(cps, floor, wish.queuing), *wished)
        answer, asked = await self._ask(_RESERVE_WITH_LINE, *values)
        live, lines, taken, look, *slot = cast("list[int]", answer)
        count = LineCount(live=live, lines=lines, taken=taken == 1, look=look == 1)
        if not count.taken:
            return count, None
        return count, _reservation(cast("list[list[int]]", slot)[0], wish.queuing, asked)

    async def lines(self) -> Mapping[str, float]:
        """Return the lines that are taken, as `LineStore` says."""
        now, fields = cast("tuple[int, list[bytes]]", await self._run(_LINES))
        pairs = zip(fields[::2], fields[1::2], strict=True)
        return {
            name.decode(): age(int(since), now)
            for name, since in pairs
            if not name.startswith(b":")
        }

    async def note(self, news: LineNews) -> int:
        """Take note of news of lines, as `LineStore` says."""
        placed = [each for pair in news.placed.items() for each in pair]
        flags = (str(int(news.full)), str(int(news.looked)))
        counted = [str(len(news.placed)), *placed, str(len(news.seen)), *news.seen, *news.over]
        return cast("int", await self._run(_NOTE, *flags, *counted))

    async def give_back(self, reservation: Reservation) -> bool:
        """Free a slot, as `SlotStore` says."""
        return await self._run(_GIVE_BACK, str(reservation.after), str(reservation.slot)) == 1

    async def report(self, *, factor: float, queue_time: int) -> None:
        """Share a slow-down, as `SlotStore` says."""
        await self._run(_REPORT, repr(factor), str(queue_time))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()

    async def _run(self, script: str, *values: str) -> object:
        answer, _ = await self._ask(script, *values)
        return answer

    async def _ask(self, script: str, *values: str) -> tuple[object, float]:
        """Return an answer, and when it was asked for."""

        async def work(client: "Redis") -> tuple[object, float]:
            asked = asyncio.get_running_loop().time()
            keys = [self._key, f"{{{self._key}}}:lines"]
            # It sends the script's digest, and the script only if the server does not know it.
            return await client.register_script(script)(keys=keys, args=values), asked

        return await self._connection.run(work)

    def __repr__(self) -> str:
        return f"account={self._account!r}"


def _asked(cps: float, floor: float, queuing: Queuing | None) -> tuple[str, ...]:
    near, told, more = (queuing.near, queuing.told, queuing.more) if queuing else (-1, False, False)
    return repr(cps), repr(floor), str(near), str(int(told)), str(int(more))


def _reservation(answer: list[int], queuing: Queuing | None, asked: float) -> Reservation:
    slot, after, now, held, factor, queue_time, changed, told = answer
    row = Pace(
        after=after,
        seen=now,
        cps=float(held),
        held_until=0,
        factor=float(factor),
        queue_time=queue_time,
        changed=changed,
        told=told,
    )
    return row.answer(slot, queuing, asked)


class RedisLimit(SharedLimit):
    """One pace for all processes that share a Redis.

    The server's clock rules. After a fail-over to a replica that had not heard of the last slots
    these may be given out once more. See `SharedLimit` for what is promised.

    All limits of a process that name one Redis have four connections to it together.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py reads them;
            ``redis+sentinel://host:26379,other:26379/service/0`` or
            ``redis+cluster://host:6379,other:6379`` (``rediss+…`` with TLS); or a client of yours,
            which stays open.
        cps: The account's calls per second, more than 0 and at most 30.
        account: Whose pace it is, where one Redis serves several accounts: the account's SID.
        fallback_cps: As for `SharedLimit`.
        max_live: As for `SharedLimit`.
        reserved: As for `SharedLimit`.

    Raises:
        ConfigurationError: A rate or a number of lines is out of bounds, the URL is not one, or
            the extra ``redis`` is not installed, or the client decodes what it reads.
    """

    def __init__(
        self,
        url: "str | Redis | RedisCluster",
        cps: float,
        *,
        account: str = "default",
        fallback_cps: float | None = None,
        max_live: int | None = None,
        reserved: int = 0,
    ) -> None:
        super().__init__(
            RedisStore(url, account=account),
            cps,
            fallback_cps=fallback_cps,
            max_live=max_live,
            reserved=reserved,
        )
