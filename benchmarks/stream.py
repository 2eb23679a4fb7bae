"""Lists: 20 pages of 1,000 participants, typed, and what a participant costs by page size."""

import asyncio
from functools import partial
from statistics import median

from benchmarks.contenders import BY_HAND, CONTENDERS, OFFICIAL, OURS, Contender
from benchmarks.figures import Figure, Spent, take_turns, times_as_fast
from benchmarks.server import room_of

PARTICIPANTS = 20_000
PAGE_SIZES = (50, 100, 250, 1000)


async def _take_turns(
    base_url: str, rounds: int, participants: int, page_size: int
) -> dict[str, list[Spent]]:
    contenders: dict[str, Contender] = {name: make(base_url) for name, make in CONTENDERS.items()}
    room = room_of(participants)
    try:
        for each in contenders.values():
            assert await each.stream(room, page_size) == participants
        works = {name: partial(each.stream, room, page_size) for name, each in contenders.items()}
        return await take_turns(works, rounds=rounds)
    finally:
        for each in contenders.values():
            await each.aclose()


def measure(base_url: str, rounds: int) -> list[Figure]:
    """Return the ratios, and the cost of a participant by page size."""
    spent = asyncio.run(_take_turns(base_url, rounds, PARTICIPANTS, 1000))
    figures = [
        Figure(
            name=f"stream of 20 pages of 1,000: vs {other}, {clock}",
            value=value,
            unit="x",
            goal=goal,
            guarded=clock == "cpu",
        )
        for other, goal in ((OFFICIAL, 3.3), (BY_HAND, 0.45))
        for clock, value in times_as_fast(spent, OURS, other).items()
    ]
    for page_size in PAGE_SIZES:
        participants = 10 * page_size
        spent = asyncio.run(_take_turns(base_url, max(3, rounds // 4), participants, page_size))
        cpu = median(each.cpu for each in spent[OURS])
        figures += [
            Figure(
                name=f"stream by pages of {page_size}: CPU of one participant",
                value=cpu / participants * 1e6,
                unit="us",
            ),
            Figure(
                name=f"stream by pages of {page_size}: vs {OFFICIAL}, cpu",
                value=times_as_fast(spent, OURS, OFFICIAL)["cpu"],
                unit="x",
            ),
        ]
    return figures
