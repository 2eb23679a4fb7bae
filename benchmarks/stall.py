"""The longest time for which the loop is held up: streaming 100,000 participants, and dialling.

Each callback's own processor time is taken, so that what others do on the machine does not count.
"""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.contenders import CONTENDERS, OFFICIAL, OURS
from benchmarks.figures import Figure, at_once
from benchmarks.server import room_of

PARTICIPANTS = 100_000
# Fewer than there are connections: aiohttp serves the waiting ones last, the list never.
DIALLING = 40


@contextmanager
def _timed_callbacks() -> Iterator[list[float]]:
    """Yield a list that gets the seconds of every callback that runs meanwhile."""
    taken: list[float] = []
    run = asyncio.Handle._run  # noqa: SLF001 -- the only place that sees every callback

    def timed_run(self: asyncio.Handle) -> None:
        began = time.thread_time()
        run(self)
        taken.append(time.thread_time() - began)

    asyncio.Handle._run = timed_run  # type: ignore[method-assign]  # noqa: SLF001 -- as above
    try:
        yield taken
    finally:
        asyncio.Handle._run = run  # type: ignore[method-assign]  # noqa: SLF001 -- as above


async def _longest(base_url: str, name: str, page_size: int, dialling: int) -> list[float]:
    contender = CONTENDERS[name](base_url)
    room = room_of(PARTICIPANTS)
    await contender.stream(room, page_size)  # the server makes its pages
    await at_once(contender.create, times=100, width=50)()
    gc.collect()
    gc.freeze()  # all that was imported for the contenders, which an application would not have
    with _timed_callbacks() as taken:
        creates = asyncio.ensure_future(at_once(contender.create, times=10**9, width=dialling)())
        await contender.stream(room, page_size)
    creates.cancel()
    await asyncio.gather(creates, return_exceptions=True)
    gc.unfreeze()
    await contender.aclose()
    return sorted(taken)


def measure(base_url: str, rounds: int) -> list[Figure]:  # noqa: ARG001 -- one long run each
    """Return the longest callback, and the one that 999 of 1,000 are shorter than."""
    figures: list[Figure] = []
    for name in (OURS, OFFICIAL):
        for page_size, dialling, meanwhile in (
            (1000, DIALLING, ""),
            (250, DIALLING, ""),
            (1000, 0, " and nothing else"),
        ):
            taken = asyncio.run(_longest(base_url, name, page_size, dialling))
            figures += [
                Figure(
                    name=f"longest callback, pages of {page_size}{meanwhile}, {name}",
                    value=taken[-1] * 1e3,
                    unit="ms",
                    goal=None if name == OFFICIAL else 10.0 if dialling else 5.0,
                ),
                Figure(
                    name=f"99.9 % of callbacks, pages of {page_size}{meanwhile}, {name}",
                    value=taken[int(len(taken) * 0.999)] * 1e3,
                    unit="ms",
                ),
            ]
    return figures
