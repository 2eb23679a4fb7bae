"""Time limits in a process that does not run for a while, and in one that does."""

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from conference_async.sending.patience import Patience
from conference_async.time_limits import time_limit, time_limit_at

Limited = Callable[[float], AbstractAsyncContextManager[object]]


@asynccontextmanager
async def attempt(seconds: float) -> AsyncIterator[None]:
    """Limit what is inside as an attempt of a client is."""
    with Patience().bound(asyncio.get_running_loop().time() + seconds):
        yield


@pytest.mark.parametrize("limited", [time_limit, attempt])
async def test_what_came_while_nobody_ran_is_read(limited: Limited) -> None:
    """An answer lies in the socket, and the time for it is over, when the process goes on."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)

    def stand_still() -> None:
        time.sleep(0.05)
        theirs.send(b"the answer\n")

    asyncio.get_running_loop().call_soon(stand_still)
    async with limited(0.02):
        assert await reader.readline() == b"the answer\n"
    writer.close()
    theirs.close()


@pytest.mark.parametrize("limited", [time_limit, attempt])
async def test_who_goes_on_waits_no_longer_than_it_stood_still(limited: Limited) -> None:
    """Nothing came: it is over, and by the limit."""
    asyncio.get_running_loop().call_soon(time.sleep, 0.05)
    with pytest.raises(TimeoutError):
        async with limited(0.02):
            await asyncio.Event().wait()


@pytest.mark.looptime
@pytest.mark.parametrize("seconds", [2, 0, -1])
async def test_a_process_that_runs_is_on_time(seconds: float) -> None:
    """To the instant, and where it is over before it begins, at once."""
    loop = asyncio.get_running_loop()
    limit = time_limit(seconds)
    with pytest.raises(TimeoutError):
        async with limit:
            await asyncio.sleep(10)
    assert limit.expired()
    assert loop.time() == max(0, seconds)


@pytest.mark.looptime
async def test_what_ends_in_time_is_not_ended() -> None:
    """With a limit, and without one."""
    loop = asyncio.get_running_loop()
    for limit in (time_limit(2), time_limit(None), time_limit_at(None), time_limit_at(math.inf)):
        async with limit:
            await asyncio.sleep(1)
        assert not limit.expired()
    await asyncio.sleep(10)
    assert loop.time() == 14


@pytest.mark.looptime
async def test_another_time_out_inside_stays_one() -> None:
    """It is not the limit's."""
    limit = time_limit(2)
    with pytest.raises(TimeoutError):
        async with limit:
            raise TimeoutError
    assert not limit.expired()
