"""The figures of a benchmark, and the turns that contenders take."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping
from statistics import median

import attrs

Work = Callable[[], Awaitable[object]]
"""One piece of work; awaited as often as wanted."""


@attrs.frozen(kw_only=True)
class Figure:
    """One line of the table."""

    name: str
    """What was measured, against whom: the key that the guard's floors go by."""

    value: float
    unit: str
    """``x`` for a ratio, in which more is better; else what is counted."""

    goal: float | None = None
    """What it should be: at least for a ratio, at most for all else."""

    guarded: bool = False
    """Whether the guard compares it: only ratios that a busy machine does not change."""

    margin: float = 0.25
    """The share by which it may fall before the guard minds: as far as such ratios differed between
    runs while other work filled the machine."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.unit == "x" else self.value <= self.goal

    def row(self) -> str:
        """Return the line."""
        goal = "" if self.goal is None else f"{'>=' if self.unit == 'x' else '<='} {self.goal:g}"
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        return f"{self.name:<66} {self.value:>10.4g} {self.unit:<13} {goal:>9} {verdict}"


@attrs.frozen(kw_only=True)
class Spent:
    """The time that one turn took, in seconds."""

    wall: float
    cpu: float
    """Of this process alone: what others do on the machine hardly shows in it."""


async def timed(work: Work) -> Spent:
    """Return what `work` took, without the garbage of the turn before."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return Spent(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)


async def take_turns(contenders: Mapping[str, Work], *, rounds: int) -> dict[str, list[Spent]]:
    """Let the contenders work in turns, every other round in reverse, after one for warming up."""
    spent: dict[str, list[Spent]] = {name: [] for name in contenders}
    for work in contenders.values():
        await work()
    names = list(contenders)
    for number in range(rounds):
        for name in names if number % 2 else reversed(names):
            spent[name].append(await timed(contenders[name]))
    return spent


def times_as_fast(spent: Mapping[str, list[Spent]], ours: str, other: str) -> dict[str, float]:
    """Return how many times as long the other took, by ``wall`` clock and ``cpu`` time.

    It is the median over the rounds of the ratio within each, so that a machine that is slow for
    a while slows both sides of it.
    """
    pairs = list(zip(spent[other], spent[ours], strict=True))
    return {
        "wall": median(theirs.wall / mine.wall for theirs, mine in pairs),
        "cpu": median(theirs.cpu / mine.cpu for theirs, mine in pairs),
    }


def at_once(work: Work, *, times: int, width: int) -> Work:
    """Return work that does `work` so many times, `width` of them at once."""

    async def all_of_it() -> None:
        left = iter(range(times))

        async def worker() -> None:
            for _ in left:
                await work()

        await asyncio.gather(*(worker() for _ in range(width)))

    return all_of_it


def often(call: Callable[[], object], *, times: int) -> Work:
    """Return work that makes a call so many times; nothing in it waits."""

    async def all_of_it() -> None:
        for _ in range(times):
            call()

    return all_of_it
