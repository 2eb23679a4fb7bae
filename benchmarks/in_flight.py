"""Memory of one create that is in flight: sent, and not answered yet."""

import asyncio
import gc
import logging
import tracemalloc

from benchmarks.contenders import BY_HAND, CONTENDERS, OFFICIAL, OURS, Contender
from benchmarks.figures import Figure
from benchmarks.server import SILENCE

CREATES = 500
PATIENCE = 20.0
STILL = 0.5


async def _memory(contender: Contender) -> float:
    """Return the bytes of one create, its connection and its task included."""
    await contender.create()
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tasks = [asyncio.create_task(contender.create(SILENCE)) for _ in range(CREATES)]
    held = -1
    for _ in range(int(PATIENCE / STILL)):  # until nothing moves any more: all are sent
        await asyncio.sleep(STILL)
        last, held = held, tracemalloc.get_traced_memory()[0] - before
        if abs(held - last) < CREATES:
            break
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await contender.aclose()
    return held / CREATES


async def _measured(name: str, base_url: str) -> float:
    return await _memory(CONTENDERS[name](base_url, connections=CREATES))


def measure(base_url: str, rounds: int) -> list[Figure]:  # noqa: ARG001 -- memory does not jitter
    """Return the memory of one create, and the ratio to the others."""
    # What is cancelled in flight is logged as unknown, as it should be, but not here.
    logging.getLogger("conference_async").setLevel(logging.ERROR)
    held = {name: asyncio.run(_measured(name, base_url)) for name in CONTENDERS}
    return [
        Figure(name=f"create in flight: memory of one, {name}", value=held[name] / 1024, unit="KiB")
        for name in held
    ] + [
        Figure(
            name=f"create in flight: memory vs {other}",
            value=held[other] / held[OURS],
            unit="x",
            guarded=True,
        )
        for other in (OFFICIAL, BY_HAND)
    ]
