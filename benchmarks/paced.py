"""Creates that wait for their slot: what one costs at 30 CPS, by how many wait behind it.

Real time, since what is measured is the processor's: a few seconds at each number of waiters. A
create that comes alone finds the processor's caches cold and costs several times what it does among
others, so one by hand is measured at the same pace.
"""

import asyncio
import gc
import time
from pathlib import Path

from benchmarks.contenders import FROM, TO, TOKEN, ByHand
from benchmarks.figures import Figure
from benchmarks.plot import plot
from benchmarks.server import ACCOUNT_SID, ROOM
from conference_async import ConferenceClient, CreateLimit, Credentials

CPS = 30.0
MANY = 10_000
WAITING = (1, 100, MANY, 100_000)
SECONDS = 3.0
REPEATS = 3


async def _waiting(base_url: str, number: int) -> tuple[float, float, float]:
    """Return the seconds of processor time of one create, of joining the line, and of leaving."""
    placed = 0

    async def create(client: ConferenceClient) -> None:
        nonlocal placed
        await client.conferences(ROOM).participants.create(from_=FROM, to=TO)
        placed += 1
        join(client)  # so that the line stays as long as it is

    def join(client: ConferenceClient) -> None:
        task = asyncio.create_task(create(client))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    tasks: set[asyncio.Task[None]] = set()
    async with ConferenceClient(
        Credentials(ACCOUNT_SID, TOKEN), base_url=base_url, limit=CreateLimit(CPS)
    ) as client:
        began = time.process_time()
        for _ in range(number):
            join(client)
        await asyncio.sleep(0)
        joining = (time.process_time() - began) / number
        gc.collect()
        costs: list[float] = []
        for _ in range(REPEATS):
            before, cpu = placed, time.process_time()
            await asyncio.sleep(SECONDS)
            costs.append((time.process_time() - cpu) / (placed - before))
        waiting = list(tasks)
        began = time.process_time()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        leaving = (time.process_time() - began) / number
    return min(costs), joining, leaving


async def _by_hand(base_url: str) -> float:
    """Return the seconds of processor time of one create by hand, each a slot after the last."""
    contender = ByHand(base_url)
    await contender.create()
    gc.collect()
    costs: list[float] = []
    for _ in range(REPEATS):
        number, cpu = round(SECONDS * CPS), time.process_time()
        for _ in range(number):
            await contender.create()
            await asyncio.sleep(1 / CPS)
        costs.append((time.process_time() - cpu) / number)
    await contender.aclose()
    return min(costs)


def measure(base_url: str, rounds: int) -> list[Figure]:  # noqa: ARG001 -- the seconds above decide
    """Return the cost by the number of waiting creates, the least of a few, and draw it."""
    by_hand = asyncio.run(_by_hand(base_url))
    found = {number: asyncio.run(_waiting(base_url, number)) for number in WAITING}
    plot(
        Path(__file__).with_name("waiting.svg"),
        title="Processor time of one create at 30 CPS, by how many wait",
        x_label="creates waiting",
        y_label="ms",
        points=[(number, create * 1e3) for number, (create, _, _) in found.items()],
    )
    figures = [
        Figure(
            name=f"create at 30 CPS, {number:,} waiting: CPU of one",
            value=create * 1e3,
            unit="ms",
        )
        for number, (create, _, _) in found.items()
    ]
    figures += [
        Figure(name="create by hand at 30 CPS: CPU of one", value=by_hand * 1e3, unit="ms"),
        Figure(
            name=f"create at 30 CPS, {MANY:,} waiting: CPU vs by hand",
            value=by_hand / found[MANY][0],
            unit="x",
            goal=1.0,
        ),
    ]
    figures += [
        Figure(name=f"{what} a line of {number:,}: CPU of one", value=value * 1e6, unit="us")
        for number, (_, joining, leaving) in found.items()
        if number > 1
        for what, value in (("joining", joining), ("being cancelled in", leaving))
    ]
    return figures
