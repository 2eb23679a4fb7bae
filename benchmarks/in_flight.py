"""Memory of one create: in flight, sent and not answered yet, and in line for its slot."""

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import Awaitable, Callable

from benchmarks.contenders import BY_HAND, CONTENDERS, FROM, OFFICIAL, OURS, TO, TOKEN, Contender
from benchmarks.figures import Figure
from benchmarks.server import ACCOUNT_SID, ROOM, SILENCE
from conference_async import ConferenceClient, Credentials

CREATES = 500
IN_LINE = 2000
PATIENCE = 20.0
STILL = 0.5


async def _held(
    create: Callable[[], Awaitable[object]], number: int, settled: Callable[[], Awaitable[None]]
) -> float:
    """Return the bytes of one of so many creates, its task included, once they have settled."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tasks = [asyncio.ensure_future(create()) for _ in range(number)]
    await settled()
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return held / number


async def _all_sent() -> None:
    """Wait until nothing moves any more."""
    held = -1
    for _ in range(int(PATIENCE / STILL)):
        await asyncio.sleep(STILL)
        last, held = held, tracemalloc.get_traced_memory()[0]
        if abs(held - last) < CREATES:
            break


async def _memory(contender: Contender) -> float:
    """Return the bytes of one create in flight, its connection included."""
    await contender.create()
    held = await _held(lambda: contender.create(SILENCE), CREATES, _all_sent)
    await contender.aclose()
    return held


async def _waiting(base_url: str) -> float:
    """Return the bytes of one create that waits for its slot."""
    async with ConferenceClient(Credentials(ACCOUNT_SID, TOKEN), base_url=base_url) as client:

        async def create() -> object:
            return await client.conferences(ROOM).participants.create(from_=FROM, to=TO)

        await create()  # the next slot is a second away
        return await _held(create, IN_LINE, lambda: asyncio.sleep(0))


async def _measured(name: str, base_url: str) -> float:
    return await _memory(CONTENDERS[name](base_url, connections=CREATES))


def measure(base_url: str, rounds: int) -> list[Figure]:  # noqa: ARG001 -- memory does not jitter
    """Return the memory of one create, and the ratio to the others."""
    # What is cancelled in flight is logged as unknown, as it should be, but not here.
    logging.getLogger("conference_async").setLevel(logging.ERROR)
    held = {name: asyncio.run(_measured(name, base_url)) for name in CONTENDERS}
    waiting = asyncio.run(_waiting(base_url))
    return (
        [
            Figure(
                name=f"create in flight: memory of one, {name}", value=held[name] / 1024, unit="KiB"
            )
            for name in held
        ]
        + [
            Figure(name="create in line: memory of one", value=waiting / 1000, unit="kB", goal=5.0),
        ]
        + [
            Figure(
                name=f"create in flight: memory vs {other}",
                value=held[other] / held[OURS],
                unit="x",
                guarded=True,
            )
            for other in (OFFICIAL, BY_HAND)
        ]
    )
