"""One create at a time: the half that are quicker take no longer than this, next to one by hand.

The two take turns, create by create, so that whatever else the machine does falls on both.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from statistics import median

from benchmarks.contenders import BY_HAND, CONTENDERS, OFFICIAL, OURS
from benchmarks.figures import Figure

CREATES = 1500
WARM = 100


async def _took(create: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await create()
    return time.perf_counter() - began


async def _measured(base_url: str) -> dict[str, float]:
    contenders = {name: make(base_url, connections=1) for name, make in CONTENDERS.items()}
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(WARM + CREATES):
        if number == WARM:
            gc.collect()
        for name, each in contenders.items():
            seconds = await _took(each.create)
            if number >= WARM:
                took[name].append(seconds)
    for each in contenders.values():
        await each.aclose()
    return {name: median(each) for name, each in took.items()}


def measure(base_url: str, rounds: int) -> list[Figure]:  # noqa: ARG001 -- so many creates decide
    """Return the median of each, and how many times ours the others' are."""
    p50 = asyncio.run(_measured(base_url))
    goals = {OFFICIAL: None, BY_HAND: 1 / 1.05}
    return [
        Figure(name=f"create, one at a time: p50 of {name}", value=seconds * 1e6, unit="us")
        for name, seconds in p50.items()
    ] + [
        Figure(
            name=f"create, one at a time: p50 vs {other}",
            value=p50[other] / p50[OURS],
            unit="x",
            goal=goal,
        )
        for other, goal in goals.items()
    ]
