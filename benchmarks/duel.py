"""Requests as fast as they go, 50 in flight: what `create` and `fetch` have in common."""

import asyncio
from collections.abc import Callable
from statistics import median

import uvloop

from benchmarks.contenders import BY_HAND, CONTENDERS, OFFICIAL, OURS, Contender
from benchmarks.figures import Figure, Spent, Work, at_once, take_turns, times_as_fast

IN_FLIGHT = 50
REQUESTS = 400

Goals = dict[str, float]


async def _take_turns(
    base_url: str, rounds: int, work_of: Callable[[Contender], Work]
) -> dict[str, list[Spent]]:
    contenders: dict[str, Contender] = {name: make(base_url) for name, make in CONTENDERS.items()}
    works = {
        name: at_once(work_of(each), times=REQUESTS, width=IN_FLIGHT)
        for name, each in contenders.items()
    }
    try:
        return await take_turns(works, rounds=rounds)
    finally:
        for each in contenders.values():
            await each.aclose()


def duel(
    name: str, base_url: str, rounds: int, work_of: Callable[[Contender], Work], goals: Goals
) -> list[Figure]:
    """Return how much faster we are than the others, on asyncio's own loop and on uvloop.

    Args:
        name: What is done.
        base_url: The server.
        rounds: How many turns each takes.
        work_of: What a contender does for one request.
        goals: The ratio to reach, by contender.
    """
    figures: list[Figure] = []
    walls: dict[str, float] = {}
    for loop, new_loop in (("asyncio", None), ("uvloop", uvloop.new_event_loop)):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            spent = runner.run(_take_turns(base_url, rounds, work_of))
        walls[loop] = median(each.wall for each in spent[OURS])
        for other in (OFFICIAL, BY_HAND):
            ratio = times_as_fast(spent, OURS, other)
            figures += [
                Figure(
                    name=f"{name} on {loop}: vs {other}, {clock}",
                    value=value,
                    unit="x",
                    goal=goals[other] if loop == "asyncio" else None,
                    guarded=clock == "cpu",
                )
                for clock, value in ratio.items()
            ]
        figures.append(
            Figure(name=f"{name} on {loop}", value=REQUESTS / walls[loop], unit="per second")
        )
        figures.append(
            Figure(
                name=f"{name} on {loop}: CPU of one",
                value=median(each.cpu for each in spent[OURS]) / REQUESTS * 1e6,
                unit="us",
            )
        )
    return figures
